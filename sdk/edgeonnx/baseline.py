"""What samples look like at a model's inputs: the baseline that a device compares its own with."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from edgeonnx.model import TensorSpec
from edgeonnx.runtime._manifest import Baseline

# Quantities. Integers of more bits are codes and indexes, whose mean tells nothing.
_QUANTITIES = ("float16", "float32", "float64", "uint8", "int8", "uint16", "int16")


def watched(inputs: Iterable[TensorSpec]) -> dict[str, bool]:
    """The inputs that hold quantities, and whether the first axis of each counts samples.

    It does where it is free, and there are others.
    """
    return {
        tensor.name: tensor.shape is not None and len(tensor.shape) > 1 and not isinstance(tensor.shape[0], int)
        for tensor in inputs
        if tensor.dtype in _QUANTITIES
    }


class Baselines:
    """Streams over samples and keeps a few numbers for each input.

    Args:
        inputs: the model's.
    """

    def __init__(self, inputs: Iterable[TensorSpec]) -> None:
        self._watched = watched(inputs)
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}
        # Number of samples; then mean, and sum of squared distances from it, of their means and of their deviations.
        self._moments: dict[str, list[float]] = {}

    def observe(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Look at the feeds of one run: input name -> array."""
        for name in self._watched.keys() & feeds.keys():
            array = feeds[name]
            if not array.size:
                continue
            self._low[name] = min(self._low.get(name, math.inf), float(array.min()))
            self._high[name] = max(self._high.get(name, -math.inf), float(array.max()))
            rows = array.reshape(array.shape[0] if self._watched[name] else 1, -1)
            moments = self._moments.setdefault(name, [0, 0.0, 0.0, 0.0, 0.0])
            for mean, std in zip(rows.mean(1, np.float64), rows.std(1, np.float64), strict=True):
                _add(moments, float(mean), float(std))

    def found(self) -> dict[str, Baseline]:
        """The baseline of each input that had samples, all of them finite."""
        found = {}
        for name, (count, mean, means, spread, spreads) in sorted(self._moments.items()):
            stds = (math.sqrt(means / count), math.sqrt(spreads / count)) if count else (0.0, 0.0)
            numbers = (self._low[name], self._high[name], mean, stds[0], spread, stds[1])
            if all(map(math.isfinite, numbers)):
                found[name] = Baseline(*numbers, samples=int(count))
        return found

    def state(self) -> dict[str, Any]:
        """All it has seen, as JSON has it."""
        return {"low": self._low, "high": self._high, "moments": self._moments}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, as if it had seen that."""
        self._low, self._high = dict(state["low"]), dict(state["high"])
        self._moments = {name: list(moments) for name, moments in state["moments"].items()}


def _add(moments: list[float], mean: float, std: float) -> None:
    """Take one sample in (B. P. Welford, Note on a Method for Calculating Corrected Sums, 1962)."""
    moments[0] += 1
    for place, value in ((1, mean), (3, std)):
        away = value - moments[place]
        moments[place] += away / moments[0]
        moments[place + 1] += away * (value - moments[place])
