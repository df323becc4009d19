"""Counts and times what a model does, in memory that does not grow."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_RING = 512  # a power of two: the place of a call is its number's last bits
_BUCKETS = 32


class Timing(NamedTuple):
    """Durations: how many, their sum in seconds, median and 95th percentile in microseconds of the last 512."""

    runs: int
    total_s: float
    median_us: float
    p95_us: float


class Stats(NamedTuple):
    """What a model has done since it was loaded, or since `reset_stats`.

    Attributes:
        calls: runs that gave outputs.
        errors: runs that did not, inputs refused beforehand among them.
        inference: time in onnxruntime, of those calls.
        reading: time from a file or value to arrays, of samples that were not arrays.
        load_s: how long load() took, in seconds.
        batches: samples in a call, rounded up to a power of two -> how many calls had so many; empty where the model
            takes no batches.
    """

    calls: int
    errors: int
    inference: Timing
    reading: Timing
    load_s: float
    batches: Mapping[int, int]


class Durations:
    """Durations in seconds: their number and sum, and the last ones. Not thread safe by itself."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.last = [0.0] * _RING

    def timing(self) -> Timing:
        """A summary; zeros where there are none."""
        recent = sorted(self.last[: min(self.count, _RING)])
        median, p95 = (recent[int(share * (len(recent) - 1) + 0.5)] if recent else 0.0 for share in (0.5, 0.95))
        return Timing(self.count, self.total, median * 1e6, p95 * 1e6)


class Recorder:
    """Takes note of calls, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        with self._lock:
            self._inference = Durations()
            self._reading = Durations()
            self._errors = 0
            self._batches = [0] * _BUCKETS

    def ran(self, seconds: float, samples: int) -> float:
        """A run gave outputs for a batch of `samples`, 0 where the model takes none. Returns as `elapsed`."""
        with self._lock:
            times = self._inference
            count = times.count
            times.last[count & (_RING - 1)] = seconds
            times.count = count + 1
            times.total += seconds
            if samples:
                self._batches[(samples - 1).bit_length()] += 1
            return times.total

    def elapsed(self) -> float:
        """Seconds spent in inference so far."""
        with self._lock:
            return self._inference.total

    def read(self, seconds: float) -> None:
        """A sample was read."""
        with self._lock:
            times = self._reading
            times.last[times.count & (_RING - 1)] = seconds
            times.count += 1
            times.total += seconds

    def failed(self) -> None:
        """A run gave no outputs."""
        with self._lock:
            self._errors += 1

    def stats(self, load_s: float) -> Stats:
        """All of it, as of now."""
        with self._lock:
            inference, reading = self._inference.timing(), self._reading.timing()
            batches = {1 << i: count for i, count in enumerate(self._batches) if count}
            return Stats(inference.runs, self._errors, inference, reading, load_s, MappingProxyType(batches))
