"""A map of cells brought back to the original picture; rows and columns are looked up apart."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder, element_type
from edgeonnx.pipeline.outputs._coordinates import MODEL, OFFSET, ORIGINAL, SCALE, pick

_X, _Y = 0, 1


class _Between(NamedTuple):
    """Where the pixels of one axis lie between the centres of cells: shape (pixels,).

    Attributes:
        before, after: the cells on either side, int64; at the edges the same one twice.
        share: of the one after, float32, 0..1.
        inside: whether the model saw the pixel, bool.
    """

    before: ir.Value
    after: ir.Value
    share: ir.Value
    inside: ir.Value


def nearest(labels: ir.Value, geometry: ir.Value, dtype: str, outside: int, build: Builder) -> ir.Value:
    """For every pixel the value of the cell it lies in.

    Pixels that the model did not see are looked up in a row and a column added to the map, so that nothing else as
    large as the picture is made.

    Args:
        labels: whole numbers, shape (height, width).
        geometry: see `Prepared.notes`.
        dtype: of the labels.
        outside: what such pixels get.
        build: takes the nodes.
    """
    padded = build.op("Pad", labels, np.array([0, 0, 1, 1], np.int64), np.array(outside, dtype))
    for axis, of in ((1, _X), (0, _Y)):
        cells = _cells(labels, axis, build)
        place = _places(geometry, of, cells, build)
        index = build.op("Where", _inside(place, cells, build), build.cast(place, "int64"), cells)
        padded = build.op("Gather", padded, index, axis=axis)
    return padded


def bilinear(
    scores: ir.Value,
    geometry: ir.Value,
    choose: Callable[[ir.Value, Builder], ir.Value],
    outside: int,
    dtype: str,
    build: Builder,
) -> ir.Value:
    """For every pixel the class that is chosen from scores taken between the centres of cells.

    Half-pixel centres, no antialias, as `torch.nn.functional.interpolate`. A Scan takes one row of the picture after
    the other: all scores of a large picture would take gigabytes.

    Args:
        scores: float32, shape (height, width, classes): a pixel's lie together, which is several times faster.
        geometry: see `Prepared.notes`.
        choose: writes what makes classes, shape (pixels,), of scores, shape (pixels, classes).
        outside: what pixels that the model did not see get.
        dtype: of the classes.
        build: takes the nodes.
    """
    x, y = (_between(geometry, of, _cells(scores, axis, build), build) for axis, of in ((1, _X), (0, _Y)))
    row = build.inner("row")
    here = _Between(
        *(
            ir.Value(name=row.name(name), type=ir.TensorType(element_type(kind)), shape=ir.Shape([]))
            for name, kind in zip(_Between._fields, ("int64", "int64", "float32", "bool"), strict=True)
        )
    )
    column = x._replace(share=build.op("Unsqueeze", x.share, np.array([1], np.int64)))
    classes = row.cast(choose(_mix(_mix(scores, here, row), column, row), row), dtype)
    seen = row.op("And", here.inside, x.inside)
    classes = row.op("Where", seen, classes, np.array(outside, dtype))
    classes = row.result(classes, row.name("classes"), dtype, ("width",))
    body = ir.Graph(list(here), [classes], nodes=row.nodes, name=row.name("body"))
    return build.op("Scan", *y, body=body, num_scan_inputs=len(y))


def _mix(values: ir.Value, between: _Between, build: Builder) -> ir.Value:
    """Values between cells along the first axis."""
    before = build.op("Gather", values, between.before, axis=0)
    after = build.op("Gather", values, between.after, axis=0)
    return build.op("Add", before, build.op("Mul", build.op("Sub", after, before), between.share))


def _between(geometry: ir.Value, of: int, cells: ir.Value, build: Builder) -> _Between:
    place = _places(geometry, of, cells, build)
    inside = _inside(place, cells, build)
    zero, half = np.array(0, np.float32), np.array(0.5, np.float32)
    last = build.op("Sub", cells, np.array(1, np.int64))
    centre = build.op("Sub", place, half)
    centre = build.op("Min", build.op("Max", centre, zero), build.cast(last, "float32"))
    floor = build.op("Floor", centre)
    before = build.cast(floor, "int64")
    after = build.op("Min", build.op("Add", before, np.array(1, np.int64)), last)
    return _Between(before, after, build.op("Sub", centre, floor), inside)


def _places(geometry: ir.Value, of: int, cells: ir.Value, build: Builder) -> ir.Value:
    """Where the centres of the original's pixels lie on the map, in cells: float32, shape (pixels,)."""
    zero, one, half = np.array(0, np.float32), np.array(1, np.float32), np.array(0.5, np.float32)
    pixels = build.op("Add", build.op("Range", zero, pick(geometry, ORIGINAL[of], build), one), half)
    moved = build.op(
        "Add", build.op("Mul", pixels, pick(geometry, SCALE[of], build)), pick(geometry, OFFSET[of], build)
    )
    step = build.op("Div", build.cast(cells, "float32"), pick(geometry, MODEL[of], build))
    return build.op("Mul", moved, step)


def _inside(place: ir.Value, cells: ir.Value, build: Builder) -> ir.Value:
    """Which places are on the map."""
    enough = build.op("GreaterOrEqual", place, np.array(0, np.float32))
    return build.op("And", enough, build.op("Less", place, build.cast(cells, "float32")))


def _cells(values: ir.Value, axis: int, build: Builder) -> ir.Value:
    """How many cells an axis has: int64, a scalar."""
    return build.op("Gather", build.op("Shape", values), np.array(axis, np.int64))
