"""Finds how a bundle runs best on this machine, by measuring, and writes a profile that `load` picks up.

First which variant on which provider; then, around the best of those, threads, spinning and sessions; then how the
graph is optimized and memory taken. What is left runs once more, with new sessions, against the bundle's own settings:
only an advantage that is beyond noise there makes a winner.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import onnxruntime as ort

from ._bundle import open_bundle
from ._choices import describe, details, divisions, places
from ._contest import Contender, Golden, halve, heat
from ._cpus import find_cpus
from ._errors import DeviceError, InputError
from ._findings import TuneReport, findings, rounded
from ._load import load
from ._significance import MARGIN, better
from ._tuned import POLICIES, SUFFIX, Setup, Tuned, check_writable, write_tuned
from ._variants import cpu_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._bundle import Bundle

    Progress = Callable[[str, int, int], None]

# Of the time that is left, what each stage may take. The last comparison takes the rest, and where those before it took
# longer than they should, this share of the whole.
_STAGES = (("providers", 0.2), ("threads", 0.35), ("graph and memory", 0.3))
_LAST = 0.25
_FINALISTS = 2
# A session takes a few times its weights; those of a heat are in memory at the same time.
_COPIES = 4
_BASE = 32 << 20
_MOST_SEATS = 12
# The share of the machine that others may take before figures are in doubt.
_BUSY = 0.5


def tune(
    path: str | os.PathLike[str],
    policy: str = "latency",
    budget: float = 60.0,
    output: str | os.PathLike[str] | None = None,
    progress: Progress = lambda *_: None,
) -> TuneReport:
    """Measure, and write what was found.

    Args:
        path: the `.edge` file.
        policy: `latency`, the time of one run; `throughput`, runs a second with all CPUs; `battery`, CPU seconds a run,
            with a pause after each.
        budget: seconds to measure for; what has begun is finished.
        output: the profile to write; None: NAME.edge.tuned beside the bundle, where `load` looks for it.
        progress: told the stage, how much of the budget is spent, and the budget, in seconds.

    Raises:
        InputError: a policy or budget that is none, or the profile can't be written.
        DeviceError: the bundle does not run here.
        BundleError: it is damaged, or has no golden samples.
    """
    start, notes = time.perf_counter(), tuple(_others())
    if policy not in POLICIES:
        raise InputError(f"policy: expected one of {', '.join(POLICIES)}, got {policy!r}")
    if not 0 < budget < float("inf"):
        raise InputError(f"budget: expected a number of seconds above 0, got {budget:g}")
    target = os.fspath(path) + SUFFIX if output is None else os.fspath(output)
    bundle = open_bundle(path)
    if os.path.exists(target) and os.path.samefile(target, bundle.path):
        raise InputError(f"{target} is the bundle itself; write elsewhere with -o")
    check_writable(target)
    with load(path, verify=False, tuned=False, watch=False) as model:
        default = Setup(model.variant.name, model.variant.providers or bundle.manifest.session.providers)
    # Candidates may fail, and are told of in the report; onnxruntime would shout as well.
    ort.set_default_logger_severity(4)
    try:
        contest = _Contest(bundle, policy, default, start, budget, progress)
        finalists, twin = contest.run()
    finally:
        ort.set_default_logger_severity(2)
    winner = choose(finalists, twin)
    candidates = findings(contest.reference, contest.all, finalists, twin, winner)
    setup = None if winner is None else winner.setup
    figures = {"candidates": [rounded(each) for each in candidates]}
    write_tuned(target, bundle, Tuned(policy, setup), figures)
    name = None if setup is None else describe(setup, default)
    return TuneReport(policy, candidates, name, target, time.perf_counter() - start, notes)


class _Contest:
    """All that is tried with one bundle.

    Attributes:
        reference: the bundle's own settings.
        all: those tried against it, in order.
    """

    def __init__(
        self, bundle: Bundle, policy: str, default: Setup, start: float, budget: float, progress: Progress
    ) -> None:
        self._bundle, self._policy, self._default = bundle, policy, default
        self._end, self._budget, self._progress = start + budget, budget, progress
        self._golden = Golden(bundle)
        self._seats = seats(max(_bytes(bundle, variant.name) for variant in bundle.manifest.variants))
        self.reference = self._contender(default)
        self.all: list[Contender] = []

    def run(self) -> tuple[list[Contender], Contender]:
        """The finalists after the last heat, and a second session of the default's that ran with them.

        Raises:
            DeviceError: the bundle's own settings give other outputs than the golden ones.
        """
        if not self.reference.open():
            raise DeviceError(f"the bundle's own settings do not do here: {self.reference.fault}; see `selftest`")
        manifest, cpus = self._bundle.manifest, find_cpus()
        best = self._stage(0, places(manifest, ort.get_available_providers(), cpu_features(), self._default))
        best = self._stage(1, (s for each in best for s in divisions(each.setup, cpus, self._policy)), best)
        best = self._stage(2, details(best[0].setup, manifest), best)
        self._told("the best")
        finalists = [each for each in best if each is not self.reference]
        twin = self._contender(self._default)
        for each in (self.reference, *finalists):
            # What brought them here was in part luck: they begin anew.
            each.forget()
        entrants = (self.reference, *finalists, twin)
        if finalists and all(each.open() for each in entrants):
            heat(self.reference, entrants[1:], max(self._end, time.perf_counter() + _LAST * self._budget))
        for each in entrants:
            each.close()
        return finalists, twin

    def _stage(self, number: int, setups: Iterable[Setup], before: Sequence[Contender] = ()) -> list[Contender]:
        """The best of `setups` and of those before, the very best first."""
        name, share = _STAGES[number]
        self._told(name)
        known = [self.reference.setup, *(each.setup for each in self.all)]
        new = []
        for setup in setups:
            if setup not in known:
                known.append(setup)
                new.append(self._contender(setup))
        self.all += new
        now = time.perf_counter()
        until = now + share * (self._end - now)
        return halve(self.reference, [*new, *before], until, self._seats, _FINALISTS)

    def _told(self, stage: str) -> None:
        left = max(0.0, self._end - time.perf_counter())
        self._progress(stage, round(self._budget - left), round(self._budget))

    def _contender(self, setup: Setup) -> Contender:
        return Contender(self._bundle, setup, self._policy, self._golden)


def choose(finalists: Sequence[Contender], twin: Contender) -> Contender | None:
    """The best finalist whose advantage is beyond noise; None if none is.

    Of those that are as good as the best, the one that changes the least.

    Args:
        finalists: those that ran in the last heat.
        twin: a second session with the bundle's own settings that ran with them.
    """
    real = [each for each in finalists if better(each.ratios, twin.ratios)]
    best = max((each.ratio for each in real), default=0.0)
    alike = [each for each in real if each.ratio * MARGIN >= best]
    return min(alike, key=lambda each: (_changes(each.setup, twin.setup), -each.ratio), default=None)


def _changes(setup: Setup, default: Setup) -> int:
    return sum(own != usual for own, usual in zip(setup, default))


def seats(model_bytes: int, available: int | None = None) -> int:
    """How many candidates may have their sessions in memory at a time.

    Args:
        model_bytes: of the largest variant.
        available: bytes of memory that are free to take; None: as Linux says, plenty elsewhere.
    """
    if available is None:
        available = _available()
    return max(1, min(_MOST_SEATS, available // 2 // (_COPIES * model_bytes + _BASE) - 1))


def _others() -> Iterator[str]:
    """Says so if other programs keep this machine busy."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    total = os.cpu_count() or 1
    if load > _BUSY * total:
        yield f"other programs were using this machine, a load of {load:.1f} on {total} CPUs: measure when it rests"


def _available(meminfo: str = "/proc/meminfo") -> int:
    try:
        with open(meminfo, encoding="ascii", errors="replace") as file:
            kilobytes = [line.split()[1] for line in file if line.startswith("MemAvailable:")]
        return int(kilobytes[0]) << 10
    except (OSError, IndexError, ValueError):
        return 1 << 40


def _bytes(bundle: Bundle, name: str) -> int:
    (variant,) = (each for each in bundle.manifest.variants if each.name == name)
    return sum(bundle.place(file).size for file in (variant.file, *variant.weights))
