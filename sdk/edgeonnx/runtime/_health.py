"""Input health: whether what the device sees is still what the model was calibrated on.

A few numbers of each input are compared with those of calibration. An alarm means that an average over the last samples
is further from calibration's than chance explains, and by so much that it matters: a margin of the spread between
samples, plus five standard errors of both averages. Samples of a scene that stays are not drawn by chance: one that is
unusual and stays raises the alarm too.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import BundleError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnxruntime as ort
    from numpy.typing import NDArray

    from ._manifest import Baseline, Health

LOW, HIGH, MEAN, STD, OUTSIDE = range(5)

# Of the time spent in inference, the share that is spent on looking at inputs.
_SHARE = 0.01
# Averages are taken over so many of the last samples: few see a change soon, many see a small one.
_WINDOWS = (16, 64, 256)
_FEWEST = 8
_MARGIN = 0.5
_ERRORS = 5.0
_OUTSIDE_MARGIN = 0.02
# No spread between samples is taken to be smaller than this share of the spread of all values.
_FLOOR = 0.02


class InputHealthWarning(UserWarning):
    """The inputs have moved away from what the model was calibrated on."""


class InputHealth(NamedTuple):
    """One input of the model proper, behind its preprocessing.

    Attributes:
        name: the input's.
        samples: how many were looked at.
        low, high: of all values seen.
        mean, std: of the samples' means: their mean, and their standard deviation.
        outside: share of values outside the calibrated range, where INT8 saturates.
        shift: distance of `mean` from calibration's, in standard errors.
        spread: the samples' mean standard deviation, over calibration's; NaN where calibration saw none.
        alarm: whether the last samples are not what the model was calibrated on.
        why: in a sentence; empty without an alarm.
    """

    name: str
    samples: int
    low: float
    high: float
    mean: float
    std: float
    outside: float
    shift: float
    spread: float
    alarm: bool
    why: str


class HealthReport(NamedTuple):
    """The inputs of the model proper, and whether one of them raises the alarm.

    Attributes:
        inputs: a report for each that calibration saw.
        cost: share of the time in inference that was spent on looking.
    """

    inputs: tuple[InputHealth, ...]
    cost: float

    @property
    def alarm(self) -> bool:
        """Whether an input raises it."""
        return any(each.alarm for each in self.inputs)

    @property
    def why(self) -> str:
        """Why, in a sentence; empty without an alarm."""
        return "; ".join(each.why for each in self.inputs if each.alarm)


class Monitor:
    """Looks at some of the inputs that go by, for no more than 1 % of the time that inference takes.

    Args:
        health: the manifest's.
        graph: the ONNX file that measures inputs; loaded when it is first needed.
        bundle: the bundle's name, begins errors.
        extensions: whether the graph needs onnxruntime-extensions.
        elapsed: gives the seconds spent in inference so far.

    Attributes:
        next: of those seconds, at how many the next look is due.
        on_alarm: called when the alarm is first raised; None: a warning is given.
    """

    def __init__(
        self, health: Health, graph: bytes, bundle: str, extensions: bool, elapsed: Callable[[], float]
    ) -> None:
        self._elapsed = elapsed
        self._graph, self._bundle, self._extensions = graph, bundle, extensions
        self._session: ort.InferenceSession | None = None
        self._feeds: list[str] = []
        self._outputs = [f"{name}.health" for name in health.inputs]
        self._baselines = health.inputs
        self._looking = threading.Lock()
        self.on_alarm: Callable[[HealthReport], None] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen; the alarm may be raised anew."""
        with self._looking:
            self._seen = {name: _Seen() for name in self._baselines}
            self._raised = False
            self._begin = self.next = self._elapsed()
            self._spent = 0.0

    def look(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Measure the inputs of one run; nothing if another thread is at it."""
        if not self._looking.acquire(blocking=False):
            return
        # The thread's own time: what others take of the CPU meanwhile is not spent here.
        start = opened = time.thread_time()
        try:
            session = self._session
            if session is None:
                session = self._session = open_graph(self._graph, self._bundle, self._extensions)
                self._feeds = [each.name for each in session.get_inputs()]
                opened = time.thread_time()
            feeds = {name: inputs[name] for name in self._feeds}
            # An array without elements, such as a cache that is still empty, has nothing to measure.
            measured = session.run(self._outputs, feeds) if all(array.size for array in feeds.values()) else []
            for seen, rows in zip(self._seen.values(), measured):
                seen.add(rows)
            alarm = not self._raised and any(
                seen.reasons(baseline) for seen, baseline in zip(self._seen.values(), self._baselines.values())
            )
            self._raised |= alarm
        finally:
            end = time.thread_time()
            self._spent += end - start
            # Not before it is paid for what was spent, and for a look like this one.
            self.next = self._begin + (self._spent + end - opened) / _SHARE
            self._looking.release()
        if alarm:
            self._tell()

    def report(self) -> HealthReport:
        """What was seen so far."""
        with self._looking:
            inputs = tuple(seen.report(name, self._baselines[name]) for name, seen in self._seen.items())
            inference = self._elapsed() - self._begin
            return HealthReport(inputs, self._spent / inference if inference else 0.0)

    def _tell(self) -> None:
        report = self.report()
        if self.on_alarm is not None:
            self.on_alarm(report)
        else:
            warnings.warn(f"input health: {report.why}", InputHealthWarning, stacklevel=4)  # who called run()


def open_graph(graph: bytes, bundle: str, extensions: bool) -> ort.InferenceSession:
    """A session of one thread that keeps no memory between runs.

    Raises:
        BundleError: onnxruntime does not take the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if extensions:
        from ._extensions import register

        register(options, bundle)
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise BundleError(
            f"{bundle}: its health graph does not load: {first_line(error)}; package it again, or load with watch=False"
        ) from error


class _Seen:
    """What was seen of one input: sums over all samples, and the last ones."""

    def __init__(self) -> None:
        self.count = 0
        self._low, self._high = math.inf, -math.inf
        self._sums = np.zeros(5)
        self._squares = 0.0
        self._last = np.zeros((_WINDOWS[-1], 5))

    def add(self, measured: NDArray[np.float32]) -> None:
        """Take in what the graph gave: shape (5, samples)."""
        rows = measured.T.astype(np.float64)
        if not len(rows):
            return
        self._low, self._high = min(self._low, rows[:, LOW].min()), max(self._high, rows[:, HIGH].max())
        self._sums += rows.sum(axis=0)
        self._squares += float((rows[:, MEAN] ** 2).sum())
        places = np.arange(self.count, self.count + len(rows))[-len(self._last) :] % len(self._last)
        self._last[places] = rows[-len(self._last) :]
        self.count += len(rows)

    def reasons(self, baseline: Baseline) -> str:
        """What is wrong with the last samples, of the smallest window that shows it; empty if nothing is."""
        size = len(self._last)
        for window in _WINDOWS:
            count = min(window, self.count)
            if count < _FEWEST:
                return ""
            places = np.arange(self.count - count, self.count) % size
            why = "; ".join(_reasons(self._last[places].mean(axis=0), count, baseline))
            if why or self.count <= window:
                return why
        return ""

    def report(self, name: str, baseline: Baseline) -> InputHealth:
        """All that is known."""
        count = max(self.count, 1)
        mean, spread = self._sums[MEAN] / count, self._sums[STD] / count
        variance = max(self._squares / count - mean**2, 0.0)
        error = _scale(baseline.mean_std, baseline) * _noise(count, baseline)
        why = self.reasons(baseline)
        return InputHealth(
            name=name,
            samples=self.count,
            low=float(self._low),
            high=float(self._high),
            mean=float(mean),
            std=math.sqrt(variance),
            outside=float(self._sums[OUTSIDE] / count),
            shift=float((mean - baseline.mean) / error) if error and self.count else 0.0,
            spread=float(spread / baseline.spread) if baseline.spread else math.nan,
            alarm=bool(why),
            why=f"{name}: {why}" if why else "",
        )


def _reasons(seen: NDArray[np.float64], count: int, baseline: Baseline) -> list[str]:
    """What of the averages over `count` samples is further from calibration's than chance explains."""
    noise = _noise(count, baseline)
    found = []
    for what, value, usual, std in (
        ("mean", seen[MEAN], baseline.mean, baseline.mean_std),
        ("spread", seen[STD], baseline.spread, baseline.spread_std),
    ):
        allowed = (_MARGIN + _ERRORS * noise) * _scale(std, baseline)
        if not abs(value - usual) <= allowed:
            found.append(
                f"the {what} of the last {count} samples is {value:.4g}, calibration saw {usual:.4g} (up to "
                f"{allowed:.2g} away is usual)"
            )
    # One of two samples beyond all N seen before comes by chance once in N + 1 times.
    chance = 2 / (baseline.samples + 1)
    allowed = _OUTSIDE_MARGIN + chance + _ERRORS * math.sqrt(chance / count)
    if seen[OUTSIDE] > allowed:
        found.append(
            f"{seen[OUTSIDE]:.0%} of the values of the last {count} samples are outside the calibrated range, "
            f"{baseline.low:.4g} to {baseline.high:.4g}"
        )
    return found


def _scale(std: float, baseline: Baseline) -> float:
    """A spread between samples, of their means or of their deviations."""
    whole = math.hypot(baseline.mean_std, baseline.spread)
    size = max(abs(baseline.low), abs(baseline.high))
    return max(std, _FLOOR * whole, 1e-6 * size)


def _noise(count: int, baseline: Baseline) -> float:
    """Standard error of the difference of two averages, of `count` samples and of calibration's, where each has 1."""
    return math.sqrt(1 / count + 1 / baseline.samples)
