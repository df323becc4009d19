"""How far a converted model's outputs are from the source framework's."""

from dataclasses import dataclass

import numpy as np

from edgeonnx.convert.source import Array

# Where an output is as small as this throughout, its differences are held against this.
_LEAST = 1e-3
# Sets of kernels that round sums otherwise are like draws: a third may be so many times as far off as two are apart.
_APART = 2


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
        finite: whether the source gave any number that is not infinite or NaN; without one nothing was compared.
        constant: whether the source gave the same for all samples, so that little was compared.
    """

    output: str
    largest: float
    relative: float
    unequal: int
    elements: int
    within: bool
    exact: bool
    finite: bool = True
    constant: bool = False


class Comparison:
    """Holds one output of two models against each other, sample by sample.

    Args:
        output: its name.
        tolerance: of floats: how far off, relative to the largest magnitude that the source gave.
        slack: of numbers: how far off in any case; twice as much more as the source's own kernels are apart.
    """

    def __init__(self, output: str, tolerance: float, slack: float = 0.0) -> None:
        self.output, self._tolerance, self._slack = output, tolerance, slack
        self._largest, self._magnitude, self._unequal, self._elements = 0.0, 0.0, 0, 0
        self._kinds: set[str] = set()
        self._own, self._samples, self._finite, self._varied = 0.0, 0, False, False
        self._first: Array | None = None

    def add(self, wanted: Array, got: Array, elsewhere: Array | None = None) -> None:
        """One sample. An axis of one more or less is no difference.

        Args:
            wanted: what the source gave.
            got: what onnxruntime gave.
            elsewhere: what other kernels of the source gave, which widens the slack.
        """
        self._elements += wanted.size
        self._kinds.add(wanted.dtype.kind)
        self._notice(wanted)
        if elsewhere is not None and wanted.dtype.kind in "fiu" and elsewhere.shape == wanted.shape:
            self._own = max(self._own, _distance(wanted, elsewhere)[0])
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
            slack = self._slack + _APART * self._own if self._slack else 0.0
            within = self._largest <= max(slack, 0.0 if exact else self._tolerance * scale)
        else:
            within = self._unequal == 0
        return Difference(
            output=self.output,
            largest=self._largest,
            relative=self._largest / scale,
            unequal=self._unequal,
            elements=self._elements,
            within=within,
            exact=exact,
            finite=self._finite,
            constant=self._samples > 1 and not self._varied,
        )

    def _notice(self, wanted: Array) -> None:
        """Whether the source's numbers are finite, and differ from sample to sample."""
        if wanted.dtype == np.float16:  # which it computed in, and rounds to
            self._tolerance = max(self._tolerance, 2 * float(np.finfo(np.float16).eps))
        self._finite |= not wanted.size or wanted.dtype.kind != "f" or bool(np.isfinite(wanted).any())
        self._samples += 1
        if self._first is None:
            self._first = wanted
        self._varied |= _mixed(wanted) or differ(self._first, wanted)


def differ(first: Array, other: Array) -> bool:
    """Whether two arrays differ where they overlap."""
    if first.ndim != other.ndim:
        return True
    common = tuple(slice(min(pair)) for pair in zip(first.shape, other.shape, strict=True))
    return not np.all(_same(first[common], other[common]))


def _mixed(array: Array) -> bool:
    """Whether integers or text, such as labels, are not all alike; empty arrays count as mixed."""
    return not array.size or (array.dtype.kind != "f" and not np.all(_same(array, array.ravel()[:1])))


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
