"""The steps that a picture may go through: what a spec says of each, checked."""

from typing import Any, Literal, Self

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.pipeline.inputs._canvas import Canvas
from edgeonnx.pipeline.inputs._resample import Interpolation
from edgeonnx.pipeline.part import Part

Size = tuple[int | None, int | None]
"""Height and width; None where they hang on the picture."""

Mode = Literal["stretch", "fit", "fill", "letterbox"]


class Resize(Part):
    """Bring a picture to a size: to a box of `height` and `width`, or by one of its sides, keeping its aspect.

    The result has whole grey levels, as 8-bit pictures have them.

    Attributes:
        height, width: the box, in pixels.
        size: both of them, where they are equal.
        short_side: the shorter side becomes this; the other is cut to whole pixels, as torchvision's `Resize(n)` does.
        long_side: the longer side becomes this, likewise.
        mode: how the box is met. `stretch` does not keep the aspect. `fit` is the largest that lies inside. `fill` is
            the smallest that covers it, cut to it around the middle. `letterbox` is `fit`, then padded to the box.
        interpolation: `bilinear` or `bicubic`; `area`, the mean of what a pixel covers, as OpenCV's INTER_AREA (but
            where one side grows and the other shrinks: OpenCV interpolates there); `nearest` as OpenCV's and torch's;
            `nearest_exact` as torch's of that name, which is Pillow's NEAREST.
        antialias: of bilinear and bicubic. True is what Pillow does, and torchvision by default. False is what OpenCV
            (and with it the YOLO families), plain torch and TensorFlow do.
        fill: of the border of a letterbox, 0 to 255.
        align: where a letterbox has the picture: `center`, or `start`, which is the top left corner.
    """

    height: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=1)
    short_side: int | None = Field(default=None, ge=1)
    long_side: int | None = Field(default=None, ge=1)
    mode: Mode = "stretch"
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    fill: int = Field(default=114, ge=0, le=255)
    align: Literal["center", "start"] = "center"

    @model_validator(mode="before")
    @classmethod
    def _size_is_a_square(cls, value: Any) -> Any:
        if not isinstance(value, dict) or type(value.get("size")) is not int or {"height", "width"} & value.keys():
            return value
        return {**{k: v for k, v in value.items() if k != "size"}, "height": value["size"], "width": value["size"]}

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        ways = [self.height is not None or self.width is not None, self.size, self.short_side, self.long_side]
        if sum(map(bool, ways)) != 1:
            raise ValueError("expected one of height and width, size, short_side, long_side")
        if (self.height is None) != (self.width is None):
            raise ValueError(f"{'height' if self.height is None else 'width'} is missing")
        if self.height is None and self.mode != "stretch":
            raise ValueError(f"mode = {self.mode} takes height and width")
        if self.mode != "letterbox" and (self.fill != 114 or self.align != "center"):
            raise ValueError("fill and align are of mode = letterbox")
        return self

    def after(self, size: Size) -> Size:
        """The size it gives."""
        return (None, None) if self.mode == "fit" else (self.height, self.width)

    def __call__(self, canvas: Canvas) -> Canvas:
        """Write the operators."""
        size = self._new_size(canvas)
        canvas = canvas.resize(size, self.interpolation, self.antialias)
        if self.mode == "fill":
            return canvas.center_crop(self._box)
        return self._letterbox(canvas) if self.mode == "letterbox" else canvas

    @property
    def _box(self) -> np.ndarray:
        return np.array([self.height, self.width], np.int64)

    def _new_size(self, canvas: Canvas) -> ir.Value | np.ndarray:
        """Before padding and cropping: int64, shape (2,), at least 1 x 1."""
        op, one = canvas.build.op, np.array([1])
        if self.mode == "stretch" and self.height is not None:
            return self._box
        if self.height is None:
            side = self.short_side or self.long_side
            whole = op("ReduceMin" if self.short_side else "ReduceMax", canvas.size)
            return op("Max", op("Div", op("Mul", canvas.size, np.array([side])), whole), one)
        ratios = op("Div", self._box.astype(np.float64), canvas.build.cast(canvas.size, "float64"))
        ratio = op("ReduceMax" if self.mode == "fill" else "ReduceMin", ratios)
        size = op("Round", op("Mul", canvas.build.cast(canvas.size, "float64"), ratio))
        return op("Max", canvas.build.cast(size, "int64"), one)

    def _letterbox(self, canvas: Canvas) -> Canvas:
        op = canvas.build.op
        missing = op("Sub", self._box, canvas.size)
        if self.align == "start":
            return canvas.pad(np.array([0, 0]), missing, fill=self.fill)
        before = op("Div", missing, np.array(2))
        return canvas.pad(before, op("Sub", missing, before), fill=self.fill)


class Pad(Part):
    """Add rows and columns.

    Attributes:
        left, top, right, bottom: how many, in pixels.
        mode: `constant`; `edge` repeats the outermost pixels; `reflect` mirrors the picture without repeating them, and
            takes pictures larger than what is added.
        fill: of `constant`, 0 to 255.
    """

    left: int = Field(default=0, ge=0)
    top: int = Field(default=0, ge=0)
    right: int = Field(default=0, ge=0)
    bottom: int = Field(default=0, ge=0)
    mode: Literal["constant", "edge", "reflect"] = "constant"
    fill: int = Field(default=0, ge=0, le=255)

    @property
    def added(self) -> tuple[int, int]:
        """To the height and to the width."""
        return self.top + self.bottom, self.left + self.right

    def after(self, size: Size) -> Size:
        """The size it gives."""
        height, width = (None if side is None else side + more for side, more in zip(size, self.added, strict=True))
        return height, width

    def __call__(self, canvas: Canvas) -> Canvas:
        """Write the operators."""
        before, after = np.array([self.top, self.left]), np.array([self.bottom, self.right])
        return canvas.pad(before, after, self.mode, self.fill)


class Normalize(Part):
    """(pixel / scale - mean) / std, each channel with its own mean and std.

    Attributes:
        scale: what pixels are divided by first; 255 brings them to 0..1.
        mean: one number, or one a channel.
        std: one number, or one a channel.
    """

    scale: float = Field(default=1.0, gt=0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor and summand that carry it out: float32, shape (1, 1 or C, 1, 1)."""
        std = np.array(self.std, np.float64).reshape(1, -1, 1, 1)
        mean = np.array(self.mean, np.float64).reshape(1, -1, 1, 1)
        return (1 / (self.scale * std)).astype(np.float32), (-mean / std).astype(np.float32)
