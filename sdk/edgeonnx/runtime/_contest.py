"""Times ways to run a model against each other, so that whatever else the machine does falls on all of them.

Contenders run in turns, round after round; what counts is the ratio of two turns of the same round. The worse half is
left out, round by round, until few are left ("successive halving": K. Jamieson, A. Talwalkar, Non-stochastic Best Arm
Identification and Hyperparameter Optimization, 2016).
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import DeviceError, EdgeonnxError, first_line
from ._selftest import golden_inputs, golden_outputs, require_golden, worst_element
from ._session import create_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    import onnxruntime as ort
    from numpy.typing import NDArray

    from ._bundle import Bundle
    from ._manifest import Variant
    from ._tuned import Setup

# A turn takes about so long: much longer than the clock's grain, short enough for many rounds.
_TURN = 0.03
_MOST_RUNS = 200
# onnxruntime's threads spin for some tens of milliseconds after a run; who comes next must not pay for that. On a busy
# machine such a thread may have to wait for its CPU: one quiet moment does not show that it has ended.
_PAUSE, _LONGEST_PAUSE = 0.004, 0.4
_QUIET = 3
_IDLE = 0.1


class Turn(NamedTuple):
    """One turn of a contender: seconds and CPU seconds, of all threads, a run."""

    seconds: float
    cpu: float


class Golden:
    """The golden samples of a bundle, read once.

    Raises:
        BundleError: there are none.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.inputs = [golden_inputs(bundle, i).inputs for i in range(require_golden(bundle))]
        self._outputs: dict[str, list[list[NDArray[Any]]]] = {}

    def outputs(self, variant: Variant) -> list[list[NDArray[Any]]]:
        """What a variant gives for each."""
        if variant.name not in self._outputs:
            found = [golden_outputs(self._bundle, i, variant) for i in range(len(self.inputs))]
            self._outputs[variant.name] = found
        return self._outputs[variant.name]


class Contender:
    """One way to run the model.

    Args:
        bundle: an opened bundle.
        setup: the way.
        policy: what counts; one of `POLICIES`.
        golden: the bundle's samples: the first is what is timed, all must come out right.

    Attributes:
        turns: what was measured.
        ratios: of each turn, the reference's in the same round over it: above 1 this is the better one.
        fault: why it is out; empty if it runs.
    """

    def __init__(self, bundle: Bundle, setup: Setup, policy: str, golden: Golden) -> None:
        self.setup = setup
        self.turns: list[Turn] = []
        self.ratios: list[float] = []
        self.fault = ""
        self._bundle, self._policy, self._golden = bundle, policy, golden
        (self._variant,) = (each for each in bundle.manifest.variants if each.name == setup.variant)
        self._names = [spec.name for spec in bundle.manifest.outputs]
        self._sessions: list[ort.InferenceSession] = []
        self._executor: ThreadPoolExecutor | None = None
        self._runs = 1

    @property
    def ratio(self) -> float:
        """The median ratio; 0 if nothing was measured."""
        return float(np.median(self.ratios)) if self.ratios else 0.0

    def open(self) -> bool:
        """Make the sessions and run the golden samples; False, and why in `fault`, if that goes wrong."""
        if self._sessions or self.fault:
            return not self.fault
        setup = self.setup
        try:
            self._bundle.verify((self._variant.file, *self._variant.weights))
            self._sessions = [
                create_session(self._bundle, self._variant, setup.threads, setup.sessions, setup=setup)
                for _ in range(setup.sessions)
            ]
            self.fault = self._difference()
        except EdgeonnxError as error:
            self.fault = first_line(error).replace(f"{self._bundle.name}: ", "", 1)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            self.fault = f"does not run: {first_line(error)}"
        if self.fault:
            self.close()
            return False
        if setup.sessions > 1:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(setup.sessions)
        start = time.perf_counter()
        self._run()
        self._runs = max(1, min(_MOST_RUNS, int(_TURN / max(time.perf_counter() - start, 1e-6))))
        return True

    def forget(self) -> None:
        """Begin anew: no sessions, nothing measured."""
        self.close()
        self.turns, self.ratios = [], []

    def record(self, turn: Turn, usual: Turn) -> None:
        """Keep a turn, and its ratio with the reference's in the same round."""
        self.turns.append(turn)
        own, other = (each.cpu if self._policy == "battery" else each.seconds for each in (turn, usual))
        if own and other:  # a clock may be too coarse to see a run
            self.ratios.append(other / own)

    def close(self) -> None:
        """Let go of the sessions; what was measured stays."""
        self._sessions = []
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def try_turn(self) -> Turn | None:
        """Run for a while; None, and why in `fault`, if a run fails, for want of memory or of a device."""
        try:
            return self.turn()
        except Exception as error:  # onnxruntime's own exceptions share no base class
            self.fault = f"does not run: {first_line(error)}"
            self.close()
            return None

    def turn(self) -> Turn:
        """Run for a while."""
        rest()
        if self._policy == "battery":
            return self._spaced()
        for session in self._sessions if self._runs > 1 else ():  # the caches are another's
            self._run(session)
        return self._together() if self._policy == "throughput" else self._alone()

    def _alone(self) -> Turn:
        """One run after another: the median of their times."""
        times = np.empty(self._runs)
        cpu = time.process_time()
        for i in range(self._runs):
            start = time.perf_counter()
            self._run()
            times[i] = time.perf_counter() - start
        return Turn(float(np.median(times)), (time.process_time() - cpu) / self._runs)

    def _together(self) -> Turn:
        """All sessions at once, each with a caller of its own: the time that passes, over all runs."""
        cpu, start = time.process_time(), time.perf_counter()
        end = start + _TURN

        def work(session: ort.InferenceSession) -> int:
            runs = 0
            while not runs or time.perf_counter() < end:
                self._run(session)
                runs += 1
            return runs

        runs = work(self._sessions[0]) if self._executor is None else sum(self._executor.map(work, self._sessions))
        return Turn((time.perf_counter() - start) / runs, (time.process_time() - cpu) / runs)

    def _spaced(self) -> Turn:
        """One run at a time, until all threads rest: what a device pays that infers now and then."""
        runs = max(1, min(self._runs, 3))
        times, cpu = np.empty(runs), 0.0
        for i in range(runs):
            start, used = time.perf_counter(), time.process_time()
            self._run()
            times[i] = time.perf_counter() - start
            cpu += time.process_time() - used + rest()
        return Turn(float(np.median(times)), cpu / runs)

    def _run(self, session: ort.InferenceSession | None = None) -> list[Any]:
        found: list[Any] = (session or self._sessions[0]).run(self._names, self._golden.inputs[0])
        return found

    def _difference(self) -> str:
        """How an output differs from the golden one by more than its tolerance; empty if none does."""
        for i, expected in enumerate(self._golden.outputs(self._variant)):
            got = self._sessions[0].run(self._names, self._golden.inputs[i])
            for name, one, other in zip(self._names, got, expected):
                difference, allowed = worst_element(one, other, self._variant.tolerance[name])
                if not difference <= allowed:
                    return f"{name} differs by {difference:.3g} in golden sample {i}, {allowed:.3g} is allowed"
        return ""


