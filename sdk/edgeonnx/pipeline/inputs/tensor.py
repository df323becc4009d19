"""From an array to a model's input, by generic steps."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder, element_type
from edgeonnx.pipeline.part import Entry, InputPart, Prepared, only_target
from edgeonnx.pipeline.step import Number, TopK
from edgeonnx.pipeline.steps import Steps, apply, outcome


class TensorInput(InputPart):
    """From an array of any kind, sensors' values say, to one of the model's inputs.

    Attributes:
        type: `tensor`.
        to: the model's input; may be left out where there is only one.
        dtype: of what the device feeds.
        shape: of what the device feeds: sizes, and names for free ones.
        missing: what stands in for NaN, before the steps.
        steps: what happens to it, in order.
    """

    type: Literal["tensor"] = "tensor"
    to: str | None = None
    dtype: Number = "float32"
    shape: tuple[int | str, ...]
    missing: float | None = None
    steps: Steps = ()

    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One."""
        return (only_target(name, self.to, inputs),)

    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """The steps, each by what it gets; type, rank and sizes of what they give."""
        (tensor,) = tensors.values()
        where = f"input.{name}"
        if self.missing is not None and not self.dtype.startswith("float"):
            raise PipelineError(f"{where}.missing: only floats can be NaN, dtype is {self.dtype}")
        if any(isinstance(step, TopK) for step in self.steps):
            raise PipelineError(f"{where}.steps: top_k makes two values of one, which no input takes")
        dtype, shape = outcome(self.steps, self.dtype, self.shape, where)
        given = str(TensorSpec("", dtype, shape)).removeprefix(": ")
        if dtype != tensor.dtype:
            raise PipelineError(
                f"{where}: expected {tensor.dtype}, as {tensor} takes, got {given}; "
                f'end the steps with {{cast = "{tensor.dtype}"}}'
            )
        if tensor.shape is None or shape is None:
            return
        pairs = list(zip(tensor.shape, shape, strict=False))
        if len(tensor.shape) != len(shape) or any(isinstance(want, int) and got != want for want, got in pairs):
            raise PipelineError(f"{where}: expected the shape that {tensor} takes, got {given}")

    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """An array."""
        return (Entry(TensorSpec(name, self.dtype, self.shape), missing=self.missing is not None),)

    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """NaN replaced, then the steps."""
        ((target, _),), (value,) = tensors.items(), entries
        where = f"input.{value.name}"
        if self.missing is not None:
            value = build.op("Where", build.op("IsNaN", value), np.array(self.missing, self.dtype), value)
        done = apply(self.steps, value, self.dtype, self.shape, build, where)
        done.value.type = ir.TensorType(element_type(done.dtype))
        done.value.shape = None if done.shape is None else ir.Shape(done.shape)  # a first axis may be free
        return Prepared({target: done.value})
