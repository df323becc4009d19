"""Outputs read as the manifest's `result` says: one type of result for each task, and none of them a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import BundleError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Union

    from numpy.typing import NDArray

    from ._bundle import Bundle
    from ._manifest import Result

    Outputs = dict[str, NDArray[Any]]
    Labels = Union[tuple[str, ...], None]
    AnyResult = Union["Classification", "Detection", "Segmentation", "Embedding", Outputs]

_MASK_ROWS = 256


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
        top: the `top_k` best that exceed the threshold, if the bundle has one: highest score first; of equal scores the
            lower index first.
        outputs: the model's raw outputs by name.
    """

    label: str | None
    index: int  # type: ignore[assignment]
    score: float
    top: tuple[Guess, ...]
    outputs: dict[str, NDArray[Any]]

    def __str__(self) -> str:
        return f"{_name(self.label, self.index)} ({self.score:.2f})"


class Detected(NamedTuple):
    """One object: its class (see `Guess`), its score, its box x1, y1, x2, y2 in pixels of the picture."""

    label: str | None
    index: int  # type: ignore[assignment]
    score: float
    box: tuple[float, float, float, float]

    def __str__(self) -> str:
        x1, y1, x2, y2 = self.box
        return f"{_name(self.label, self.index)} {self.score:.2f} at {x1:.0f},{y1:.0f} to {x2:.0f},{y2:.0f}"


class Detection:
    """The objects found, best first: `len()` of it, `for` over it, and an index give them. True if there are any.

    Attributes:
        objects: each as a `Detected`.
        boxes: float32, shape (objects, 4): x1, y1, x2, y2 in pixels of the picture.
        scores: float32, shape (objects,).
        classes: int64, shape (objects,).
        outputs: the model's raw outputs by name.
    """

    __slots__ = ("boxes", "classes", "objects", "outputs", "scores")

    def __init__(
        self,
        objects: tuple[Detected, ...],
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        classes: NDArray[np.int64],
        outputs: Outputs,
    ) -> None:
        self.objects = objects
        self.boxes = boxes
        self.scores = scores
        self.classes = classes
        self.outputs = outputs

    def __len__(self) -> int:
        return len(self.objects)

    def __iter__(self) -> Iterator[Detected]:
        return iter(self.objects)

    def __getitem__(self, index: int) -> Detected:
        return self.objects[index]

    def __str__(self) -> str:
        found = [f"{_name(thing.label, thing.index)} {thing.score:.2f}" for thing in self.objects]
        return f"{len(self)} object{'' if len(self) == 1 else 's'}{': ' if found else ''}{', '.join(found)}"

    def __repr__(self) -> str:
        return f"<Detection {self}>"


class Share(NamedTuple):
    """One class of a segmentation (see `Guess`), and the share of the picture it covers, 0..1."""

    label: str | None
    index: int  # type: ignore[assignment]
    share: float

    def __str__(self) -> str:
        return f"{_name(self.label, self.index)} {self.share:.1%}"


class Segmentation(NamedTuple):
    """A class for every pixel.

    Attributes:
        mask: uint8 or int32, shape (height, width) of the picture.
        labels: class names by index, or None.
        outputs: the model's raw outputs by name.
    """

    mask: NDArray[Any]
    labels: tuple[str, ...] | None
    outputs: dict[str, NDArray[Any]]

    def shares(self) -> tuple[Share, ...]:
        """The classes that occur, the largest first; of equal ones the lower index first.

        Raises:
            BundleError: a class has no label.
        """
        counts = np.zeros(0, np.int64)
        for start in range(0, len(self.mask), _MASK_ROWS):  # bincount makes int64 of what it counts
            some = np.bincount(self.mask[start : start + _MASK_ROWS].reshape(-1), minlength=counts.size)
            some[: counts.size] += counts
            counts = some
        order = np.argsort(-counts, kind="stable")
        found = [index for index in order.tolist() if counts[index]]
        return tuple(Share(_label(self.labels, i), i, float(counts[i] / self.mask.size)) for i in found)

    def __str__(self) -> str:
        return ", ".join(map(str, self.shares())) or "nothing"


class Embedding(NamedTuple):
    """A vector that stands for the sample.

    Attributes:
        vector: shape (dimensions,).
        outputs: the model's raw outputs by name.
    """

    vector: NDArray[Any]
    outputs: dict[str, NDArray[Any]]

    def similarity(self, other: Embedding | NDArray[Any]) -> float:
        """The cosine of the angle between this vector and another: 1 for the same direction, -1 for the opposite.

        Raises:
            InputError: the other has not as many dimensions, or one of them is all zeros.
        """
        one = np.asarray(self.vector, np.float64)
        two = np.asarray(other.vector if isinstance(other, Embedding) else other, np.float64)
        if one.shape != two.shape:
            raise InputError(f"similarity: expected a vector of shape {one.shape}, got {two.shape}")
        length = float(np.linalg.norm(one) * np.linalg.norm(two))
        if length == 0:
            raise InputError("similarity: a vector of zeros has no direction")
        return float(one @ two) / length

    def __str__(self) -> str:
        return f"vector of {self.vector.size}"


