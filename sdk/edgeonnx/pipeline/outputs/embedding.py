"""A vector that stands for the whole sample: pooled over tokens, cut, brought to length 1."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import OutputPart, only_note, only_output
from edgeonnx.runtime._manifest import Result

VECTOR = "vector"
# Of sentence-transformers' mean pooling, and of torch.nn.functional.normalize.
_LEAST_COUNT = np.array(1e-9, np.float32)
_LEAST_LENGTH = np.array(1e-12, np.float32)
_ZERO, _ONE = (np.array([i], np.int64) for i in (0, 1))


class EmbeddingOutput(OutputPart):
    """One vector for the sample: the output `vector`, float32, shape (1, dimensions).

    As sentence-transformers does it. Reimers and Gurevych, Sentence-BERT, EMNLP 2019.

    Attributes:
        type: `embedding`.
        vectors: the model's output that holds them; may be left out where there is only one.
        pooling: from vectors, shape (1, tokens, dimensions) or (tokens, dimensions), to one: `mean` of all tokens that
            are no padding, `cls` (the first) or `last` (the last that is no padding); `none` where the model gives one.
        of: the text whose padding is left out; may be left out where there is only one.
        dimensions: keep so many, the first; for models trained to be cut (Matryoshka).
        normalize: divide by the Euclidean length, after cutting.
    """

    type: Literal["embedding"] = "embedding"
    vectors: str | None = None
    pooling: Literal["mean", "cls", "last", "none"] = "mean"
    of: str | None = None
    dimensions: int | None = Field(default=None, ge=1)
    normalize: bool = True

    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """The vectors."""
        return (only_output("vectors", self.vectors, outputs),)

    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """Type, rank, batch and number of dimensions; which text's padding."""
        ((_, tensor),) = outputs.items()
        where = "output.vectors"
        if tensor.dtype not in ("float16", "float32", "float64"):
            raise PipelineError(f"{where}: expected floats, the model has {tensor}")
        if tensor.shape is None or not tensor.shape:
            raise PipelineError(f"{where}: expected an output of known rank, the model has {tensor}")
        if self.pooling != "none" and len(tensor.shape) not in (2, 3):
            raise PipelineError(
                f"{where}: pooling = {self.pooling}: expected [1, tokens, dimensions] or [tokens, dimensions], "
                f'the model has {tensor}; pooling = "none" takes any'
            )
        batched = len(tensor.shape) == (2 if self.pooling == "none" else 3)
        if batched and isinstance(tensor.shape[0], int) and tensor.shape[0] != 1:
            raise PipelineError(f"{where}: samples come one at a time, the model has {tensor}")
        size = self._size(tensor.shape)
        if self.dimensions is not None and isinstance(size, int) and self.dimensions > size:
            raise PipelineError(f"output.dimensions: expected at most {size}, got {self.dimensions} ({tensor})")
        mask = only_note("mask", notes, self.of)
        if self.of is not None and mask is None:
            raise PipelineError(f"output.of: expected the name of a text, got {self.of!r}")

    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """Pool, cut, normalize."""
        ((_, vectors),) = outputs.items()
        assert vectors.shape is not None
        size = self._size([s if isinstance(s, int) else s.value for s in vectors.shape])
        value = build.cast(vectors, "float32")
        if self.pooling == "none":
            value = build.op("Reshape", value, np.array([1, -1], np.int64))
        else:
            if len(vectors.shape) == 2:
                value = build.op("Unsqueeze", value, _ZERO)
            mask = only_note("mask", notes, self.of)
            value = self._pooled(value, None if mask is None else notes[mask], build)
        if self.dimensions is not None:
            value = build.op("Slice", value, _ZERO, np.array([self.dimensions], np.int64), _ONE)
            size = self.dimensions
        if self.normalize:
            length = build.op("Sqrt", build.op("ReduceSum", build.op("Mul", value, value), _ONE))
            value = build.op("Div", value, build.op("Max", length, _LEAST_LENGTH))
        return [build.result(value, VECTOR, "float32", (1, size))]

    def result(self, outputs: Sequence[TensorSpec]) -> Result:
        """The vector."""
        return Result("embedding", {"vector": VECTOR})

    def _pooled(self, value: ir.Value, mask: ir.Value | None, build: Builder) -> ir.Value:
        """From (1, tokens, dimensions), and a mask of (1, tokens) if there is padding, to (1, dimensions)."""
        if self.pooling == "cls" or (self.pooling == "last" and mask is None):
            at = np.array(0 if self.pooling == "cls" else -1, np.int64)
            return build.op("Gather", value, at, axis=1)
        if mask is None:
            count = build.cast(build.op("Gather", build.op("Shape", value), _ONE), "float32")
            return build.op("Div", build.op("ReduceSum", value, _ONE, keepdims=0), count)
        if self.pooling == "last":
            count = build.op("ReduceSum", mask, keepdims=0)
            return build.op("Gather", value, build.op("Sub", count, np.array(1, np.int64)), axis=1)
        weights = build.op("Unsqueeze", build.cast(mask, "float32"), np.array([2], np.int64))
        total = build.op("ReduceSum", build.op("Mul", value, weights), _ONE, keepdims=0)
        return build.op("Div", total, build.op("Max", build.op("ReduceSum", weights, _ONE, keepdims=0), _LEAST_COUNT))

    def _size(self, shape: Sequence[int | str | None]) -> int | str:
        """Number of dimensions that the model gives."""
        sizes = shape[1:] if self.pooling == "none" and len(shape) > 1 else shape[-1:]
        known = [size for size in sizes if isinstance(size, int)]
        return prod(known) if len(known) == len(sizes) else "dimensions"
