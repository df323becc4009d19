"""A generic step on one tensor, one class each: its only field is named as the step is in a spec."""

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import Part

Shape = tuple[int | str | None, ...] | None

_FLOATS = ("float16", "float32", "float64")
# What onnxruntime has kernels for, besides floats.
_CLIPPED = ("int8", "uint8", "int32", "uint32", "int64", "uint64")
_COMPARED = ("int32", "int64")
_RANKED = ("int32", "int64")
_ARGUED = ("int8", "uint8", "int32")
Number = Literal["bool", "int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"]


class Tensor(NamedTuple):
    """A value on its way through the steps.

    Attributes:
        value: in the graph.
        dtype: numpy's name of it.
        shape: as in `TensorSpec`; None: rank unknown.
        indices: after `top_k`, int64: where on the last axis each value stood.
    """

    value: ir.Value
    dtype: str
    shape: Shape
    indices: ir.Value | None = None

    @property
    def spec(self) -> str:
        """Type and shape, for people."""
        return str(TensorSpec("", self.dtype, self.shape)).removeprefix(": ")


class Step(Part):
    """One step."""

    @abstractmethod
    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Write the operators.

        Raises:
            PipelineError: expected and got, without the place.
        """


class Softmax(Step):
    """Exponentials that sum to 1 along an axis."""

    softmax: int = -1

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Softmax."""
        _expect(tensor, _FLOATS)
        return tensor._replace(value=build.op("Softmax", tensor.value, axis=_axis(tensor, self.softmax)))


class Sigmoid(Step):
    """1 / (1 + exp(-x))."""

    sigmoid: Literal[True] = True

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Sigmoid."""
        _expect(tensor, _FLOATS)
        return tensor._replace(value=build.op("Sigmoid", tensor.value))


class Argmax(Step):
    """Where along an axis the highest value stands, int64; the axis goes, the first among equals wins."""

    argmax: int = -1

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """ArgMax."""
        _expect(tensor, (*_FLOATS, *_ARGUED))
        axis = _axis(tensor, self.argmax)
        value = build.op("ArgMax", tensor.value, axis=axis, keepdims=0)
        shape = None if tensor.shape is None else _without(tensor.shape, axis)
        return Tensor(value, "int64", shape)


class Clip(Step):
    """No less than the first number, no more than the second."""

    clip: tuple[float, float]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.clip[0] <= self.clip[1]:
            raise ValueError("clip: expected the lower bound first")
        return self

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Clip."""
        _expect(tensor, (*_FLOATS, *_CLIPPED))
        low, high = (_number(bound, tensor) for bound in self.clip)
        return tensor._replace(value=build.op("Clip", tensor.value, low, high))


class Transpose(Step):
    """The axes in another order."""

    transpose: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _permutation(self) -> Self:
        if sorted(self.transpose) != list(range(len(self.transpose))):
            raise ValueError(f"transpose: expected each of 0..{len(self.transpose) - 1} once")
        return self

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Transpose."""
        if tensor.shape is not None and len(tensor.shape) != len(self.transpose):
            raise PipelineError(f"expected {len(self.transpose)} axes, got {tensor.spec}")
        shape = None if tensor.shape is None else tuple(tensor.shape[axis] for axis in self.transpose)
        value = build.op("Transpose", tensor.value, perm=list(self.transpose))
        return tensor._replace(value=value, shape=shape)


class Cast(Step):
    """To another type, by numpy's name; floats become integers by cutting fractions off."""

    cast: Number

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Cast."""
        return tensor._replace(value=build.cast(tensor.value, self.cast), dtype=self.cast)


class Threshold(Step):
    """1 where a value is above the number, else 0; uint8."""

    threshold: float

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Greater."""
        _expect(tensor, (*_FLOATS, *_COMPARED))
        above = build.op("Greater", tensor.value, _number(self.threshold, tensor))
        return Tensor(build.cast(above, "uint8"), "uint8", tensor.shape)