def read_result(outputs: Outputs, result: Result | None, labels: Labels) -> AnyResult:
    """What the model gave for one sample, as the manifest says to read it.

    Args:
        outputs: the raw outputs by name.
        result: the manifest's; None: the outputs are given back as they are.
        labels: class names, or None.

    Raises:
        InputError: the outputs are of more samples than one, or hold NaN.
        BundleError: the labels do not go with the classes.
    """
    if result is None:
        return outputs
    if result.type == "classification":
        return classify(outputs, result, labels)
    if result.type == "detection":
        return _detect(outputs, result, labels)
    if result.type == "segmentation":
        return _segment(outputs, result, labels)
    return _embed(outputs, result)


def classify(outputs: Outputs, result: Result, labels: Labels) -> Classification:
    """Read a classification from the outputs of one sample; raises as `read_result`."""
    name = result.outputs["scores"]
    values = outputs[name]
    if values.ndim == 0 or values.size == 0 or values.size != values.shape[-1]:
        raise _batch_error(name, "the scores of 1 sample", values)
    scores = values.reshape(-1)
    _check_labels(labels, scores.size, name)
    _check_nan(name, scores, "a score")
    # Reversed twice: a stable sort then puts the lower index first among equals, for unsigned scores too.
    order = scores.size - 1 - np.argsort(scores[::-1], kind="stable")[::-1]
    best = [Guess(labels[i] if labels else None, i, float(scores[i])) for i in order[: result.top_k].tolist()]
    least = result.threshold
    top = tuple(best) if least is None else tuple(guess for guess in best if guess.score > least)
    return Classification(*best[0], top, outputs)


def _detect(outputs: Outputs, result: Result, labels: Labels) -> Detection:
    boxes, scores, classes = (outputs[result.outputs[role]] for role in ("boxes", "scores", "classes"))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise _batch_error(result.outputs["boxes"], "boxes of 1 sample, shape (objects, 4)", boxes)
    for role, values in (("scores", scores), ("classes", classes)):
        if values.shape != boxes.shape[:1]:
            raise _batch_error(result.outputs[role], f"one for each of {len(boxes)} boxes", values)
    _check_nan(result.outputs["boxes"], boxes, "a box")
    _check_nan(result.outputs["scores"], scores, "a score")
    rows = zip(classes.tolist(), scores.tolist(), boxes.tolist())
    objects = tuple(Detected(_label(labels, int(i)), int(i), score, tuple(box)) for i, score, box in rows)
    return Detection(objects, boxes, scores, classes, outputs)


def _segment(outputs: Outputs, result: Result, labels: Labels) -> Segmentation:
    name = result.outputs["mask"]
    mask = outputs[name]
    if mask.ndim != 2 or mask.dtype.kind not in "iu":
        raise _batch_error(name, "the classes of 1 sample, shape (height, width)", mask)
    return Segmentation(mask, labels, outputs)


def _embed(outputs: Outputs, result: Result) -> Embedding:
    name = result.outputs["vector"]
    vector = outputs[name]
    if vector.size == 0 or vector.size != vector.shape[-1]:
        raise _batch_error(name, "the vector of 1 sample", vector)
    _check_nan(name, vector, "a value")
    return Embedding(vector.reshape(-1), outputs)


def read_labels(bundle: Bundle) -> tuple[str, ...] | None:
    """The class names, None where the bundle has none. Raises BundleError where they are not one a class, in UTF-8."""
    result = bundle.manifest.result
    if result is None or result.labels is None:
        return None
    try:
        lines = bundle.read(result.labels).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BundleError(f"{bundle.name}: {result.labels} is not UTF-8: {error}") from error
    labels = tuple(line.rstrip("\r") for line in (lines if lines[-1] else lines[:-1]))
    scores = result.outputs.get("scores")
    classes = next((spec.shape[-1:] for spec in bundle.manifest.outputs if spec.name == scores), ())
    if result.type == "classification" and scores and classes and isinstance(classes[0], int):
        _check_labels(labels, classes[0], scores)
    return labels


def _check_labels(labels: Labels, classes: int, output: str) -> None:
    """Raises BundleError unless there is a label for each class, or no labels at all."""
    if labels is not None and len(labels) != classes:
        raise BundleError(
            f"{output} has {classes} classes, the labels are {len(labels)}; package with the right labels"
        )


def _batch_error(name: str, expected: str, values: NDArray[Any]) -> InputError:
    return InputError(
        f"{name}: expected {expected}, got shape {values.shape}; use run() for a batch, it gives the raw outputs"
    )


def _check_nan(name: str, values: NDArray[Any], what: str) -> None:
    if np.isnan(values).any():
        raise InputError(f"{name}: {what} is NaN; check the input for NaN and infinity")


def _label(labels: Labels, index: int) -> str | None:
    """The class's name, None where there are no labels.

    Raises:
        BundleError: there are too few.
    """
    if labels is None:
        return None
    if not 0 <= index < len(labels):
        raise BundleError(f"class {index} has no label, the labels are {len(labels)}; package with the right labels")
    return labels[index]


def _name(label: str | None, index: int) -> str:
    return f"class {index}" if label is None else label
