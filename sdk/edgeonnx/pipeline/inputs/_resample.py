"""Resampling of 8-bit pictures in standard operators, each as the library it is named after does it.

All functions take uint8, shape (1, C, H, W), and give uint8 of another H and W: whole grey levels, as every 8-bit
pipeline has them.
"""

from typing import Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder, Operand

Interpolation = Literal["nearest", "nearest_exact", "bilinear", "bicubic", "area"]

_ROWS, _COLUMNS = 2, 3  # axes of (1, C, H, W)
_ANTIALIAS_OPSET = 18


def resample(
    build: Builder, pixels: ir.Value, old: Operand, new: Operand, interpolation: Interpolation, antialias: bool
) -> ir.Value:
    """Bring a picture to another size.

    Args:
        build: takes the nodes.
        pixels: uint8, shape (1, C, H, W).
        old: H and W, int64, shape (2,).
        new: the size wanted, likewise.
        interpolation: `nearest` as OpenCV and torch, `nearest_exact` as Pillow, `bilinear`, `bicubic`, `area`.
        antialias: of bilinear and bicubic: as Pillow; without, as OpenCV and torch.
    """
    if interpolation == "area":
        return _area(build, pixels, old, new)
    if interpolation in ("bilinear", "bicubic"):
        mode = {"bilinear": "linear", "bicubic": "cubic"}[interpolation]
        return _antialiased(build, pixels, old, new, mode) if antialias else _plain(build, pixels, new, mode)
    for i, axis in enumerate((_ROWS, _COLUMNS)):
        index = _nearest(build, _item(build, old, i), _item(build, new, i), interpolation == "nearest_exact")
        pixels = build.op("Gather", pixels, index, axis=axis)
    return pixels


def _plain(build: Builder, pixels: ir.Value, new: Operand, mode: str) -> ir.Value:
    """Two (or, bicubic, four) pixels an axis whatever the size; half-pixel centres, a = -0.75."""
    value = build.op(
        "Resize",
        *(build.cast(pixels, "float32"), None, None, _sizes(build, pixels, new)),
        mode=mode,
        coordinate_transformation_mode="half_pixel",
        cubic_coeff_a=-0.75,
    )
    return to_levels(build, value, "uint8")


def _antialiased(build: Builder, pixels: ir.Value, old: Operand, new: Operand, mode: str) -> ir.Value:
    """Filters as wide as the pixels that fall on one, a = -0.5, rounded after each axis, as Pillow does it.

    Columns go first, except where that would enlarge the picture and rows would shrink it: then rows do. So there are
    three steps, of which one at least changes nothing.
    """
    build.needs(_ANTIALIAS_OPSET)
    first = build.op("Where", _rows_first(build, old, new), new, old)
    first = build.op("Concat", _item(build, first, 0), _item(build, old, 1), axis=0)
    second = build.op("Concat", _item(build, first, 0), _item(build, new, 1), axis=0)
    for size in (first, second, new):
        pixels = build.op(
            "Resize",
            *(pixels, None, None, _sizes(build, pixels, size)),
            mode=mode,
            coordinate_transformation_mode="half_pixel",
            antialias=1,
            exclude_outside=1,
            cubic_coeff_a=-0.5,
        )
    return pixels


def _rows_first(build: Builder, old: Operand, new: Operand) -> ir.Value:
    shrinks, grows = build.op("Less", new, old), build.op("Greater", new, old)
    return build.op("And", _item(build, shrinks, 0), _item(build, grows, 1))


def _nearest(build: Builder, old: ir.Value, new: ir.Value, exact: bool) -> ir.Value:
    """Index of the pixel that each new one copies, int64: the one under its corner, or (exact) under its centre.

    In float64, in the order of operations of the library in question: an index that is off by a last bit is another
    pixel, not another grey level.

    Args:
        build: takes the nodes.
        old: number of pixels, int64, shape (1,).
        new: the number wanted, likewise.
        exact: the one under the centre.
    """
    count = new
    old, new, one = build.cast(old, "float64"), build.cast(new, "float64"), np.array([1.0])
    if exact:  # Pillow adds steps to half a step
        step = build.op("Div", old, new)
        further = cut(build, build.op("Expand", step, count), 1, None)
        steps = build.op("Concat", build.op("Mul", step, np.array([0.5])), further, axis=0)
        at = build.op("CumSum", steps, np.array(0))
    else:
        position = build.op("CumSum", build.op("Expand", one, count), np.array(0), exclusive=1)
        at = build.op("Mul", position, build.op("Div", one, build.op("Div", new, old)))
    return build.cast(build.op("Min", build.op("Floor", at), build.op("Sub", old, one)), "int64")


def _area(build: Builder, pixels: ir.Value, old: Operand, new: Operand) -> ir.Value:
    """Each new pixel is the mean of the area that it covers, pixels at the border counting in part.

    Rows are summed as integers, which is exact; the picture is then small enough for float64.
    """
    value = build.cast(pixels, "int32")
    for i, axis in enumerate((_ROWS, _COLUMNS)):
        value = _mean(build, value, _item(build, old, i), _item(build, new, i), axis)
    return to_levels(build, build.cast(value, "float32"), "uint8")


def _mean(build: Builder, value: ir.Value, old: ir.Value, new: ir.Value, axis: int) -> ir.Value:
    """Means over equal parts of an axis: differences of the running sum, read between pixels. Gives float64."""
    parts, size = build.cast(new, "float64"), build.cast(old, "float64")
    edges = build.op("Expand", np.array([1.0]), build.op("Add", new, np.array([1])))
    edges = build.op("CumSum", edges, np.array(0), exclusive=1)
    edges = build.op("Div", build.op("Mul", edges, size), parts)
    below = build.op("Min", build.op("Floor", edges), build.op("Sub", size, np.array([1.0])))
    share = build.op("Reshape", build.op("Sub", edges, below), np.array([-1, 1] if axis == _ROWS else [-1]))
    index = build.cast(below, "int64")
    whole = build.op("Gather", build.op("CumSum", value, np.array(axis), exclusive=1), index, axis=axis)
    part = build.op("Mul", build.cast(build.op("Gather", value, index, axis=axis), "float64"), share)
    sums = build.op("Add", build.cast(whole, "float64"), part)
    upper, lower = cut(build, sums, 1, None, axis), cut(build, sums, 0, -1, axis)
    return build.op("Mul", build.op("Sub", upper, lower), build.op("Div", parts, size))


def to_levels(build: Builder, value: ir.Value, dtype: str) -> ir.Value:
    """Round float32 to an integer type of 8 bits; what lies outside takes the nearest value it has."""
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    value = build.op("Clip", build.op("Round", value), np.array(least, np.float32), np.array(most, np.float32))
    return build.cast(value, dtype)


def cut(build: Builder, value: Operand, start: int, stop: int | None, axis: int = 0) -> ir.Value:
    """`value[start:stop]` along an axis."""
    end = np.iinfo(np.int64).max if stop is None else stop
    return build.op("Slice", value, np.array([start]), np.array([end]), np.array([axis]))


def _item(build: Builder, value: Operand, i: int) -> ir.Value:
    return cut(build, value, i, i + 1)


def _sizes(build: Builder, pixels: ir.Value, new: Operand) -> ir.Value:
    """What Resize takes for `pixels` to become `new` high and wide."""
    return build.op("Concat", cut(build, build.op("Shape", pixels), 0, 2), new, axis=0)
