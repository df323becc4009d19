"""Histograms whose bins are the same for every tensor and need not be known in advance: floats are their own scale.

The upper half of a float32 (sign, exponent, 7 bits of mantissa) is the bin that it falls into, so that 128 bins share
each octave. One pass over the data suffices, nothing is ever merged or moved, the order of samples does not matter,
and memory is fixed: 64 KB a tensor. Near the top of the range a bin is 1/256 to 1/128 of it, towards 0 finer.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeonnx.calibration.observer import INFINITE, Floats, Seen, State

_MANTISSA = 7
_OCTAVES = 64
_SIDE = _OCTAVES << _MANTISSA
# Magnitudes below 2**-30 are counted as 0, those above 2**34 as 2**34.
_RESOLVED = 2.0**-23
_FIRST = (127 - 30) << _MANTISSA
_SHIFT = 23 - _MANTISSA
# How many values wait before they are counted: many at once are cheaper, and this is 4 MB.
_PENDING = 1 << 20

Counts = NDArray[np.uint32]
Doubles = NDArray[np.float64]


class Histograms:
    """Histograms of many tensors, and the exact extremes beside them."""

    def __init__(self, tensors: int) -> None:
        self.low = np.full(tensors, np.inf, np.float32)
        self.high = np.full(tensors, -np.inf, np.float32)
        self._counts = np.zeros((tensors, 2 * _SIDE), np.uint32)
        self._pending: list[list[Floats]] = [[] for _ in range(tensors)]
        self._waiting = 0

    def update(self, seen: Seen) -> None:
        """Take in one run; what is not finite or stands for infinity shows in the extremes alone."""
        np.minimum(self.low, seen.low, out=self.low)
        np.maximum(self.high, seen.high, out=self.high)
        for waiting, values in zip(self._pending, seen.values, strict=True):
            waiting.append(values)
            self._waiting += values.size
        if self._waiting >= _PENDING:
            self._count()

    def density(self, tensor: int) -> tuple[Doubles, Doubles]:
        """The histogram of a tensor between its extremes.

        Returns:
            Edges, ascending, of shape (bins + 1,), and the counts between them, of shape (bins,), without the empty
            bins at both ends. Values are spread evenly within a bin, except those in the bin whose edges are both 0,
            which are 0. No bins at all if nothing was counted, all of it is too near to 0 to be told apart, or the
            extremes are not finite.
        """
        self._count()
        low, high = float(self.low[tensor]), float(self.high[tensor])
        # The two bins around 0 are one, without width.
        counts = self._counts[tensor].astype(np.float64)
        counts[_SIDE - 1] += counts[_SIDE]
        counts[_SIDE] = 0
        filled = np.flatnonzero(counts)
        if not filled.size or not _RESOLVED < max(abs(low), abs(high)) < INFINITE:
            return np.zeros(1), np.zeros(0)
        first, last = int(filled[0]), int(filled[-1]) + 1
        return np.clip(_EDGES, low, high)[first : last + 1], counts[first:last]

    def state(self) -> State:
        """See `Observer`."""
        self._count()
        filled = np.flatnonzero(self._counts)
        return {"low": self.low, "high": self.high, "bins": filled, "counts": self._counts.ravel()[filled]}

    def restore(self, state: State) -> None:
        """See `Observer`."""
        self.low, self.high = np.array(state["low"], np.float32), np.array(state["high"], np.float32)
        self._counts.ravel()[np.array(state["bins"])] = state["counts"]

    def _count(self) -> None:
        for counts, waiting in zip(self._counts, self._pending, strict=True):
            if waiting:
                bins = _bins(waiting)
                waiting.clear()
                if bins.size:  # only the part in use, so that memory that stays empty is never touched
                    first = int(bins.min())
                    found = np.bincount(bins - first)
                    counts[first : first + found.size] += found.astype(np.uint32)
        self._waiting = 0


def _bins(values: Sequence[Floats]) -> NDArray[np.int32]:
    """The bin of each value; what stands for infinity has none."""
    joined = np.concatenate(values)
    finite = np.abs(joined) < INFINITE
    bits = (joined if finite.all() else joined[finite]).view(np.int32)
    place = ((bits & 0x7FFFFFFF) >> _SHIFT) - _FIRST
    np.clip(place, 0, _SIDE - 1, out=place)
    place ^= bits >> 31  # mirrored for negative values: -1 - place
    place += _SIDE
    return place


def _positive_edges() -> Doubles:
    """Lower edges of the bins of positive values, the first of which is 0."""
    bits = (np.arange(1, _SIDE, dtype=np.int32) + _FIRST) << _SHIFT
    return np.concatenate([[0.0], bits.view(np.float32).astype(np.float64)])


_SMALLEST = _positive_edges()
# What is nearer to 0 than the second of them is 0, in a bin without width.
_EDGES = np.concatenate([[-np.inf], -_SMALLEST[:1:-1], [0.0, 0.0], _SMALLEST[1:], [np.inf]])
