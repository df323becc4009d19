"""Two things timed against each other, in turns, so that whatever else the machine does falls on both."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_BOOTSTRAPS = 400
# What two runs of one model differ by on a busy machine.
_NOISE = 0.03


@dataclass(frozen=True)
class Latency:
    """Latency of single calls, in microseconds."""

    median: float
    p95: float
    runs: int

    @classmethod
    def of(cls, seconds: np.ndarray) -> "Latency":
        """Summary of call times given in seconds, shape (runs,)."""
        return cls(float(np.median(seconds)) * 1e6, float(np.percentile(seconds, 95)) * 1e6, len(seconds))


@dataclass(frozen=True)
class Paired:
    """Two alternating series.

    Attributes:
        first: latency of the first.
        second: latency of the second.
        ratio: median of the first over median of the second: above 1, the second is faster.
        low: lower end of the ratio's 95 % interval.
        high: upper end.
    """

    first: Latency
    second: Latency
    ratio: float
    low: float
    high: float


def slower(speed: Paired | None) -> bool:
    """Whether the second of two was measured to be slower, beyond noise."""
    return speed is not None and speed.high < 1 - _NOISE


def single(call: Callable[[], object], seconds: float = 1.0, runs: int = 30) -> Latency:
    """Time one callable.

    Args:
        call: what to time.
        seconds: how long to go on.
        runs: how many calls at least.
    """
    return Latency.of(_series((call,), seconds, runs)[0])


def paired(
    first: Callable[[], object],
    second: Callable[[], object],
    seconds: float = 1.0,
    runs: int = 30,
    clock: Callable[[], float] = time.perf_counter,
) -> Paired:
    """Time two callables in turns; which goes first changes from turn to turn.

    The interval is a bootstrap over turns (B. Efron, Bootstrap Methods: Another Look at the Jackknife, 1979).

    Args:
        first: the reference.
        second: what is compared with it.
        seconds: how long to go on, both together.
        runs: how many turns at least.
        clock: gives seconds; `time.process_time` leaves out the time that other processes have the processor.
    """
    return compared(*_series((first, second), seconds, runs, clock))


def compared(one: np.ndarray, two: np.ndarray) -> Paired:
    """Two series of call times that were taken in turns, in seconds, shape (runs,) each; see `paired`."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(one), (_BOOTSTRAPS, min(len(one), 1000)))
    ratios = np.median(one[picks], axis=1) / np.median(two[picks], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    ratio = float(np.median(one) / np.median(two))
    return Paired(Latency.of(one), Latency.of(two), ratio, float(low), float(high))


def _series(
    calls: tuple[Callable[[], object], ...], seconds: float, runs: int, clock: Callable[[], float] = time.perf_counter
) -> list[np.ndarray]:
    for call in calls:
        for _ in range(3):
            call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    turn = 0
    while turn < runs or time.perf_counter() < end:
        order = range(len(calls)) if turn % 2 == 0 else range(len(calls) - 1, -1, -1)
        for index in order:
            start = clock()
            calls[index]()
            times[index].append(clock() - start)
        turn += 1
    return [np.array(series) for series in times]
