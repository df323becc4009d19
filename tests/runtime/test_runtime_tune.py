"""What is tried on a machine, how a winner is found, and the profile that load() then reads."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from runtime_bundles import add_model, golden_outputs, model, npy, variant_of, write_bundle

from edgeonnx.runtime import BundleError, DeviceError, InputError, load
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._choices import details, divisions, is_choice, places, thread_counts
from edgeonnx.runtime._contest import Contender, Golden, Turn, halve
from edgeonnx.runtime._cpus import Cpus
from edgeonnx.runtime._findings import as_table
from edgeonnx.runtime._manifest import Provider
from edgeonnx.runtime._significance import better, interval
from edgeonnx.runtime._tune import choose, seats, tune
from edgeonnx.runtime._tuned import Setup, Tuned, cpu_name, fingerprint, read_tuned, write_tuned

CPU = Provider("CPUExecutionProvider")
OPENVINO = Provider("OpenVINOExecutionProvider", {"device_type": "CPU"})
DEFAULT = Setup("slow", (CPU,))
SAMPLE = {"x": np.random.default_rng(0).random((1, 64), np.float32)}
FOUR = Cpus((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), None, 4)


def chain(length, offset=0.0):
    """y = x of shape [1, 64], by way of `length` products with the identity, plus `offset`."""
    value = (TensorProto.FLOAT, [1, 64])
    nodes = [helper.make_node("Add", ["x", "offset"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(length)]
    nodes.append(helper.make_node("Identity", [f"h{length}"], ["y"]))
    weights = {"w": np.eye(64, dtype=np.float32), "offset": np.float32(offset)}
    return model(nodes, [("x", *value)], [("y", *value)], weights)


@pytest.fixture
def bundle(tmp_path) -> Path:
    """Four variants: a slow one, a fast one that is wrong, one that is right, and one that is no model."""

    def change(manifest, entries):
        import hashlib

        protos = {"slow": chain(500), "wrong": chain(1, 0.5), "fast": chain(1), "broken": chain(1)}
        del entries["model.onnx"], entries["golden/0/float32/output0.npy"]
        manifest["variants"] = [variant_of(proto, name, f"{name}.onnx") for name, proto in protos.items()]
        for name, proto in protos.items():
            entries[f"{name}.onnx"] = b"no model" if name == "broken" else proto.SerializeToString()
            entries[f"golden/0/{name}/output0.npy"] = npy(golden_outputs(chain(1), SAMPLE)[0])
        manifest["files"] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in entries.items()
        }

    folder = tmp_path / "bundle"
    folder.mkdir()
    return write_bundle(folder / "a.edge", chain(1), [SAMPLE], runtime=True, change=change)


def write(bundle, setup, policy="latency"):
    """A profile beside a bundle."""
    path = f"{bundle}.tuned"
    write_tuned(path, open_bundle(bundle), Tuned(policy, setup), {})
    return Path(path)


# With real sessions.


@pytest.mark.parametrize("policy", ["latency", "throughput", "battery"])
def test_the_fast_one_wins_and_load_takes_it(bundle, policy):
    report = tune(bundle, policy, budget=8)
    first, *others = report.candidates
    assert (first.setup, first.verdict) == (DEFAULT, "the bundle's own")
    (winner,) = (each for each in others if each.verdict == "wins")
    assert report.winner == winner.name
    assert winner.setup.variant == "fast"
    assert 1 < winner.low <= winner.ratio <= winner.high
    assert winner.median_us < first.median_us
    verdicts = {each.setup.variant: each.verdict for each in others}
    assert verdicts["wrong"].startswith("y differs by 0.5 in golden sample 0")
    assert "can't load broken.onnx" in verdicts["broken"]
    with load(bundle) as opened:
        assert opened.variant.name == "fast"
        assert opened.sessions == winner.setup.sessions
        assert opened.notices == (f"a.edge.tuned: settings measured on this machine for {policy}",)
        np.testing.assert_array_equal(opened.run(SAMPLE)["y"], SAMPLE["x"])
    assert [path.name for path in sorted(bundle.parent.iterdir())] == ["a.edge", "a.edge.tuned"]


def test_a_bundle_tunes_itself_without_the_sdk(bundle):
    command = [sys.executable, "-I", "-W", "error", str(bundle), "tune", "--budget", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["path"] == f"{bundle}.tuned"
    assert report["candidates"][0]["setup"] == DEFAULT.to_dict()
    profile = json.loads(Path(report["path"]).read_text())
    assert [each["name"] for each in profile["figures"]["candidates"]] == [c["name"] for c in report["candidates"]]
    table = subprocess.run([*command[:-3], "--budget", "1"], capture_output=True, text=True, check=True, timeout=120)
    assert table.stdout.splitlines()[0].split() == [
        *("settings", "us", "a", "run", "CPU", "us", "a", "run", "gain", "95", "%", "interval", "verdict")
    ]


def test_too_short_a_budget_leaves_the_default(add_bundle, tmp_path):
    profile = tmp_path / "add.tuned"
    report = tune(add_bundle, budget=0.01, output=profile)
    assert report.winner is None
    assert "not reached within the budget" in {each.verdict for each in report.candidates}
    assert json.loads(profile.read_text())["setup"] is None
    assert load(add_bundle, tuned=profile).notices == ()
    assert len(as_table(report)) == 1 + len(report.candidates)


def test_what_can_not_be_used(add_bundle, bundle, tmp_path):
    for arguments, message in [
        ({"policy": "speed"}, "policy: expected one of latency, throughput, battery, got 'speed'"),
        ({"budget": 0}, "budget: expected a number of seconds above 0, got 0"),
        ({"budget": float("nan")}, "got nan"),
        ({"output": tmp_path / "no" / "such"}, "No such file or directory; write elsewhere with -o FILE"),
        ({"output": tmp_path}, "Is a directory"),
        ({"output": add_bundle}, "is the bundle itself"),
    ]:
        with pytest.raises(InputError, match=message):
            tune(add_bundle, **arguments)
    assert not Path(f"{add_bundle}.tuned").exists()
    empty = write_bundle(tmp_path / "b.edge", add_model())
    with pytest.raises(BundleError, match="no golden samples"):
        tune(empty, budget=1)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["b.edge"]


def test_a_default_that_is_wrong_here(tmp_path):
    def change(manifest, entries):
        import hashlib

        data = entries["golden/0/float32/output0.npy"] = npy(np.ones((1, 64), np.float32))
        manifest["files"]["golden/0/float32/output0.npy"]["sha256"] = hashlib.sha256(data).hexdigest()

    path = write_bundle(tmp_path / "a.edge", chain(1), [SAMPLE], change=change)
    with pytest.raises(DeviceError, match="own settings do not do here: y differs by"):
        tune(path, budget=1)
    assert [each.name for each in tmp_path.iterdir()] == ["a.edge"]


def test_an_interruption_leaves_what_was_there(bundle):
    before = write(bundle, None).read_bytes()

    def interrupt(stage, _done, _total):
        if stage == "threads":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(bundle, budget=1, progress=interrupt)
    assert Path(f"{bundle}.tuned").read_bytes() == before
    assert len(list(bundle.parent.iterdir())) == 2


# The profile.


def test_every_setting_reaches_onnxruntime(bundle):
    setup = Setup("fast", (CPU,), 2, 2, None, arena=False, pattern=False, graph_optimization="basic")
    write(bundle, setup)
    with load(bundle) as opened:
        options = opened.session.get_session_options()
        assert opened.sessions == 2
        assert options.intra_op_num_threads == 1
        assert not options.enable_cpu_mem_arena
        assert not options.enable_mem_pattern
        assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    write(bundle, Setup("fast", (CPU,), 1, spinning=True))
    with load(bundle) as opened:  # the manifest says 0
        assert opened.session.get_session_options().get_session_config_entry("session.intra_op.allow_spinning") == "1"


def test_what_the_caller_asks_for_goes_first(bundle):
    write(bundle, Setup("fast", (CPU,), 2, 2))
    assert load(bundle, sessions=1).sessions == 1
    assert load(bundle, threads=1, sessions=1).session.get_session_options().intra_op_num_threads == 1
    for ignoring in ({"tuned": False}, {"memory": "fast"}, {"variant": "slow"}):
        opened = load(bundle, **ignoring)
        assert (opened.variant.name, opened.sessions, opened.notices) == ("slow", 1, ())
    assert load(bundle, variant="fast").sessions == 2
    with pytest.raises(InputError, match=r"none\.tuned does not exist"):
        load(bundle, tuned="none.tuned")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["bundle"], "0" * 64, "was measured with another bundle"),
        (["machine", "cpu"], "Z80", "was measured with another machine"),
        (["machine", "limit"], 999, "was measured with another machine"),
        (["onnxruntime", "version"], "1.0", "was measured with another onnxruntime"),
        (["schema"], 2, "is of schema 2, this runtime knows 1"),
        (["policy"], "speed", "policy: expected one of latency, throughput, battery, got 'speed'"),
        (["setup", "variant"], "none", "setup.variant: expected one of slow, wrong, fast, broken"),
        (["setup", "variant"], "wrong", "y differs from the first golden sample's"),
        (["setup", "variant"], "broken", "can't load broken.onnx"),
        (["setup", "sessions"], 0, "setup.sessions: expected an integer of at least 1, got 0"),
        (["setup", "arena"], 1, "setup.arena: expected true or false, got 1"),
        (["setup", "providers"], [], "setup.providers: expected those that tune may try"),
        (["setup", "providers", 0, "name"], "QNNExecutionProvider", "expected those that tune may try"),
        (["setup", "providers", 0, "options"], {"backend_path": "/tmp/evil.so"}, "expected those that tune may try"),
        (["setup"], [], "setup: expected an object, got []"),
    ],
)
def test_a_profile_that_does_not_hold_is_left_aside(bundle, path, value, said):
    profile = write(bundle, Setup("fast", (CPU,)))
    content = json.loads(profile.read_text())
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    profile.write_text(json.dumps(content))
    opened = load(bundle)
    assert opened.variant.name == "slow"
    (notice,) = opened.notices
    assert notice.startswith("a.edge.tuned")
    assert said in notice
    assert notice.endswith("the bundle's own settings are used; run `tune` again")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema": 1}', b"{}"])
def test_a_corrupt_profile_is_left_aside(bundle, data):
    Path(f"{bundle}.tuned").write_bytes(data)
    opened = load(bundle)
    assert opened.variant.name == "slow"
    assert len(opened.notices) == 1


def test_a_profile_is_the_same_but_for_figures(bundle):
    first = write(bundle, DEFAULT).read_bytes()
    assert write(bundle, DEFAULT).read_bytes() == first
    assert read_tuned(open_bundle(bundle), f"{bundle}.tuned") == ("latency", DEFAULT)
    assert fingerprint(open_bundle(bundle))["onnxruntime"]["version"] == ort.__version__


# How a winner is found.


def test_the_interval_of_a_median():
    """Ranks as in tables of the sign test: 1st and 6th of 6, 2nd and 9th of 10, 6th and 15th of 20."""
    assert interval([1.0] * 5) is None
    assert interval([3, 1, 2, 6, 5, 4]) == (1, 6)
    assert interval(list(range(1, 11))) == (2, 9)
    assert interval(list(range(1, 21))) == (6, 15)


def test_the_interval_holds_the_median_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [interval(list(rng.lognormal(0, 1, 15))) for _ in range(2000)]
    assert 0.94 <= np.mean([low <= 1 <= high for low, high in found]) <= 0.98


def test_an_advantage_beyond_noise():
    rng = np.random.default_rng(1)
    noise = rng.lognormal(0, 0.1, 30)
    assert better(1.5 * noise, noise)
    assert not better(noise, noise)
    assert not better([1.5] * 5, [1.0] * 5)  # too few
    assert not better([1.01] * 30, [1.0] * 30)  # too little
    assert not better([1.2] * 30, [1.3] * 30)  # the default's second session did as well
    wide = np.where(np.arange(30) % 2, 3.0, 0.8)
    assert not better(wide, noise)


def test_chance_makes_no_winner():
    """The same settings against themselves, 300 times: next to none wins."""
    rng = np.random.default_rng(2)
    assert sum(better(rng.lognormal(0, 0.2, 20), rng.lognormal(0, 0.2, 20)) for _ in range(300)) <= 6


class Told(Contender):
    """A contender whose figures are given: seconds and CPU seconds a run, the same in every turn."""

    def __init__(self, bundle, policy, seconds, cpu=1.0):
        super().__init__(bundle, DEFAULT, policy, Golden(bundle))
        self.told, self.opened, self.closed = Turn(seconds, cpu), 0, 0

    def open(self):
        self.opened += 1
        return True

    def close(self):
        self.closed += 1

    def turn(self):
        time.sleep(0.0005)
        return self.told


@pytest.mark.parametrize("seats_", [2, 3, 20])
@pytest.mark.parametrize(("policy", "expected"), [("latency", [0.5, 0.7]), ("battery", [3.0, 2.9])])
def test_halving_keeps_the_best(bundle, policy, expected, seats_):
    opened = open_bundle(bundle)
    pairs = [(2.0, 1.0), (0.5, 2.0), (0.7, 3.0), (0.9, 2.5), (3.0, 0.1), (2.9, 0.2), (1.1, 1.1), (1.2, 1.2)]
    told = [Told(opened, policy, *pair) for pair in pairs]
    reference = Told(opened, policy, 1.0, 1.0)
    left = halve(reference, told, time.perf_counter() + 0.2, seats_, 2)
    assert [each.told.seconds for each in left] == expected
    assert left[0].ratio == pytest.approx(2.0 if policy == "latency" else 10.0)
    assert len(left[0].turns) >= len(told[0].turns)
    assert all(each.closed for each in told)


def test_a_reference_that_is_the_best_is_kept(bundle):
    opened = open_bundle(bundle)
    reference = Told(opened, "latency", 1.0)
    assert halve(reference, [Told(opened, "latency", 2.0)], time.perf_counter() + 0.05, 4, 1) == [reference]
    assert halve(reference, [], time.perf_counter() + 0.05, 4, 2) == [reference]


def test_a_run_that_fails_puts_one_out(bundle):
    class Fails(Told):
        def turn(self):
            if len(self.turns) == 3:
                raise RuntimeError("out of memory\nat line 3")
            return super().turn()

    opened = open_bundle(bundle)
    reference, failing, good = Told(opened, "latency", 1.0), Fails(opened, "latency", 0.1), Told(opened, "latency", 0.5)
    left = halve(reference, [failing, good], time.perf_counter() + 0.1, 4, 2)
    assert left == [good, reference]
    assert (failing.fault, len(failing.turns)) == ("does not run: out of memory", 3)
    with pytest.raises(DeviceError, match="no longer run: does not run: out of memory"):
        halve(Fails(opened, "latency", 1.0), [good], time.perf_counter() + 0.1, 4, 2)


def test_of_two_winners_the_better(bundle):
    opened = open_bundle(bundle)
    one, two, three, twin = (Told(opened, "latency", 1.0) for _ in range(4))
    one.ratios, two.ratios, three.ratios, twin.ratios = [1.5] * 9, [1.6] * 9, [9.0, 0.1] * 9, [1.0] * 9
    assert choose([one, two, three], twin) is two
    one.ratios, one.setup = [1.59] * 9, DEFAULT._replace(threads=1)
    two.setup = one.setup._replace(arena=False)
    assert choose([two, one], twin) is one  # as good, and less of a change
    assert choose([three], twin) is None
    assert choose([], twin) is None


# What is tried.


def test_places(bundle):
    manifest = open_bundle(bundle).manifest
    available = ["OpenVINOExecutionProvider", "QNNExecutionProvider", "AzureExecutionProvider", CPU.name]
    found = list(places(manifest, available, frozenset(), DEFAULT))
    assert found[0] == DEFAULT
    assert {each.variant for each in found} == {"slow", "wrong", "fast", "broken"}
    names = {(each.providers[0].name, *each.providers[0].options.values()) for each in found}
    assert names == {(CPU.name,), *((OPENVINO.name, device) for device in ("CPU", "GPU", "NPU"))}
    needy = manifest._replace(variants=(manifest.variants[0], manifest.variants[1]._replace(features=("i8mm",))))
    assert {each.variant for each in places(needy, available, frozenset(), DEFAULT)} == {"slow"}
    bound = manifest._replace(variants=(manifest.variants[0]._replace(providers=(Provider("Q", {"soc": "60"}),)),))
    assert {each.providers[0].name for each in places(bound, available, frozenset(), DEFAULT)} == {CPU.name, "Q"}


def test_divisions():
    alone = list(divisions(DEFAULT, FOUR, "latency"))
    assert {(each.threads, each.spinning) for each in alone} == {
        (1, None),
        *((threads, spinning) for threads in (2, 3, 4) for spinning in (True, False)),
    }
    many = [each for each in divisions(DEFAULT, FOUR, "throughput") if each.sessions > 1]
    assert {(each.sessions, each.threads) for each in many} == {(2, 4), (3, 4), (4, 4)}
    own = list(divisions(DEFAULT._replace(providers=(OPENVINO, CPU)), FOUR, "throughput"))
    assert {(each.sessions, each.providers[0].options["num_of_threads"]) for each in own} == {
        *((1, threads) for threads in "1234"),
        *((2, "2"), (3, "1"), (4, "1")),
    }
    gpu = Provider(OPENVINO.name, {"device_type": "GPU"})
    assert list(divisions(DEFAULT._replace(providers=(gpu,)), FOUR, "throughput")) == []


def test_thread_counts():
    assert thread_counts(Cpus((0,), (0,), (0,), None, 1)) == [1]
    assert thread_counts(FOUR) == [1, 2, 3, 4]
    assert thread_counts(FOUR._replace(quota=1.5)) == [1, 2]
    big = Cpus(tuple(range(8)), (4, 5, 6, 7), (4, 5, 6, 7), None, 8)
    assert thread_counts(big) == [1, 2, 3, 4, 8]


def test_details(bundle):
    manifest = open_bundle(bundle).manifest
    found = list(details(DEFAULT, manifest))
    assert {each.graph_optimization for each in found} == {None, "disabled", "basic", "extended"}
    assert {(each.arena, each.pattern) for each in found} == {(a, p) for a in (True, False) for p in (True, False)}
    small = manifest._replace(session=manifest.session._replace(memory="small"))
    assert all(each.pattern for each in details(DEFAULT, small))


def test_what_tune_itself_tries_may_be_in_a_profile(bundle):
    manifest = open_bundle(bundle).manifest
    available = ["OpenVINOExecutionProvider", "XNNPACKExecutionProvider", CPU.name]
    for place in places(manifest, available, frozenset(), DEFAULT):
        for setup in (place, *divisions(place, FOUR, "throughput")):
            assert all(is_choice(provider, manifest) for provider in setup.providers)
    for options in ({"load_config": "x.json"}, {"num_of_threads": "many"}, {"device_type": "CPU", "cache_dir": "/"}):
        assert not is_choice(Provider(OPENVINO.name, options), manifest)


def test_seats():
    """A heat's sessions fit into half of what memory is free; one beside the reference always runs."""
    assert seats(10 << 20, 1 << 40) == 12
    assert seats(100 << 20, 4 << 30) == 3
    assert seats(1 << 30, 1 << 30) == 1
    assert 1 <= seats(1) <= 12


def test_the_cpus_name(tmp_path):
    assert cpu_name(str(tmp_path)) == ""
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    info = tmp_path / "proc" / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Ryzen\nprocessor\t: 1\nmodel name\t: Ryzen\n")
    assert cpu_name(str(tmp_path)) == "Ryzen"
    info.write_text("CPU part\t: 0xd05\nCPU part\t: 0xd0b\n")
    (tmp_path / "proc" / "device-tree" / "model").write_bytes(b"Radxa ROCK 5B\0")
    assert cpu_name(str(tmp_path)) == "Radxa ROCK 5B, part 0xd05, part 0xd0b"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_can_not_be_written(bundle):
    bundle.parent.chmod(0o555)
    try:
        with pytest.raises(InputError, match="Permission denied; write elsewhere with -o FILE"):
            tune(bundle, budget=1)
    finally:
        bundle.parent.chmod(0o755)
