"""Any output, through generic steps."""

from collections.abc import Mapping, Sequence
from typing import Literal

import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec, tensor_spec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import OutputPart, only_output
from edgeonnx.pipeline.steps import Steps, apply, outcome
from edgeonnx.pipeline.surgery import named


class TensorOutput(OutputPart):
    """One output through steps, in their order.

    Attributes:
        type: `tensor`.
        output: the model's output; may be left out where there is only one.
        name: what to call the result; left out, as the output. `top_k` also gives `NAME_indices`, int64: where each
            value stood on the last axis.
        steps: names, or tables of one entry: "softmax" or {softmax = axis}, "sigmoid", "argmax" or {argmax = axis},
            {clip = [low, high]}, {transpose = [axes]}, {cast = dtype}, {threshold = number}, {top_k = count},
            {scale = {factor = 1, offset = 0, axis = -1}}, {reshape = [sizes]}.
    """

    type: Literal["tensor"] = "tensor"
    output: str | None = None
    name: str | None = None
    steps: Steps = ()

    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One."""
        return (only_output("output", self.output, outputs),)

    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """Each step, with what the one before it gives."""
        (tensor,) = outputs.values()
        if tensor.dtype == "str" and self.steps:
            raise PipelineError(f"output.steps: expected none for text, got {tensor}")
        outcome(self.steps, tensor.dtype, tensor.shape)

    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """The steps."""
        (value,) = outputs.values()
        given = tensor_spec(value)
        done = apply(self.steps, value, given.dtype, given.shape, build)
        name = self.name or given.name
        results = [named(build, done.value, name, TensorSpec(name, done.dtype, done.shape))]
        if done.indices is not None:
            indices = TensorSpec(f"{name}_indices", "int64", done.shape)
            results.append(named(build, done.indices, indices.name, indices))
        return results

    def result(self, outputs: Sequence[TensorSpec]) -> None:
        """Read as it is."""
