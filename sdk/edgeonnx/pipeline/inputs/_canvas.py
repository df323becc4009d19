"""A picture within the graph: what is done to its pixels, and where they were in the original."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder, Operand
from edgeonnx.pipeline.inputs._resample import Interpolation, resample

_AXES = np.array([2, 3])  # rows and columns of (1, C, H, W)


@dataclass(frozen=True)
class Canvas:
    """A picture, and how it lies in the original one. Pairs are of rows and columns, shape (2,).

    Attributes:
        build: takes the nodes.
        pixels: uint8, shape (1, C, H, W).
        size: H and W, int64.
        original: H and W of the picture as it came, float64.
        scale, offset: a point of the original * scale + offset is where it is now, in pixels; float64.
    """

    build: Builder
    pixels: ir.Value
    size: Operand
    original: ir.Value
    scale: Operand
    offset: Operand

    @classmethod
    def begin(cls, picture: ir.Value, build: Builder) -> "Canvas":
        """From uint8 of shape (H, W, C)."""
        pixels = build.op("Unsqueeze", build.op("Transpose", picture, perm=[2, 0, 1]), np.array([0]))
        size = build.op("Slice", build.op("Shape", picture), np.array([0]), np.array([2]))
        return cls(build, pixels, size, build.cast(size, "float64"), np.ones(2), np.zeros(2))

    def crop(self, start: ir.Value, size: Operand) -> "Canvas":
        """`size` rows and columns from `start` on; int64."""
        op = self.build.op
        pixels = op("Slice", self.pixels, start, op("Add", start, size), _AXES)
        offset = op("Sub", self.offset, self.build.cast(start, "float64"))
        return replace(self, pixels=pixels, size=size, offset=offset)

    def pad(self, before: Operand, after: Operand, mode: str = "constant", fill: int = 0) -> "Canvas":
        """More rows and columns at the start and at the end; int64, at least 0. `mode` as the operator Pad has it."""
        op, none = self.build.op, np.array([0, 0])
        value = np.array(fill, np.uint8) if mode == "constant" else None
        pixels = op("Pad", self.pixels, op("Concat", none, before, none, after, axis=0), value, mode=mode)
        offset = op("Add", self.offset, self.build.cast(before, "float64"))
        return replace(self, pixels=pixels, size=op("Add", op("Add", self.size, before), after), offset=offset)

    def resize(self, size: Operand, interpolation: Interpolation, antialias: bool) -> "Canvas":
        """To `size`, int64."""
        op, cast = self.build.op, self.build.cast
        pixels = resample(self.build, self.pixels, self.size, size, interpolation, antialias)
        factor = op("Div", cast(size, "float64"), cast(self.size, "float64"))
        scale, offset = op("Mul", self.scale, factor), op("Mul", self.offset, factor)
        return replace(self, pixels=pixels, size=size, scale=scale, offset=offset)

    def flip(self, direction: Literal["horizontal", "vertical"]) -> "Canvas":
        """Mirror: left to right, or upside down. The scale turns negative; the offset is the far edge."""
        axis = {"vertical": 0, "horizontal": 1}[direction]
        mirrored = np.arange(2) == axis
        sign, op = np.where(mirrored, -1.0, 1.0), self.build.op
        end = np.array([np.iinfo(np.int64).min])
        pixels = op("Slice", self.pixels, np.array([-1]), end, _AXES[axis : axis + 1], np.array([-1]))
        edge = op("Mul", self.build.cast(self.size, "float64"), mirrored.astype(np.float64))
        offset = op("Add", op("Mul", self.offset, sign), edge)
        return replace(self, pixels=pixels, scale=op("Mul", self.scale, sign), offset=offset)

    def center_crop(self, size: np.ndarray) -> "Canvas":
        """As torchvision: a picture that is smaller is padded with 0; halves are rounded to even.

        Args:
            size: rows and columns, int64.
        """
        op, zero, two = self.build.op, np.array(0), np.array(2)
        missing = op("Max", op("Sub", size, self.size), zero)
        before = op("Div", missing, two)
        padded = self.pad(before, op("Sub", missing, before))
        spare = self.build.cast(op("Sub", padded.size, size), "float64")
        start = self.build.cast(op("Round", op("Mul", spare, np.array(0.5))), "int64")
        return padded.crop(start, size)

    def central(self, fraction: float) -> "Canvas":
        """As TensorFlow's `central_crop`: the middle part of each axis."""
        op, full = self.build.op, self.build.cast(self.size, "float64")
        margin = op("Mul", op("Sub", full, op("Mul", full, np.array(fraction))), np.array(0.5))
        start = self.build.cast(margin, "int64")
        return self.crop(start, op("Sub", self.size, op("Add", start, start)))

    def geometry(self) -> ir.Value:
        """float32, shape (8,): pairs of x and y: scale, offset, size of the original, size; see `Prepared.notes`."""
        size = self.build.cast(self.size, "float64")
        values = self.build.op("Concat", self.scale, self.offset, self.original, size, axis=0)
        return self.build.cast(self.build.op("Gather", values, np.array([1, 0, 3, 2, 5, 4, 7, 6])), "float32")
