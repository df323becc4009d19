"""The protocol all metrics follow."""

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

Feeds = dict[str, NDArray[Any]]
Outputs = dict[str, NDArray[Any]]
Predict = Callable[[Feeds], Outputs]


class Metric(Protocol):
    """A number that says how well a model does; **higher is better**, always.

    Budgets are drops: score of the float model minus score of the quantized one. An error rate or a loss has to
    be turned round by whoever writes it.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    def score(self, predict: Predict) -> float:
        """Score a model.

        Args:
            predict: runs the model on one sample: input name -> array in, output name -> array out.

        Returns:
            A finite number.

        Raises:
            MetricError: the metric can't be computed from what the model returns.
            DataError: a sample can't be read.
        """
