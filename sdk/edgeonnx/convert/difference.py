"""How far a converted model's outputs are from the source framework's."""

from dataclasses import dataclass

import numpy as np

from edgeonnx.convert.source import Array

# Where an output is as small as this throughout, its differences are held against this.
_LEAST = 1e-3


@dataclass(frozen=True)
class Difference:
    """Of one output, over all samples.

    Attributes:
        output: its name.
        largest: absolute difference of two elements; infinite where one side alone is infinite or not a number, or
            has another shape; 0 for text and booleans, which have no distance.
        relative: `largest` by the largest magnitude that the source gave for this output.
        unequal: how many elements are not the same.
        elements: how many there are.
        within: whether that is tolerated.
        exact: whether it is of integers, text or booleans, which are not compared by a relative tolerance.
    """

    output: str
    largest: float
    relative: float
    unequal: int
    elements: int
    within: bool
    exact: bool


class Comparison:
    """Holds one output of two models against each other, sample by sample.

    Args:
        output: its name.
        tolerance: of floats: how far off, relative to the largest magnitude that the source gave.
        slack: of numbers: how far off in any case; text and booleans must be the same.
    """

    def __init__(self, output: str, tolerance: float, slack: float = 0.0) -> None:
        self.output, self._tolerance, self._slack = output, tolerance, slack
        self._largest, self._magnitude, self._unequal, self._elements = 0.0, 0.0, 0, 0
        self._kinds: set[str] = set()

    def add(self, wanted: Array, got: Array) -> None:
        """One sample: what the source gave, and what onnxruntime gave. An axis of one more or less is no difference."""
        self._elements += wanted.size
        self._kinds.add(wanted.dtype.kind)
        if _squeezed(wanted) != _squeezed(got):
            self._largest, self._unequal = np.inf, self._unequal + wanted.size
            return
        got = got.reshape(wanted.shape)
        self._unequal += wanted.size - int(_same(wanted, got).sum())
        if wanted.dtype.kind in "fiu" and got.dtype.kind in "fiu":
            apart, magnitude = _distance(wanted, got)
            self._largest, self._magnitude = max(self._largest, apart), max(self._magnitude, magnitude)

    def result(self) -> Difference:
        """What was found."""
        scale, exact = max(self._magnitude, _LEAST), not self._kinds <= set("f")
        if self._kinds <= set("fiu"):
            within = self._largest <= max(self._slack, 0.0 if exact else self._tolerance * scale)
        else:
            within = self._unequal == 0
        return Difference(
            self.output, self._largest, self._largest / scale, self._unequal, self._elements, within, exact
        )


def _squeezed(array: Array) -> tuple[int, ...]:
    return tuple(size for size in array.shape if size != 1)


def _same(wanted: Array, got: Array) -> Array:
    if wanted.dtype.kind == "f" and got.dtype.kind == "f":
        return np.asarray((wanted == got) | (np.isnan(wanted) & np.isnan(got)))
    if wanted.dtype.kind in "fiub" and got.dtype.kind in "fiub":
        return np.asarray(wanted == got)
    return np.asarray(wanted.astype(str) == got.astype(str))


def _distance(wanted: Array, got: Array) -> tuple[float, float]:
    """Largest difference, and largest finite magnitude; infinities and NaNs differ from all but their like."""
    one, other = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.all(finite | _same(one, other)):
        return np.inf, 0.0
    one, other = np.where(finite, one, 0.0), np.where(finite, other, 0.0)
    return float(np.abs(one - other).max(initial=0.0)), float(np.abs(one).max(initial=0.0))
