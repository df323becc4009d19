"""Boxes from one system of coordinates to another. Boxes are float32, shape (boxes, 4), unless said."""

from typing import Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder

# What the four numbers of a box are: two corners, a corner and the size, or the centre and the size.
Form = Literal["xyxy", "yxyx", "xywh", "cxcywh"]

# Where the numbers of a geometry note stand: see `Prepared.notes`.
SCALE, OFFSET, ORIGINAL, MODEL = (0, 1), (2, 3), (4, 5), (6, 7)


def columns(value: ir.Value, start: int, stop: int | None, build: Builder) -> ir.Value:
    """Columns of a matrix; None: to the last."""
    end = np.iinfo(np.int64).max if stop is None else stop
    return build.op("Slice", value, _ints(start), _ints(end), _ints(1))


def to_corners(boxes: ir.Value, form: Form, build: Builder) -> ir.Value:
    """Boxes as x1, y1, x2, y2."""
    if form == "xyxy":
        return boxes
    if form == "yxyx":
        return build.op("Gather", boxes, np.array([1, 0, 3, 2], np.int64), axis=1)
    place, size = build.ops("Split", [boxes, np.array([2, 2], np.int64)], 2, axis=1)
    if form == "cxcywh":
        place = build.op("Sub", place, build.op("Mul", size, np.array(0.5, np.float32)))
    return build.op("Concat", place, build.op("Add", place, size), axis=1)


def to_pixels(boxes: ir.Value, geometry: ir.Value | None, build: Builder) -> ir.Value:
    """Corners in 0..1 as pixels of the model's picture; as they are where its size is not known."""
    return boxes if geometry is None else build.op("Mul", boxes, _twice(geometry, MODEL, build))


def to_original(boxes: ir.Value, geometry: ir.Value, build: Builder) -> ir.Value:
    """Corners in the model's picture as corners in the original one, cut off at its edges.

    A flip exchanges corners (its scale is negative): the lower one comes first again.
    """
    moved = build.op("Sub", boxes, _twice(geometry, OFFSET, build))
    moved = build.op("Div", moved, _twice(geometry, SCALE, build))
    one, other = build.ops("Split", [moved, np.array([2, 2], np.int64)], 2, axis=1)
    ordered = build.op("Concat", build.op("Min", one, other), build.op("Max", one, other), axis=1)
    inside = build.op("Max", ordered, np.array(0, np.float32))
    return build.op("Min", inside, _twice(geometry, ORIGINAL, build))


def pick(geometry: ir.Value, place: int, build: Builder) -> ir.Value:
    """One number of a geometry note, a scalar."""
    return build.op("Gather", geometry, np.array(place, np.int64))


def _twice(geometry: ir.Value, pair: tuple[int, int], build: Builder) -> ir.Value:
    """x, y, x, y of a pair of the geometry's numbers: shape (4,)."""
    return build.op("Gather", geometry, np.array(pair * 2, np.int64))


def _ints(number: int) -> np.ndarray:
    return np.array([number], np.int64)
