"""Ranges by smallest and largest values: over all samples, or as a moving average of each sample's."""

import numpy as np

from edgeonnx.calibration.observer import Floats, Seen, State


class MinMax:
    """The smallest and the largest value of all samples: nothing is ever cut."""

    name = "min-max"
    wants_values = False
    takes_batches = True

    def begin(self, tensors: int) -> None:
        """See `Observer`."""
        self._low = np.full(tensors, np.inf, np.float32)
        self._high = np.full(tensors, -np.inf, np.float32)

    def update(self, seen: Seen) -> None:
        """See `Observer`."""
        np.minimum(self._low, seen.low, out=self._low)
        np.maximum(self._high, seen.high, out=self._high)

    def ranges(self) -> tuple[Floats, Floats]:
        """See `Observer`."""
        return self._low, self._high

    def state(self) -> State:
        """See `Observer`."""
        return {"low": self._low, "high": self._high}

    def restore(self, state: State) -> None:
        """See `Observer`."""
        self._low = np.array(state["low"], np.float32)
        self._high = np.array(state["high"], np.float32)


class MovingAverage:
    """An exponential moving average of each sample's smallest and largest value, so that no single sample decides.

    Krishnamoorthi, Quantizing deep convolutional networks for efficient inference: A whitepaper, 2018, section 3.1.1;
    as TensorFlow's `MovingAverageQuantize`. The first sample counts in full, as a start. Samples in which a tensor is
    empty do not count for it.

    Args:
        momentum: how much of the average stays at each sample.
    """

    wants_values = False
    takes_batches = False

    def __init__(self, momentum: float = 0.9) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum: expected at least 0 and below 1, got {momentum}")
        self._momentum = momentum
        self.name = f"moving-average {momentum}"

    def begin(self, tensors: int) -> None:
        """See `Observer`."""
        self._low = np.full(tensors, np.inf)
        self._high = np.full(tensors, -np.inf)

    def update(self, seen: Seen) -> None:
        """See `Observer`."""
        filled = seen.low <= seen.high
        first = filled & (self._low > self._high)
        later = filled & ~first
        for average, value in ((self._low, seen.low), (self._high, seen.high)):
            average[first] = value[first]
            with np.errstate(invalid="ignore"):  # of infinities of both signs there is none
                average[later] = self._momentum * average[later] + (1 - self._momentum) * value[later]

    def ranges(self) -> tuple[Floats, Floats]:
        """See `Observer`."""
        return self._low.astype(np.float32), self._high.astype(np.float32)

    def state(self) -> State:
        """See `Observer`."""
        return {"low": self._low, "high": self._high}

    def restore(self, state: State) -> None:
        """See `Observer`."""
        self._low, self._high = np.array(state["low"]), np.array(state["high"])
