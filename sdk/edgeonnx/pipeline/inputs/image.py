"""From a picture, as pixels or as a file's bytes, to a model's input."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field, field_validator, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._canvas import Canvas
from edgeonnx.pipeline.inputs._decode import decode, to_color
from edgeonnx.pipeline.inputs._resample import to_levels
from edgeonnx.pipeline.inputs.image_steps import Normalize, Pad, Resize, Size
from edgeonnx.pipeline.part import Entry, InputPart, Prepared, only_target
from edgeonnx.runtime._manifest import IMAGE_CHANNELS, Media

_ORDER = {"NCHW": ("batch", "channels", "height", "width"), "NHWC": ("batch", "height", "width", "channels")}
_DTYPES = ("float32", "float16", "uint8", "int8")


class ImageInput(InputPart):
    """From a picture to one of the model's inputs. The steps run in this order, whatever the order in the file.

    Pixels are whole grey levels until `normalize`. The model's own type decides the last step: float32 and float16 take
    what `normalize` gives; uint8 and int8 take it rounded, what lies outside the type at its end.

    Attributes:
        type: `image`.
        to: the model's input; may be left out where there is only one.
        decode: take the bytes of a JPEG or PNG file, and decode them in the graph, by onnxruntime-extensions. Where
            colours change, JPEGs of halved chroma come out some grey levels off Pillow's. False leaves decoding to
            the caller: pictures come as height x width x channels, uint8. Orientation tags are not applied.
        color: `grey` (one channel, Pillow's luma), `rgb` or `bgr`: what the model was trained on.
        central_fraction: keep this part of each side, around the middle, as TensorFlow's `central_crop`.
        resize: to which size.
        center_crop: keep this many pixels around the middle, one number or [height, width], as torchvision's
            `CenterCrop`: a picture that is smaller is padded with 0.
        pad: add a border.
        flip: mirror left to right (`horizontal`) or upside down (`vertical`). Boxes and masks that are scaled back to
            the original picture are mirrored back.
        normalize: how pixels become numbers.
        layout: order of the model's axes.
    """

    type: Literal["image"] = "image"
    to: str | None = None
    decode: bool = False
    color: Literal["grey", "rgb", "bgr"] = "rgb"
    central_fraction: float | None = Field(default=None, gt=0, le=1)
    resize: Resize | None = None
    center_crop: int | tuple[int, int] | None = None
    pad: Pad | None = None
    flip: Literal["horizontal", "vertical"] | None = None
    normalize: Normalize = Normalize()
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @property
    def channels(self) -> int:
        """Number of channels of the picture."""
        return IMAGE_CHANNELS[self.color]

    @field_validator("center_crop")
    @classmethod
    def _height_and_width(cls, value: int | tuple[int, int] | None) -> tuple[int, int] | None:
        size = (value, value) if isinstance(value, int) else value
        if size is not None and min(size) < 1:
            raise ValueError("expected at least 1 pixel")
        return size

    @model_validator(mode="after")
    def _one_value_a_channel(self) -> "ImageInput":
        for name in ("mean", "std"):
            values = getattr(self.normalize, name)
            if len(values) not in (1, self.channels):
                raise ValueError(f"normalize.{name}: expected 1 or {self.channels} numbers for {self.color}")
        if 0.0 in self.normalize.std:
            raise ValueError("normalize.std: expected numbers other than 0")
        return self

    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One."""
        return (only_target(name, self.to, inputs),)

    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """Rank, type, batch, channels, and the size that the steps give."""
        (tensor,) = tensors.values()
        where = f"input.{name}"
        if tensor.shape is None or len(tensor.shape) != 4:
            raise PipelineError(f"{where}: a picture becomes an input of 4 axes, the model has {tensor}")
        if tensor.dtype not in _DTYPES:
            raise PipelineError(f"{where}: a picture becomes one of {', '.join(_DTYPES)}, the model has {tensor}")
        if isinstance(tensor.shape[0], int) and tensor.shape[0] != 1:
            raise PipelineError(f"{where}: pictures come one at a time, the model has {tensor}")
        wanted = self._on_axis(tensor, "channels")
        if isinstance(wanted, int) and wanted != self.channels:
            raise PipelineError(
                f"{where}.color: {self.color} with layout {self.layout}: expected {wanted} channels, "
                f"got {self.channels} ({tensor})"
            )
        self._check_size(where, tensor)

    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """A picture, whose size is free where a step changes it or the model leaves it free; or a file's bytes."""
        if self.decode:
            return (Entry(TensorSpec(name, "uint8", (f"{name}_bytes",)), Media("image", self.color, encoded=True)),)
        (tensor,) = tensors.values()
        height, width = (
            f"{name}_{axis}" if size is None else size
            for axis, size in zip(("height", "width"), self._own_size(tensor), strict=True)
        )
        return (Entry(TensorSpec(name, "uint8", (height, width, self.channels)), Media("image", self.color)),)

    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """Write the steps, one after the other."""
        (tensor,), (picture,) = tensors.values(), entries
        if self.decode:
            picture = to_color(build, decode(build, picture), self.color)
        canvas = self._steps(Canvas.begin(picture, build))
        return Prepared({tensor.name: self._finish(canvas.pixels, tensor, build)}, {"geometry": canvas.geometry()})

    def _steps(self, canvas: Canvas) -> Canvas:
        if self.central_fraction is not None:
            canvas = canvas.central(self.central_fraction)
        if self.resize is not None:
            canvas = self.resize(canvas)
        if self.center_crop is not None:
            canvas = canvas.center_crop(np.array(self.center_crop))
        if self.pad is not None:
            canvas = self.pad(canvas)
        return canvas if self.flip is None else canvas.flip(self.flip)

    def _finish(self, value: ir.Value, tensor: TensorSpec, build: Builder) -> ir.Value:
        """Normalize, layout, type: from uint8, shape (1, C, H, W)."""
        plain = self.normalize == Normalize()
        if not (plain and tensor.dtype == "uint8"):
            value = build.cast(value, "float32")
        if not plain:
            factor, summand = self.normalize.affine()
            value = build.op("Mul", value, factor)
            value = build.op("Add", value, summand) if summand.any() else value
        if self.layout == "NHWC":
            value = build.op("Transpose", value, perm=[0, 2, 3, 1])
        if tensor.dtype == "float16":
            return build.cast(value, "float16")
        if tensor.dtype == "float32" or (plain and tensor.dtype == "uint8"):
            return value
        return to_levels(build, value, tensor.dtype)

    def _check_size(self, where: str, tensor: TensorSpec) -> None:
        """Go through the steps that change the size; the last one that does must give the model's."""
        step, size = self._result()
        for axis, wanted, got in zip(("height", "width"), self._wanted(tensor), size, strict=True):
            if wanted is None or step is None:
                continue
            if got is None:
                raise PipelineError(
                    f"{where}.{step}: expected {wanted} {axis} with layout {self.layout}, got one that hangs on the "
                    f"picture ({tensor}); add center_crop, or resize to a height and a width"
                )
            if got != wanted:
                raise PipelineError(
                    f"{where}.{step}: expected {wanted} {axis} with layout {self.layout}, got {got} ({tensor})"
                )
        if any(side is not None and side < 1 for side in self._own_size(tensor)):
            raise PipelineError(f"{where}.pad: expected less than the model's whole size, got {self.pad} ({tensor})")

    def _result(self) -> tuple[str | None, Size]:
        """The size that the steps give, and the last step that says something of it; None if none does."""
        step, size = None if self.central_fraction is None else "central_fraction", (None, None)
        found: tuple[str | None, Size] = (step, size)
        if self.resize is not None:
            found = ("resize", self.resize.after(size))
        if self.center_crop is not None:
            assert isinstance(self.center_crop, tuple)
            found = ("center_crop", self.center_crop)
        if self.pad is not None and found[0] is not None:
            found = (found[0] if None in found[1] else "pad", self.pad.after(found[1]))
        return found

    def _own_size(self, tensor: TensorSpec) -> Size:
        """Height and width that pictures must come in; None where any will do."""
        if self._result()[0] is not None:
            return None, None
        added = (0, 0) if self.pad is None else self.pad.added
        height, width = (
            None if side is None else side - more for side, more in zip(self._wanted(tensor), added, strict=True)
        )
        return height, width

    def _wanted(self, tensor: TensorSpec) -> Size:
        """Height and width of the model's input; None where free."""
        height, width = (self._on_axis(tensor, axis) for axis in ("height", "width"))
        return height if isinstance(height, int) else None, width if isinstance(width, int) else None

    def _on_axis(self, tensor: TensorSpec, axis: str) -> int | str | None:
        assert tensor.shape is not None
        return tensor.shape[_ORDER[self.layout].index(axis)]
