"""A classifier's scores: softmax or sigmoid, the best few, their names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec, tensor_spec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import OutputPart, only_output
from edgeonnx.pipeline.surgery import named
from edgeonnx.runtime._manifest import Result

PROBABILITIES = "probabilities"

_FLOATS = ("float16", "float32", "float64")


class ClassificationOutput(OutputPart):
    """How to read a classifier's scores.

    Attributes:
        type: `classification`.
        scores: the model's output that holds them, all axes but one of 1; may be left out where there is only one.
        activation: `softmax` or `sigmoid` (each class for itself) turns logits into probabilities, the output
            `probabilities`; `none` for models that end in it.
        top_k: how many classes to report.
        threshold: what a score must exceed to be reported; left out, the best are, however low.
    """

    type: Literal["classification"] = "classification"
    scores: str | None = None
    activation: Literal["softmax", "sigmoid", "none"] = "none"
    top_k: int = Field(default=5, ge=1)
    threshold: float | None = None

    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """The scores."""
        return (only_output("scores", self.scores, outputs),)

    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """Numbers, floats where there is an activation; one sample."""
        (tensor,) = outputs.values()
        if tensor.dtype in ("str", "bool") or (self.activation != "none" and tensor.dtype not in _FLOATS):
            expected = "numbers" if self.activation == "none" else f"{', '.join(_FLOATS)} for {self.activation}"
            raise PipelineError(f"output.scores: expected {expected}, got {tensor}")
        if tensor.shape == () or sum(isinstance(size, int) and size != 1 for size in tensor.shape or ()) > 1:
            raise PipelineError(f"output.scores: expected all axes of 1 but that of the classes, got {tensor}")

    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """The activation along the classes, which become the last axis."""
        (scores,) = outputs.values()
        tensor = tensor_spec(scores)
        shape = tensor.shape
        value = scores
        if shape is not None and shape[-1] == 1 and (count := _classes(tensor)) != 1:
            value, shape = build.op("Reshape", value, np.array([1, -1], np.int64)), (1, count)
        if self.activation == "softmax":
            value = build.op("Softmax", value, axis=-1)
        elif self.activation == "sigmoid":
            value = build.op("Sigmoid", value)
        if value is scores:
            return [scores]
        return [named(build, value, self._name(tensor.name), replace(tensor, shape=shape))]

    def result(self, outputs: Sequence[TensorSpec]) -> Result:
        """Scores by class."""
        (name,) = self.consumes(outputs)
        return Result("classification", {"scores": self._name(name)}, top_k=self.top_k, threshold=self.threshold)

    def class_count(self, outputs: Sequence[TensorSpec]) -> int | None:
        """How many scores there are."""
        (name,) = self.consumes(outputs)
        return _classes(next(tensor for tensor in outputs if tensor.name == name))

    def _name(self, scores: str) -> str:
        return scores if self.activation == "none" else PROBABILITIES


def _classes(tensor: TensorSpec) -> int | None:
    """The size of the axis that is not 1, else of the last."""
    if not tensor.shape:
        return None
    sizes = [size for size in tensor.shape if isinstance(size, int) and size != 1]
    last = tensor.shape[-1]
    return sizes[0] if sizes else last if isinstance(last, int) else None
