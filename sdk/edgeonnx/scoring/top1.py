"""Top-1 accuracy: the share of samples whose highest-scored class is their label."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from edgeonnx.errors import MetricError
from edgeonnx.scoring.metric import Feeds, Outputs, Predict


@dataclass
class Top1:
    """Labels against the argmax over the last axis of a classifier's output.

    Attributes:
        labelled: gives the samples with their labels, anew at each call; arrays shaped as the model takes them,
            a batch of 1 or no batch axis.
        output: name of the output that holds the classes' scores, float, `(C,)` or `(1, C)`, C of at least 2;
            None: the only output that is one. Scores may be logits or probabilities.
        classes: how many there are; 0 until a model has been scored.
    """

    labelled: Callable[[], Iterable[tuple[Feeds, int]]]
    output: str | None = None
    classes: int = field(default=0, init=False)

    name = "top-1"

    @property
    def chance(self) -> float | None:
        """What guessing scores, once a model has been scored."""
        return 1 / self.classes if self.classes else None

    def score(self, predict: Predict) -> float:
        """Share of right answers, 0 to 1; NaN among a sample's scores makes its answer wrong.

        Raises:
            MetricError: no output, or several, could hold the scores; a label is no class of the model; or there
                are no samples.
        """
        right = total = 0
        for feeds, label in self.labelled():
            scores = self._scores(predict(feeds))
            if not 0 <= label < scores.size:
                raise MetricError(
                    f"label {label} of sample {total}: expected a class of the model, 0 to {scores.size - 1}; "
                    "number the labels as the model's outputs are"
                )
            self.classes = scores.size
            right += int(not np.isnan(scores).any() and int(scores.argmax()) == label)
            total += 1
        if not total:
            raise MetricError("top-1: expected labelled samples to evaluate on, got none")
        return right / total

    def _scores(self, outputs: Outputs) -> np.ndarray:
        shapes = ", ".join(f"'{name}' {array.dtype.name} {array.shape}" for name, array in outputs.items())
        if self.output is not None and self.output not in outputs:
            raise MetricError(f"top-1: the model has no output '{self.output}', it has {shapes}")
        names = [self.output] if self.output is not None else list(outputs)
        fitting = [name for name in names if _holds_scores(outputs[name])]
        if len(fitting) != 1:
            got = "several could" if fitting else "none does"
            raise MetricError(
                f"top-1: expected one float output with a score per class, {got} among {shapes}; "
                "say how to score this model with --metric FILE.py:FUNC"
            )
        scores = outputs[fitting[0]]
        if scores.size != scores.shape[-1]:
            raise MetricError(
                f"top-1: expected one row of scores per sample, got {scores.shape} from '{fitting[0]}'; "
                "give one sample at a time, or say how to score this model with --metric FILE.py:FUNC"
            )
        return scores.reshape(-1)


def _holds_scores(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and array.ndim >= 1 and array.shape[-1] > 1
