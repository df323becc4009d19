"""Ranges from the distribution of values: one observer for all estimators that read a histogram."""

from collections.abc import Callable

import numpy as np

from edgeonnx.calibration.histogram import Doubles, Histograms
from edgeonnx.calibration.observer import Floats, Seen, State

# (edges of shape (bins + 1,), counts of shape (bins,)) -> (low, high); there is at least one bin.
Estimator = Callable[[Doubles, Doubles], tuple[float, float]]


class Distribution:
    """Keeps a histogram of each tensor and has an estimator find the range, within what was seen.

    A tensor has its extremes as its range if it holds what is not finite, if no value of it was taken, or if nothing
    would be left of it, as where all but a few values are 0.

    Args:
        name: of the estimator, with its parameters.
        estimate: the estimator.
    """

    wants_values = True
    takes_batches = True

    def __init__(self, name: str, estimate: Estimator) -> None:
        self.name = name
        self._estimate = estimate

    def begin(self, tensors: int) -> None:
        """See `Observer`."""
        self._histograms = Histograms(tensors)

    def update(self, seen: Seen) -> None:
        """See `Observer`."""
        self._histograms.update(seen)

    def ranges(self) -> tuple[Floats, Floats]:
        """See `Observer`."""
        low, high = self._histograms.low.copy(), self._histograms.high.copy()
        for tensor in range(len(low)):
            edges, counts = self._histograms.density(tensor)
            found = np.array(self._estimate(edges, counts) if counts.size else (0, 0), np.float32)
            if found[0] < found[1]:
                low[tensor], high[tensor] = np.clip(found, low[tensor], high[tensor])
        return low, high

    def state(self) -> State:
        """See `Observer`."""
        return self._histograms.state()

    def restore(self, state: State) -> None:
        """See `Observer`."""
        self._histograms.restore(state)