def rest() -> float:
    """Wait until this process's other threads rest, some tenths of a second at most.

    Returns:
        CPU seconds that they took meanwhile.
    """
    taken, quiet, end = 0.0, 0, time.perf_counter() + _LONGEST_PAUSE
    while quiet < _QUIET and time.perf_counter() < end:
        all_threads, own = time.process_time(), time.thread_time()
        time.sleep(_PAUSE)
        busy = (time.process_time() - all_threads) - (time.thread_time() - own)
        taken += max(busy, 0.0)
        quiet = quiet + 1 if busy < _IDLE * _PAUSE else 0
    return taken


def heat(reference: Contender, others: Sequence[Contender], until: float) -> None:
    """Rounds of all in turns; who goes first changes from round to round.

    Args:
        reference: what ratios are formed with; opened, as the others.
        others: those measured against it.
        until: when to end, by time.perf_counter(); a round is finished, and there is one at least.

    Raises:
        DeviceError: a run of the reference fails.
    """
    order = [reference, *others]
    while True:
        turns = [(each, each.try_turn()) for each in order]
        usual = next(turn for each, turn in turns if each is reference)
        if usual is None:
            raise DeviceError(f"the bundle's own settings no longer run: {reference.fault}")
        for each, turn in turns:
            if turn is not None:
                each.record(turn, usual)
        order = [each for each in reversed(order) if not each.fault]
        if time.perf_counter() >= until:
            return


def halve(reference: Contender, others: Iterable[Contender], until: float, seats: int, keep: int) -> list[Contender]:
    """Heats, after each of which the worse half leaves.

    Args:
        reference: as in `heat`; it always runs, and is among those left if it is one of the best.
        others: those measured against it. Those for which there is no time are not opened.
        until: when to end, by time.perf_counter().
        seats: how many have their sessions in memory at a time.
        keep: how many are left in the end.

    Returns:
        Those left, the best first, closed.
    """
    live = [each for each in others if each is not reference]
    while live:
        groups = [live[i : i + seats] for i in range(0, len(live), seats)]
        levels = max(1, math.ceil(math.log2(len(live) / keep)))
        for i, group in enumerate(groups):
            opened = [each for each in group if time.perf_counter() < until and each.open()]
            now = time.perf_counter()
            if opened:
                heat(reference, opened, now + (until - now) / (levels * (len(groups) - i)))
            if len(groups) > 1:
                for each in group:
                    each.close()
        ranked = sorted((each for each in live if each.ratios and not each.fault), key=lambda each: -each.ratio)
        live = ranked[: max(keep, len(ranked) // 2)]
        for each in ranked[len(live) :]:
            each.close()
        if len(ranked) <= keep or levels == 1:
            break
    left = sorted([reference, *live], key=lambda each: -each.ratio)[:keep]
    for each in live:
        each.close()
    return left
