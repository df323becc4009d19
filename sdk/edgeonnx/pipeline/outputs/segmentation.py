"""A class for every pixel: the best of the scores, brought back to the original picture."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec, tensor_spec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.outputs import _sampling
from edgeonnx.pipeline.part import OutputPart, only_note, only_output
from edgeonnx.runtime._manifest import Result

_FLOATS = ("float16", "float32", "float64")
_MOST_IN_A_BYTE = 255
# Ranks that an output may have, up to where its axes are 1, and how to say so.
_SHAPES = {
    "NCHW": ((4,), 1, "(1, classes, height, width)"),
    "NHWC": ((4,), 1, "(1, height, width, classes)"),
    "map": ((2, 3, 4), -2, "(1, height, width)"),
}


class SegmentationOutput(OutputPart):
    """How to read a segmentation.

    The result is `mask`, the class of every pixel of the original picture: uint8, shape (height, width), or int32 where
    classes go beyond 255 or their number is not known. Without an input of type image, it stays as large as the output.

    Attributes:
        type: `segmentation`.
        output: the model's output; may be left out where there is only one.
        layout: `NCHW` or `NHWC`: a score for every class, or one score, of being class 1 and not 0; `map`: the class.
        threshold: of one score: what it must exceed.
        activation: of one score: `sigmoid` makes a probability of it first.
        resize: `labels` takes for a pixel the class of the cell it lies in; `scores` first takes the scores between the
            centres of cells (bilinear), then the best: smoother edges, more work.
        outside: the class of what the model did not see, as a centre crop leaves it out.
        of: the input whose picture the mask is brought back to; may be left out where there is only one.
    """

    type: Literal["segmentation"] = "segmentation"
    output: str | None = None
    layout: Literal["NCHW", "NHWC", "map"] = "NCHW"
    threshold: float = 0.5
    activation: Literal["sigmoid", "none"] = "sigmoid"
    resize: Literal["labels", "scores"] = "labels"
    outside: int = Field(default=0, ge=0)
    of: str | None = None

    @model_validator(mode="after")
    def _scores_to_resize(self) -> "SegmentationOutput":
        if self.layout == "map" and self.resize == "scores":
            raise ValueError("resize: expected labels with layout map, which has no scores")
        return self

    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One."""
        return (only_output("output", self.output, outputs),)

    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """Type, rank and batch."""
        (tensor,) = outputs.values()
        where, shape = f"output.layout {self.layout}", tensor.shape or ()
        if self.layout == "map":
            if tensor.dtype in (*_FLOATS, "str"):
                raise PipelineError(f"{where}: expected whole numbers, got {tensor}; scores have layout NCHW or NHWC")
        elif tensor.dtype not in _FLOATS:
            raise PipelineError(f"{where}: expected {', '.join(_FLOATS)}, got {tensor}; classes have layout map")
        ranks, before, expected = _SHAPES[self.layout]
        if len(shape) not in ranks or any(isinstance(size, int) and size != 1 for size in shape[:before]):
            raise PipelineError(f"{where}: expected {expected}, got {tensor}")
        if self.of is not None and only_note("geometry", notes, self.of) is None:
            raise PipelineError(f"output.of: expected an input of type image, got {self.of!r}")

    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """Choose and bring back, or bring back and choose."""
        (value,) = outputs.values()
        note = only_note("geometry", notes, self.of)
        geometry = None if note is None else notes[note]
        tensor = tensor_spec(value)
        dtype = self._dtype(tensor)
        if geometry is not None and self.resize == "scores":
            choose = partial(self._choose, self._classes(tensor) == 1)
            mask = _sampling.bilinear(self._scores(value, build), geometry, choose, self.outside, dtype, build)
        else:
            mask = self._labels(value, tensor, dtype, build)
            mask = mask if geometry is None else _sampling.nearest(mask, geometry, dtype, self.outside, build)
        return [build.result(mask, "mask", dtype, ("height", "width"))]

    def result(self, outputs: Sequence[TensorSpec]) -> Result:
        """The mask."""
        return Result("segmentation", {"mask": "mask"})

    def class_count(self, outputs: Sequence[TensorSpec]) -> int | None:
        """One for every score; two where there is one score."""
        (name,) = self.consumes(outputs)
        size = self._classes(next(tensor for tensor in outputs if tensor.name == name))
        return None if size is None else max(size, 2)

    def _classes(self, tensor: TensorSpec) -> int | None:
        """How many scores a pixel has, as far as known."""
        size = None if self.layout == "map" or tensor.shape is None else tensor.shape[self.layout.index("C")]
        return size if isinstance(size, int) else None

    def _dtype(self, tensor: TensorSpec) -> str:
        classes = 256 if tensor.dtype in ("uint8", "bool") else self._classes(tensor)
        return "uint8" if classes is not None and max(classes - 1, self.outside) <= _MOST_IN_A_BYTE else "int32"

    def _scores(self, value: ir.Value, build: Builder) -> ir.Value:
        """float32, shape (height, width, classes)."""
        scores = build.op("Squeeze", build.cast(value, "float32"), np.array([0], np.int64))
        return build.op("Transpose", scores, perm=[1, 2, 0]) if self.layout == "NCHW" else scores

    def _choose(self, one: bool, scores: ir.Value, build: Builder) -> ir.Value:
        """Classes from scores, which have them on the last axis."""
        if not one:
            return build.op("ArgMax", scores, axis=-1, keepdims=0)
        score = build.op("Squeeze", scores, np.array([-1], np.int64))
        score = build.op("Sigmoid", score) if self.activation == "sigmoid" else score
        return build.op("Greater", score, np.array(self.threshold, np.float32))

    def _labels(self, value: ir.Value, tensor: TensorSpec, dtype: str, build: Builder) -> ir.Value:
        """Classes of the model's cells, shape (height, width)."""
        if self.layout == "map":
            axes = len(tensor.shape or ()) - 2
            flat = build.op("Squeeze", value, np.arange(axes, dtype=np.int64)) if axes else value
            return build.cast(flat, dtype)
        return build.cast(self._choose(self._classes(tensor) == 1, self._scores(value, build), build), dtype)