class TopK(Step):
    """The highest values of the last axis, highest first, and where they stood; the last step."""

    top_k: int = Field(ge=1)

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """TopK, of all there are where there are fewer."""
        _expect(tensor, (*_FLOATS, *_RANKED))
        axis = _axis(tensor, -1)
        count = build.op("Gather", build.op("Shape", tensor.value), np.array([axis], np.int64))
        count = build.op("Min", count, np.array([self.top_k], np.int64))
        values, indices = build.ops("TopK", [tensor.value, count], 2, axis=axis)
        if tensor.shape is None:
            return Tensor(values, tensor.dtype, None, indices)
        size = tensor.shape[-1]
        kept = min(size, self.top_k) if isinstance(size, int) else None
        return Tensor(values, tensor.dtype, (*tensor.shape[:-1], kept), indices)


class Factors(Part):
    """What to multiply by, then to add: one number, or one for each place along an axis."""

    factor: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    axis: int = -1


class Scale(Step):
    """x * factor + offset."""

    scale: Factors

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Mul and Add."""
        _expect(tensor, _FLOATS)
        value = build.op("Mul", tensor.value, self._along(tensor, "factor"))
        return tensor._replace(value=build.op("Add", value, self._along(tensor, "offset")))

    def _along(self, tensor: Tensor, name: Literal["factor", "offset"]) -> np.ndarray:
        given: float | tuple[float, ...] = getattr(self.scale, name)
        array = np.array(given, tensor.dtype)
        if array.ndim == 0:
            return array
        if tensor.shape is None:
            raise PipelineError(f"{name}: expected one number where the number of axes is not known, got {array.size}")
        axis = _axis(tensor, self.scale.axis)
        size = tensor.shape[axis]
        if isinstance(size, int) and array.size not in (1, size):
            raise PipelineError(
                f"{name}: expected 1 or {size} numbers, for axis {axis} of {tensor.spec}, got {array.size}"
            )
        return array.reshape([-1] + [1] * (len(tensor.shape) - axis - 1))


class Reshape(Step):
    """The same values in another shape; -1, once, is what is left."""

    reshape: tuple[Annotated[int, Field(ge=-1)], ...]

    @model_validator(mode="after")
    def _one_open(self) -> Self:
        if self.reshape.count(-1) > 1:
            raise ValueError("reshape: expected -1 at most once")
        if 0 in self.reshape:
            raise ValueError("reshape: expected sizes of 1 or more, or -1")
        return self

    def apply(self, tensor: Tensor, build: Builder) -> Tensor:
        """Reshape."""
        shape: list[int | str | None] = [size if size != -1 else None for size in self.reshape]
        given = prod(size for size in self.reshape if size != -1)
        count = _count(tensor.shape)
        if count is not None:
            if count % given or (-1 not in self.reshape and count != given):
                raise PipelineError(f"expected {count} values in shape {list(self.reshape)}, as {tensor.spec} has")
            shape = [count // given if size is None else size for size in shape]
        value = build.op("Reshape", tensor.value, np.array(self.reshape, np.int64))
        return tensor._replace(value=value, shape=tuple(shape))


def _expect(tensor: Tensor, dtypes: Sequence[str]) -> None:
    if tensor.dtype not in dtypes:
        raise PipelineError(f"expected {', '.join(dtypes)}, got {tensor.spec}; put a cast before it")


def _axis(tensor: Tensor, axis: int) -> int:
    """An axis counted from the front where the rank is known."""
    if tensor.shape is None:
        return axis
    rank = len(tensor.shape)
    if not -rank <= axis < rank:
        raise PipelineError(f"expected an axis of {tensor.spec}, got {axis}")
    return axis % rank


def _without(shape: tuple[int | str | None, ...], axis: int) -> tuple[int | str | None, ...]:
    return shape[:axis] + shape[axis + 1 :]


def _number(value: float, tensor: Tensor) -> np.ndarray:
    """A scalar of the tensor's dtype.

    Raises:
        PipelineError: the dtype does not hold it.
    """
    dtype = np.dtype(tensor.dtype)
    if dtype.kind in "iu" and not (value.is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise PipelineError(f"expected a number that {dtype} holds, got {value:g}; put a cast before it")
    return np.array(value, dtype)


def _count(shape: Shape) -> int | None:
    """Number of values; None: not known."""
    if shape is None:
        return None
    sizes = [size for size in shape if isinstance(size, int)]
    return prod(sizes) if len(sizes) == len(shape) else None
