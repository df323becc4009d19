"""Outputs read as the manifest's `result` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import BundleError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._manifest import Result


class Guess(NamedTuple):
    """One class: its name (None where the bundle has no labels), its index, its score."""

    label: str | None
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a guess
    score: float

    def __str__(self) -> str:
        return f"{_name(self.label, self.index)} {self.score:.2f}"


class Classification(NamedTuple):
    """The best class, and the best few.

    Attributes:
        label, index, score: of the class with the highest score.
        top: the `top_k` best, highest score first; of equal scores the lower index first.
        outputs: the model's raw outputs by name.
    """

    label: str | None
    index: int  # type: ignore[assignment]
    score: float
    top: tuple[Guess, ...]
    outputs: dict[str, NDArray[Any]]

    def __str__(self) -> str:
        return f"{_name(self.label, self.index)} ({self.score:.2f})"


def classify(outputs: dict[str, NDArray[Any]], result: Result, labels: tuple[str, ...] | None) -> Classification:
    """Read a classification from the outputs of one sample.

    Args:
        outputs: the raw outputs; the one that `result` names holds one score per class on its last axis.
        result: the manifest's.
        labels: class names, or None.

    Raises:
        InputError: the outputs are of more samples than one, or a score is NaN.
        BundleError: there are not as many labels as classes.
    """
    values = outputs[result.output]
    if values.ndim == 0 or values.size == 0 or values.size != values.shape[-1]:
        raise InputError(
            f"{result.output}: expected the scores of 1 sample, got shape {values.shape}; "
            "use run() for a batch, it gives the raw outputs"
        )
    scores = values.reshape(-1)
    check_labels(labels, scores.size, result.output)
    if np.isnan(scores).any():
        raise InputError(f"{result.output}: a score is NaN; check the input for NaN and infinity")
    # Reversed twice: a stable sort then puts the lower index first among equals, for unsigned scores too.
    order = scores.size - 1 - np.argsort(scores[::-1], kind="stable")[::-1]
    top = tuple(Guess(labels[i] if labels else None, i, float(scores[i])) for i in order[: result.top_k].tolist())
    return Classification(*top[0], top, outputs)


def check_labels(labels: tuple[str, ...] | None, classes: int, output: str) -> None:
    """Raises BundleError unless there is a label for each class, or no labels at all."""
    if labels is not None and len(labels) != classes:
        raise BundleError(
            f"{output} has {classes} classes, the labels are {len(labels)}; package with the right labels"
        )


def _name(label: str | None, index: int) -> str:
    return f"class {index}" if label is None else label
