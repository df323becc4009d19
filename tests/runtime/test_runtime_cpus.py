"""Machines as folders of files, as /proc and /sys show them."""

import os

import pytest

from edgeonnx.runtime._cpus import AFFINITIES, SPINNING, find_cpus, plan_threads, quota_of, usable_cpus


def machine(root, files):
    """A root folder with these files under it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return str(root)


def cpu_files(file, values):
    return {f"sys/devices/system/cpu/cpu{i}/{file}": value for i, value in enumerate(values)}


def siblings(*lists):
    return cpu_files("topology/thread_siblings_list", lists)


PI5 = {**cpu_files("cpu_capacity", [1024] * 4), **siblings(*"0123"), "proc/self/cgroup": "0::/user.slice"}
# Little cores first, as on the chip.
RK3588 = {**cpu_files("cpu_capacity", [414] * 4 + [1024] * 4), **siblings(*"01234567")}


def test_a_board_of_equal_cores_leaves_the_choice_to_onnxruntime(tmp_path):
    cpus = find_cpus(machine(tmp_path, PI5), range(4), 4)
    assert cpus == ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), None, 4)
    assert plan_threads(0, cpus=cpus) == (0, {})
    assert plan_threads(4, cpus=cpus) == (4, {})
    assert plan_threads(4, asked=1, cpus=cpus) == (1, {})
    assert plan_threads(1000, cpus=cpus).intra_op == 4
    assert plan_threads(0, asked=1000, cpus=cpus).intra_op == 4


def test_threads_stay_on_the_big_cores(tmp_path):
    cpus = find_cpus(machine(tmp_path, RK3588), range(8), 8)
    assert cpus.big == (4, 5, 6, 7)
    threads, config = plan_threads(0, cpus=cpus)
    assert threads == 4
    assert config == {AFFINITIES: "5,6,7,8;5,6,7,8;5,6,7,8"}
    assert plan_threads(8, cpus=cpus) == (4, config)
    assert plan_threads(0, asked=8, cpus=cpus) == (8, {})  # who asks for more gets the little ones too
    assert plan_threads(0, asked=1, cpus=cpus) == (1, {})


def test_the_frequency_tells_where_the_capacity_is_not_known(tmp_path):
    clocks = cpu_files("cpufreq/cpuinfo_max_freq", [1800000] * 4 + [2400000] * 2 + [2352000] * 2)
    assert find_cpus(machine(tmp_path, clocks), range(8), 8).big == (4, 5, 6, 7)


def test_a_middle_cluster_is_not_little(tmp_path):
    phone = cpu_files("cpu_capacity", [280] * 4 + [780] * 3 + [1024])
    assert find_cpus(machine(tmp_path, phone), range(8), 8).big == (4, 5, 6, 7)


def test_only_what_the_process_may_use_counts(tmp_path):
    root = machine(tmp_path, RK3588)
    little = find_cpus(root, [0, 1], 8)
    assert (little.usable, little.big, little.limit) == ((0, 1), (0, 1), 2)
    assert plan_threads(4, cpus=little) == (2, {})
    mixed = find_cpus(root, [3, 4, 5], 8)
    assert plan_threads(0, cpus=mixed) == (2, {AFFINITIES: "5,6"})


def test_threads_are_counted_by_cores(tmp_path):
    desktop = siblings("0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7")
    cpus = find_cpus(machine(tmp_path, desktop), range(8), 8)
    assert cpus.cores == (0, 1, 2, 3)
    assert plan_threads(0, cpus=cpus) == (0, {})
    assert plan_threads(0, sessions=2, cpus=cpus) == (2, {SPINNING: "0"})
    assert plan_threads(8, cpus=cpus).intra_op == 8


def test_a_container_with_one_and_a_half_cpus(tmp_path):
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}
    cpus = find_cpus(machine(tmp_path, files), range(8), 8)
    assert (cpus.quota, cpus.limit) == (1.5, 2)
    assert plan_threads(0, cpus=cpus) == (2, {SPINNING: "0"})
    assert plan_threads(4, cpus=cpus) == (2, {SPINNING: "0"})
    assert plan_threads(4, asked=1, cpus=cpus) == (1, {SPINNING: "0"})


def test_the_narrowest_of_nested_groups_holds(tmp_path):
    files = {
        "proc/self/cgroup": "0::/kubepods/pod1/box",
        "sys/fs/cgroup/cpu.max": "max 100000",
        "sys/fs/cgroup/kubepods/cpu.max": "600000 100000",
        "sys/fs/cgroup/kubepods/pod1/cpu.max": "250000 100000",
        "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000",
    }
    assert find_cpus(machine(tmp_path, files), range(8), 8).quota == 2.5


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("4:cpu,cpuacct:/docker/abc", "cpu,cpuacct"),  # the container's own group, mounted as the root
        ("4:cpu,cpuacct:/docker/abc", "cpu,cpuacct/docker/abc"),
        ("2:cpu:/", "cpu"),
        ("4:cpu,cpuacct:/box", "cpu/box"),
    ],
)
def test_groups_of_version_1(tmp_path, line, folder):
    files = {
        "proc/self/cgroup": f"12:pids:/\n{line}\n0::/",
        f"sys/fs/cgroup/{folder}/cpu.cfs_quota_us": "50000",
        f"sys/fs/cgroup/{folder}/cpu.cfs_period_us": "100000",
    }
    cpus = find_cpus(machine(tmp_path, files), range(4), 4)
    assert (cpus.quota, cpus.limit) == (0.5, 1)


def test_version_1_without_a_limit(tmp_path):
    files = {
        "proc/self/cgroup": "1:cpu:/",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert find_cpus(machine(tmp_path, files), range(4), 4).quota is None


def test_a_group_path_does_not_lead_out_of_the_folder(tmp_path):
    files = {"proc/self/cgroup": "0::/../../cpu", "cpu/cpu.max": "1 1", "sys/fs/cgroup/cpu.max": "max 1"}
    assert find_cpus(machine(tmp_path, files), range(4), 4).quota is None


def test_sessions_divide_the_threads(tmp_path):
    cpus = find_cpus(machine(tmp_path, RK3588), range(8), 8)
    threads, config = plan_threads(4, sessions=2, cpus=cpus)
    assert (threads, config[SPINNING], config[AFFINITIES]) == (2, "0", "5,6,7,8")
    assert plan_threads(4, sessions=9, cpus=cpus).intra_op == 1


def test_another_system_has_none_of_the_files(tmp_path):
    cpus = find_cpus(str(tmp_path), range(4), 4)
    assert cpus == ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), None, 4)


def test_files_with_nonsense_are_as_good_as_none(tmp_path):
    files = {"proc/self/cgroup": "x\n::\n0::", "sys/fs/cgroup/cpu.max": "much of it", **cpu_files("cpu_capacity", "ab")}
    assert find_cpus(machine(tmp_path, files), range(2), 2) == ((0, 1), (0, 1), (0, 1), None, 2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_this_machine():
    before = os.sched_getaffinity(0)
    assert find_cpus().usable == tuple(sorted(before))
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cpus() == 1
        # 0 is onnxruntime's choice, which would count every CPU
        assert plan_threads(0).intra_op == (0 if os.cpu_count() == 1 else 1)
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("max 100000\n", None), ("200000 100000\n", 2), ("1000 100000\n", 0.01), ("", None), ("x y", None), ("1 0", None)],
)
def test_quota(text, cpus):
    assert quota_of(text) == cpus
