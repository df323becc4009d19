"""A metric of the user's own: `FILE.py:FUNC`, given `predict`, returns a number, higher is better."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeonnx.errors import MetricError
from edgeonnx.scoring.metric import Predict
from edgeonnx.userfile import UserFunction, load_function, own_function

# Sums over threads may differ in the last digits; a random metric differs in the first.
_SAME = 1e-6


@dataclass(frozen=True)
class UserMetric:
    """A function of the user's as a metric.

    Attributes:
        name: what reports call it: the reference as it was given, or the function's name.
        function: called with `predict`; returns a finite number.
    """

    name: str
    function: UserFunction

    def score(self, predict: Predict) -> float:
        """What the function returns.

        Raises:
            MetricError: it raised, or returned something other than a finite number.
        """
        value = self.function(predict)
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise MetricError(
                f"{self.function.label} returned {_kind(value)}, expected one number; return a float, higher is better"
            )
        if not math.isfinite(value):
            raise MetricError(f"{self.function.label} returned {float(value)}, expected a finite number")
        return float(value)

    def check_deterministic(self, predict: Predict) -> float:
        """Score the float model twice; a metric that wavers can't judge a drop of a hundredth.

        Returns:
            The score.

        Raises:
            MetricError: the two differ.
        """
        first, second = self.score(predict), self.score(predict)
        if not math.isclose(first, second, rel_tol=_SAME, abs_tol=_SAME):
            raise MetricError(
                f"{self.function.label} gave {first} and then {second} for the same float model, expected the same; "
                "fix its random seed and evaluate on the same samples each time"
            )
        return first


def load_metric(metric: str | Callable[[Predict], float]) -> UserMetric:
    """A metric from `FILE.py:FUNC`, or from a function in Python.

    Raises:
        MetricError: there is no such file or function, or importing the file raised.
    """
    if callable(metric):
        return UserMetric(getattr(metric, "__name__", type(metric).__name__), own_function(metric, MetricError))
    return UserMetric(metric, load_function(metric, MetricError))


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
