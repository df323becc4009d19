"""Detectors with outputs for boxes and for scores (SSD and plain boxes), and those that end in rows of detections."""

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from pydantic import ValidationInfo

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.outputs._coordinates import Form, columns
from edgeonnx.pipeline.outputs._suppress import Detections, places_above

Background = Literal["none", "first", "last"]
Column = Literal["box", "score", "class", "skip"]

# A box grows to no more than this many times its anchor: torchvision's `BoxCoder`, so that exp() stays finite.
_MOST_GROWTH = 1000 / 16


def read_anchors(value: Any, info: ValidationInfo) -> Any:
    """The rows of a file, which is looked for in the context's folder; rows given as they are stay so.

    Raises:
        ValueError: it can't be read, or has another shape than (boxes, 4).
    """
    if not isinstance(value, str):
        return value
    path = Path((info.context or {}).get("folder", ""), value)
    try:
        array = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} can't be read: {error}; expected .npy, or text with a,b,c,d on a line") from error
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected numbers of shape (boxes, 4), got {array.dtype} {array.shape}")
    # The shortest decimals of a float32: bundles carry them as text.
    return [[float(str(number)) for number in row] for row in array.astype(np.float32)]


def centred(anchors: Sequence[Sequence[float]], form: Form) -> np.ndarray:
    """Anchors of a form as centre and size, x first: float32, shape (boxes, 4)."""
    array = np.array(anchors, np.float64)
    if form == "yxyx":
        array = array[:, [1, 0, 3, 2]]
    if form in ("xyxy", "yxyx"):
        array[:, 2:] -= array[:, :2]
    if form != "cxcywh":
        array[:, :2] += array[:, 2:] / 2
    return array.astype(np.float32)


def decode_anchors(
    deltas: ir.Value, anchors: np.ndarray, variances: Sequence[float], y_first: bool, build: Builder
) -> ir.Value:
    """Boxes as centre and size, cxcywh, from what an SSD says of its anchors.

    Sources: SSD (https://arxiv.org/abs/1512.02325), equation 2; torchvision's `BoxCoder.decode_single`, whose weights
    are 1 / variances; TensorFlow's `FasterRcnnBoxCoder`, whose scale factors are 1 / variances and which puts y first.

    Args:
        deltas: float32, shape (boxes, 4): of the centre in sizes of the anchor, of the size as a logarithm.
        anchors: float32, shape (boxes, 4), as centre and size, x first.
        variances: what deltas are multiplied by: x, y, width, height.
        y_first: the deltas are y, x, height, width.
        build: takes the nodes.
    """
    if y_first:
        deltas = build.op("Gather", deltas, np.array([1, 0, 3, 2], np.int64), axis=1)
    deltas = build.op("Mul", deltas, np.array(variances, np.float32))
    move, growth = build.ops("Split", [deltas, np.array([2, 2], np.int64)], 2, axis=1)
    centre = build.op("Add", build.op("Mul", move, anchors[:, 2:]), anchors[:, :2])
    growth = build.op("Min", growth, np.array(log(_MOST_GROWTH), np.float32))
    return build.op("Concat", centre, build.op("Mul", build.op("Exp", growth), anchors[:, 2:]), axis=1)


def real_classes(scores: ir.Value, background: Background, build: Builder) -> ir.Value:
    """The scores of all classes but the background: from (boxes, classes) or (1, boxes, classes) to a matrix."""
    start, stop = int(background == "first"), -1 if background == "last" else np.iinfo(np.int64).max
    one = np.array([1], np.int64)
    count = build.op("Gather", build.op("Shape", scores), np.array([-1], np.int64), axis=0)
    rows = build.op("Reshape", scores, build.op("Concat", np.array([-1], np.int64), count, axis=0))
    return rows if background == "none" else build.op("Slice", rows, one * start, one * stop, one)


def one_class(
    boxes: ir.Value, scores: ir.Value, classes: ir.Value | None, offset: int, threshold: float, build: Builder
) -> Detections:
    """Boxes of which each has one score, where it is above the threshold.

    Args:
        boxes: float32, shape (boxes, 4).
        scores: float32, of as many values.
        classes: of as many values, any type of number; None: there is one class.
        offset: number of the first real class; what is below is no object.
        threshold: what a score must exceed.
        build: takes the nodes.
    """
    flat = np.array([-1], np.int64)
    scores = build.op("Reshape", scores, flat)
    if classes is None:
        zero = ir.tensor(np.array([0], np.int64))
        found = Detections(boxes, scores, build.op("ConstantOfShape", build.op("Shape", scores), value=zero))
        return found.at(places_above(scores, threshold, build), build)
    counted = build.op("Sub", build.cast(build.op("Reshape", classes, flat), "int64"), np.array(offset, np.int64))
    found = Detections(boxes, scores, counted)
    found = found.at(places_above(scores, threshold, build), build)
    real = build.op("Greater", found.classes, np.array(-1, np.int64))
    real = build.op("Or", real, build.op("IsNaN", found.scores))  # where scores are NaN, classes are anything
    return found.at(build.op("Squeeze", build.op("NonZero", real), np.array([0], np.int64)), build)


def split_rows(rows: ir.Value, order: Sequence[Column], build: Builder) -> tuple[ir.Value, ir.Value, ir.Value | None]:
    """Boxes, scores and classes (if there are any) of rows that hold all; `box` takes four columns, the others one."""
    found: dict[str, ir.Value] = {}
    start = 0
    for name in order:
        width = 4 if name == "box" else 1
        if name != "skip":
            found[name] = columns(rows, start, start + width, build)
        start += width
    return found["box"], found["score"], found.get("class")


def row_width(order: Sequence[Column]) -> int:
    """How many columns such rows have."""
    return sum(4 if name == "box" else 1 for name in order)
