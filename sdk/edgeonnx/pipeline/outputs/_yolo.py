"""Heads of the YOLO families: one output that holds boxes and scores."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.outputs._coordinates import MODEL, columns, pick, to_corners
from edgeonnx.pipeline.outputs._suppress import Detections, best_classes, every_class, places_above


def yolov5(
    output: ir.Value, strides: Sequence[int], geometry: ir.Value | None, threshold: float, multi: bool, build: Builder
) -> Detections:
    """(boxes, 5 + classes): centre, size, objectness, classes; a score is the product of the last two.

    Source: `non_max_suppression` of YOLOv5 and YOLOv7, `demo_postprocess` of YOLOX.

    Args:
        output: float32, without the batch.
        strides: of a head that is not decoded, in the order of its boxes; empty: it is.
        geometry: tells how the grid of a head that is not decoded lies.
        threshold: what objectness and score must exceed.
        multi: a box may have several classes.
        build: takes the nodes.
    """
    boxes = columns(output, 0, 4, build)
    if strides:
        assert geometry is not None
        boxes = _decode(boxes, strides, geometry, build)
    objectness = columns(output, 4, 5, build)
    last = np.array([1], np.int64)
    places = places_above(build.op("Squeeze", objectness, last), threshold, build)
    boxes, objectness, classes = (
        build.op("Gather", value, places, axis=0) for value in (boxes, objectness, columns(output, 5, None, build))
    )
    scores = build.op("Mul", classes, objectness)
    choose = every_class if multi else best_classes
    return choose(to_corners(boxes, "cxcywh", build), scores, threshold, build)


def yolov8(output: ir.Value, transposed: bool, threshold: float, multi: bool, build: Builder) -> Detections:
    """(4 + classes, boxes): centre, size, classes.

    Source: `non_max_suppression` of Ultralytics' YOLO.

    Args:
        output: float32, without the batch.
        transposed: it is (boxes, 4 + classes).
        threshold: what a score must exceed.
        multi: a box may have several classes.
        build: takes the nodes.
    """
    rows = output if transposed else build.op("Transpose", output, perm=[1, 0])
    boxes = to_corners(columns(rows, 0, 4, build), "cxcywh", build)
    choose = every_class if multi else best_classes
    return choose(boxes, columns(rows, 4, None, build), threshold, build)


def _decode(boxes: ir.Value, strides: Sequence[int], geometry: ir.Value, build: Builder) -> ir.Value:
    """Centre and size in cells of the grid, the size as a logarithm, to pixels: YOLOX' head."""
    grids = [_grid(stride, geometry, build) for stride in strides]
    cells = build.op("Concat", *(cell for cell, _ in grids), axis=0)
    steps = build.op("Concat", *(step for _, step in grids), axis=0)
    centre, size = build.ops("Split", [boxes, np.array([2, 2], np.int64)], 2, axis=1)
    centre = build.op("Mul", build.op("Add", centre, cells), steps)
    return build.op("Concat", centre, build.op("Mul", build.op("Exp", size), steps), axis=1)


def _grid(stride: int, geometry: ir.Value, build: Builder) -> tuple[ir.Value, ir.Value]:
    """The cells of one stride, row by row: x and y of each, shape (cells, 2), and the stride, shape (cells, 1)."""
    zero, one = np.array(0, np.int64), np.array(1, np.int64)
    width, height = (
        build.op("Div", build.cast(pick(geometry, place, build), "int64"), np.array(stride, np.int64))
        for place in MODEL
    )
    count = build.op("Mul", width, height)
    cell = build.op("Range", zero, count, one)
    y = build.op("Div", cell, width)
    x = build.op("Sub", cell, build.op("Mul", y, width))
    column = np.array([1], np.int64)
    cells = build.op("Concat", *(build.op("Unsqueeze", value, column) for value in (x, y)), axis=1)
    shape = build.op("Concat", build.op("Unsqueeze", count, np.array([0], np.int64)), column, axis=0)
    return build.cast(cells, "float32"), build.op("Expand", np.array(stride, np.float32), shape)
