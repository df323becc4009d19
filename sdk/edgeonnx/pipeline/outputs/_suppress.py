"""From a score for every box and class to the few detections that are kept: threshold, sorting, suppression."""

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder

# More than these go into no suppression: below, their scores are too low to matter, and it takes quadratic time.
_MOST_CANDIDATES = 30_000


class Detections(NamedTuple):
    """Boxes with one class each.

    Attributes:
        boxes: float32, shape (detections, 4).
        scores: float32, shape (detections,).
        classes: int64, shape (detections,).
    """

    boxes: ir.Value
    scores: ir.Value
    classes: ir.Value

    def at(self, places: ir.Value, build: Builder) -> "Detections":
        """Those at the given places, int64, in that order."""
        return Detections(*(build.op("Gather", value, places, axis=0) for value in self))


def places_above(scores: ir.Value, threshold: float, build: Builder) -> ir.Value:
    """Where scores, shape (boxes,), are above a threshold: int64, shape (places,)."""
    return build.op("Squeeze", build.op("NonZero", _above(scores, threshold, build)), np.array([0], np.int64))


def best_classes(boxes: ir.Value, scores: ir.Value, threshold: float, build: Builder) -> Detections:
    """Each box with its best class, where that is above the threshold.

    Args:
        boxes: shape (boxes, 4).
        scores: shape (boxes, classes); of equal ones the first class wins.
        threshold: what a score must exceed.
        build: takes the nodes.
    """
    # Not ReduceMax, whose axes are an input from operator set 18 on; not TopK, which crashes onnxruntime 1.19 if there
    # are no boxes.
    classes = build.op("ArgMax", scores, axis=1, keepdims=1)
    best = build.op("GatherElements", scores, classes, axis=1)
    last = np.array([1], np.int64)
    found = Detections(boxes, build.op("Squeeze", best, last), build.op("Squeeze", classes, last))
    return found.at(places_above(found.scores, threshold, build), build)


def every_class(boxes: ir.Value, scores: ir.Value, threshold: float, build: Builder) -> Detections:
    """Each box with each class whose score is above the threshold; see `best_classes`."""
    pairs = build.op("NonZero", _above(scores, threshold, build))
    box, classes = (build.op("Gather", pairs, np.array(row, np.int64), axis=0) for row in (0, 1))
    kept = build.op("GatherND", scores, build.op("Transpose", pairs, perm=[1, 0]))
    return Detections(build.op("Gather", boxes, box, axis=0), kept, classes)


def sort(found: Detections, build: Builder) -> Detections:
    """The highest score first; of equal ones the one that came first. NaN leads, for all to see."""
    count = build.op("Min", build.op("Shape", found.scores), np.array([_MOST_CANDIDATES], np.int64))
    scores = build.op("Where", build.op("IsNaN", found.scores), np.array(np.inf, np.float32), found.scores)
    _, places = build.ops("TopK", [scores, count], 2, axis=0)
    return found.at(places, build)


def suppress(found: Detections, iou_threshold: float, most: int, class_agnostic: bool, build: Builder) -> Detections:
    """Sorted detections without those that overlap a better one, of the same class, by more than a threshold.

    Greedy non-maximum suppression, as torchvision's `batched_nms`. The operator gets ranks in place of scores, so that
    which of two equal scores it takes first does not hang on how onnxruntime sorts.

    Args:
        found: the highest score first.
        iou_threshold: intersection over union.
        most: how many to keep.
        class_agnostic: a box also gives way to one of another class.
        build: takes the nodes.
    """
    ranks = _ranks(found.scores, build)
    if not class_agnostic:
        zero = np.array(0, np.float32)
        ranks = build.op("Where", _by_class(found.classes, build), ranks, zero)
    else:
        ranks = build.op("Unsqueeze", ranks, np.array([0], np.int64))
    first = np.array([0], np.int64)
    chosen = build.op(
        "NonMaxSuppression",
        build.op("Unsqueeze", found.boxes, first),
        build.op("Unsqueeze", ranks, first),
        np.array([most], np.int64),
        np.array([iou_threshold], np.float32),
        np.array([0], np.float32),
    )
    places = build.op("Gather", chosen, np.array(2, np.int64), axis=1)
    count = build.op("Min", build.op("Shape", places), np.array([most], np.int64))
    ordered, _ = build.ops("TopK", [places, count], 2, axis=0, largest=0)
    return found.at(ordered, build)


def first(found: Detections, most: int, build: Builder) -> Detections:
    """The first few."""
    start, stop = np.array([0], np.int64), np.array([most], np.int64)
    return Detections(*(build.op("Slice", value, start, stop) for value in found))


def _above(scores: ir.Value, threshold: float, build: Builder) -> ir.Value:
    """Which scores exceed the threshold. NaN passes: a broken model must not look like an empty picture."""
    return build.op("Not", build.op("LessOrEqual", scores, np.array(threshold, np.float32)))


def _ranks(scores: ir.Value, build: Builder) -> ir.Value:
    """For each of the scores a whole number above 0, the first the highest: float32."""
    count = build.op("Squeeze", build.op("Shape", scores), np.array([0], np.int64))
    down = build.op("Range", count, np.array(0, np.int64), np.array(-1, np.int64))
    return build.cast(down, "float32")


def _by_class(classes: ir.Value, build: Builder) -> ir.Value:
    """Whether a detection is of a class: shape (classes, detections), for as many classes as there are."""
    some = build.op("Concat", classes, np.array([0], np.int64), axis=0)
    count = build.op("Add", build.op("ReduceMax", some, keepdims=0), np.array(1, np.int64))
    every = build.op("Range", np.array(0, np.int64), count, np.array(1, np.int64))
    column = build.op("Unsqueeze", every, np.array([1], np.int64))
    return build.op("Equal", column, build.op("Unsqueeze", classes, np.array([0], np.int64)))
