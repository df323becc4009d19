"""Which CPUs this process may use, and how many threads a session takes of them.

Sources: Linux's Documentation/admin-guide/cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst (cgroup v1's
cpu.cfs_quota_us), ABI/testing/sysfs-devices-system-cpu (cpu_capacity), admin-guide/pm/cpufreq.rst (cpuinfo_max_freq).
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SPINNING = "session.intra_op.allow_spinning"
AFFINITIES = "session.intra_op_thread_affinities"

# A CPU below this share of the strongest one's capacity is a little one: a Cortex-A55 beside an A76 has 0.4, the
# middle cluster beside a prime core 0.75 and more. Of two clusters' clocks the little one's is nearer: 0.75.
_LITTLE_CAPACITY = 0.6
_LITTLE_CLOCK = 0.8


class Cpus(NamedTuple):
    """What this process may use of the machine.

    Attributes:
        usable: the logical CPUs it may run on, by number, in order.
        cores: one of each physical core among the big ones of those: what threads are counted by.
        big: those of `usable` that are not little ones; all of them where all are alike.
        quota: how many CPUs' time the container grants, as 1.5; None: all of it.
        total: how many logical CPUs the machine has.
    """

    usable: tuple[int, ...]
    cores: tuple[int, ...]
    big: tuple[int, ...]
    quota: float | None
    total: int

    @property
    def limit(self) -> int:
        """The most threads that can run at once: the usable CPUs or the quota, rounded up."""
        return len(self.usable) if self.quota is None else max(1, min(len(self.usable), math.ceil(self.quota)))


class ThreadPlan(NamedTuple):
    """What one session is given.

    Attributes:
        intra_op: threads; 0 leaves the number to onnxruntime.
        config: entries for the session's configuration, in place of the manifest's of the same key.
    """

    intra_op: int
    config: Mapping[str, str]


def plan_threads(profile: int, asked: int | None = None, sessions: int = 1, cpus: Cpus | None = None) -> ThreadPlan:
    """Threads for each of `sessions` sessions that run side by side.

    They stay on the big cores unless the caller asks for more: an operator's threads wait for the slowest of them. They
    don't spin where that takes time from a quota, or from the threads of another session.

    Args:
        profile: the manifest's number in all, never more than the big CPUs; 0: a thread for each big core.
        asked: the caller's in its place, never more than the CPUs there are; 0 as above.
        sessions: among how many they are divided; each gets one at least.
        cpus: the machine; None: this one.
    """
    cpus = cpus or find_cpus()
    wanted = asked if asked is not None else min(profile, len(cpus.big))
    alike = len(cpus.big) == cpus.total and cpus.limit == cpus.total
    if not wanted and sessions == 1 and alike:  # onnxruntime counts the cores itself, and pins a thread to each
        return ThreadPlan(0, {})
    intra_op = max(1, min(wanted or len(cpus.cores), cpus.limit) // sessions)
    config = {}
    if sessions > 1 or (cpus.quota is not None and cpus.quota < len(cpus.usable)):
        config[SPINNING] = "0"
    if 1 < intra_op <= len(cpus.big) < len(cpus.usable):
        # One entry for each thread but the caller's; onnxruntime counts CPUs from 1.
        config[AFFINITIES] = ";".join([",".join(str(cpu + 1) for cpu in cpus.big)] * (intra_op - 1))
    return ThreadPlan(intra_op, config)


def find_cpus(root: str = "/", affinity: Iterable[int] | None = None, total: int | None = None) -> Cpus:
    """The CPUs this process may use.

    Args:
        root: where `proc` and `sys` are; other systems than Linux lack them, and are taken as they count themselves.
        affinity: numbers of the CPUs it may run on, its cpuset considered; None: as the system says.
        total: how many CPUs there are; None: as the system says.
    """
    total = total or os.cpu_count() or 1
    if affinity is None:
        affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(total)
    usable = tuple(sorted(affinity))
    big = _big(root, usable)
    return Cpus(usable, _one_a_core(root, big), big, _quota(root), total)


def usable_cpus() -> int:
    """How many CPUs this process may use: its affinity, and its container's quota."""
    return find_cpus().limit


def quota_of(cpu_max: str) -> float | None:
    """CPUs that `cpu.max` of cgroup v2 grants ("QUOTA PERIOD" in microseconds); None for no limit."""
    quota, _, period = cpu_max.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):  # "max 100000"
        return None
    return int(quota) / int(period)


def _quota(root: str) -> float | None:
    """The smallest quota among this process's control groups and those they are within."""
    found = []
    for folder, unified in _groups(root):
        if unified:
            quota = quota_of(_read(folder, "cpu.max"))
        else:  # -1 is no limit
            quota = quota_of(f"{_read(folder, 'cpu.cfs_quota_us').strip()} {_read(folder, 'cpu.cfs_period_us')}")
        if quota is not None:
            found.append(quota)
    return min(found, default=None)


def _groups(root: str) -> Iterator[tuple[str, bool]]:
    """The folders of the groups that may limit CPU time, and whether they are of version 2."""
    base = os.path.join(root, "sys/fs/cgroup")
    # Without a line of its own the folder's root is looked at: a container's group is often mounted there.
    lines = _read(root, "proc/self/cgroup").splitlines() or ["0::/"]
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            mounts = [(base, True), (os.path.join(base, "unified"), True)]
        elif "cpu" in controllers.split(","):
            mounts = [(os.path.join(base, controllers), False), (os.path.join(base, "cpu"), False)]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for mount, unified in mounts:
            for depth in range(len(parts) + 1):
                yield os.path.join(mount, *parts[:depth]), unified


def _big(root: str, usable: tuple[int, ...]) -> tuple[int, ...]:
    """The CPUs among `usable` that are not little ones."""
    for file, share in (("cpu_capacity", _LITTLE_CAPACITY), ("cpufreq/cpuinfo_max_freq", _LITTLE_CLOCK)):
        texts = [_read(_cpu(root, cpu), file).strip() for cpu in usable]
        if all(text.isdigit() for text in texts) and len(set(texts)) > 1:
            power = [int(text) for text in texts]
            return tuple(cpu for cpu, own in zip(usable, power) if own >= share * max(power))
    return usable


def _one_a_core(root: str, cpus: tuple[int, ...]) -> tuple[int, ...]:
    """The first of each physical core's logical CPUs."""
    found, taken = [], set()
    for cpu in cpus:
        if cpu not in taken:
            found.append(cpu)
            taken |= _numbers(_read(_cpu(root, cpu), "topology/thread_siblings_list"))
    return tuple(found)


def _numbers(listed: str) -> set[int]:
    """A list of CPUs as the kernel writes it, "0-3,8"."""
    pairs = re.findall(r"(\d+)(?:-(\d+))?", listed)
    return {cpu for first, last in pairs for cpu in range(int(first), int(last or first) + 1)}


def _cpu(root: str, cpu: int) -> str:
    return os.path.join(root, "sys/devices/system/cpu", f"cpu{cpu}")


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
