"""From a row of a table to a model's inputs: numbers scaled, categories as codes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import Entry, InputPart, Part, Prepared, only_target
from edgeonnx.runtime._manifest import Media

_NUMBERS = ("float32", "float64", "float16", "int64", "int32")
_LAST = 1  # the axis of columns


class Column(Part):
    """A column: of numbers, or, where it has `categories`, of words; both scaled or coded as in training.

    Attributes:
        name: as in the table's header.
        mean: subtracted, as a standard scaler does.
        std: divided by after that.
        min: becomes 0, as a min-max scaler does.
        max: becomes 1.
        missing: what stands in for a number that is missing, before scaling; left out, it stays NaN.
        categories: the words that may stand there, in the order of their codes.
        encode: `code` is their place, 0, 1, 2, …; `onehot` is 1 at their place and 0 at the others'; `text` leaves them
            to a model that takes strings.
        unknown: for words that are not among them: `error`, or the code; 0 for `onehot`, which is then 0 everywhere.
    """

    name: str = Field(min_length=1)
    mean: float | None = None
    std: float | None = Field(default=None, gt=0)
    min: float | None = None
    max: float | None = None
    missing: float | None = None
    categories: tuple[str, ...] = ()
    encode: Literal["code", "onehot", "text"] | None = None
    unknown: Literal["error"] | int = "error"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        scaling = [name for name in ("mean", "std", "min", "max", "missing") if getattr(self, name) is not None]
        if self.is_text and scaling:
            raise ValueError(f"{self.name}: {scaling[0]} is for numbers, this column has categories")
        if self.encode in ("code", "onehot") and not self.categories:
            raise ValueError(f"{self.name}: encode = {self.encode} expects categories")
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"{self.name}.categories: expected each once")
        standard = self.mean is not None or self.std is not None
        if (self.min is None) != (self.max is None) or (standard and self.min is not None):
            raise ValueError(f"{self.name}: expected mean and std, or min and max, or neither")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"{self.name}: expected min below max, got {self.min:g} and {self.max:g}")
        if self.encode == "onehot" and self.unknown not in ("error", 0):
            raise ValueError(f"{self.name}.unknown: expected error or 0 for onehot, got {self.unknown}")
        return self

    @property
    def is_text(self) -> bool:
        """Whether words stand there."""
        return bool(self.categories) or self.encode is not None

    @property
    def width(self) -> int:
        """How many numbers it becomes."""
        return len(self.categories) if self.encode == "onehot" else 1

    @property
    def affine(self) -> tuple[float, float]:
        """What is subtracted, and what is divided by after that."""
        if self.min is not None and self.max is not None:
            return self.min, self.max - self.min
        return self.mean or 0.0, self.std or 1.0

    def table(self) -> np.ndarray:
        """Codes by place, float32, shape (categories, width); one row more for unknown words where they have a code."""
        count = len(self.categories)
        codes = np.eye(count) if self.encode == "onehot" else np.arange(count).reshape(-1, 1)
        rest = [] if self.unknown == "error" else [np.full((1, self.width), self.unknown)]
        return np.concatenate([codes, *rest]).astype(np.float32)


class TableInput(InputPart):
    """From a row of a table to one of the model's inputs, columns side by side, or to an input for each column.

    Attributes:
        type: `table`.
        to: the model's input; left out: the inputs named as the columns, if it has them all, else the only one.
        columns: in the order of training.
    """

    type: Literal["table"] = "table"
    to: str | None = None
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"columns: expected each name once, got {twice[0]} twice")
        return self

    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One, or one for each column."""
        names = {tensor.name for tensor in inputs}
        own = tuple(column.name for column in self.columns)
        if self.to is None and names.issuperset(own):
            return own
        return (only_target(name, self.to, inputs),)

    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """Type, batch and number of columns."""
        for tensor, columns in self._shares(tensors):
            where = f"input.{name}.columns"
            text = [column.name for column in columns if column.encode == "text"]
            if tensor.dtype == "str" and len(text) < len(columns):
                raise PipelineError(f"{where}: expected encode = text in each, the model has {tensor}")
            if tensor.dtype != "str" and (text or tensor.dtype not in _NUMBERS):
                got = f"{text[0]} is text" if text else "numbers"
                raise PipelineError(f"{where}: expected what {tensor} takes, got {got}")
            if tensor.shape is None or len(tensor.shape) not in (1, 2):
                raise PipelineError(f"{where}: a row becomes an input of [1, columns], the model has {tensor}")
            batch, width = (1, *tensor.shape)[-2:]
            if isinstance(batch, int) and batch != 1:
                raise PipelineError(f"{where}: rows come one at a time, the model has {tensor}")
            given = sum(column.width for column in columns)
            if isinstance(width, int) and width != given:
                raise PipelineError(f"{where}: expected {width} numbers, as {tensor} takes, got {given}")

    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """A row of the numbers, and one of the words, `NAME.categories`; the only one is named as the source."""
        found: list[Entry] = []
        for is_text in (False, True):
            names = tuple(column.name for column in self.columns if column.is_text == is_text)
            if names:
                own = f"{name}.categories" if found else name
                spec = TensorSpec(own, "str" if is_text else "float32", (1, len(names)))
                found.append(Entry(spec, Media("table", columns=names), missing=not is_text))
        return tuple(found)

    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """Scale the numbers, look the words up, put them in order."""
        values = self._values(entries, build)
        feeds = {}
        for tensor, columns in self._shares(tensors):
            parts = [values[column.name] for column in columns]
            value = build.op("Concat", *parts, axis=_LAST) if len(parts) > 1 else parts[0]
            if tensor.shape is not None and len(tensor.shape) == 1:
                value = build.op("Squeeze", value, np.array([0], np.int64))
            feeds[tensor.name] = value if tensor.dtype in ("float32", "str") else build.cast(value, tensor.dtype)
        return Prepared(feeds)

    def _shares(self, tensors: Mapping[str, TensorSpec]) -> list[tuple[TensorSpec, list[Column]]]:
        """Each of the model's inputs, with the columns that it takes."""
        if self.to is None and len(tensors) == len(self.columns) and all(c.name in tensors for c in self.columns):
            return [(tensors[column.name], [column]) for column in self.columns]
        (tensor,) = tensors.values()
        return [(tensor, list(self.columns))]

    def _values(self, entries: Sequence[ir.Value], build: Builder) -> dict[str, ir.Value]:
        """Column -> its value, shape (1, width)."""
        numbers = [column for column in self.columns if not column.is_text]
        words = [column for column in self.columns if column.is_text]
        found = {}
        if numbers:
            scaled = self._scaled(numbers, entries[0], build)
            found = {column.name: _column(scaled, i, len(numbers), build) for i, column in enumerate(numbers)}
        for i, column in enumerate(words):
            found[column.name] = self._coded(column, _column(entries[-1], i, len(words), build), build)
        return found

    def _scaled(self, columns: Sequence[Column], value: ir.Value, build: Builder) -> ir.Value:
        """Missing ones filled in, and brought to the scale of training: float32, shape (1, columns)."""
        if any(column.missing is not None for column in columns):
            filled = [np.nan if column.missing is None else column.missing for column in columns]
            value = build.op("Where", build.op("IsNaN", value), np.array([filled], np.float32), value)
        less, by = (np.array([part], np.float32) for part in zip(*(column.affine for column in columns), strict=True))
        if less.any():
            value = build.op("Sub", value, less)
        return build.op("Div", value, by) if (by != 1).any() else value

    def _coded(self, column: Column, value: ir.Value, build: Builder) -> ir.Value:
        """From a word, str, shape (1, 1), to its code, float32, shape (1, width).

        CategoryMapper is the one operator for this that is the same in every version of its domain.
        """
        if column.encode == "text":
            return value
        count = len(column.categories)
        options: dict[str, Any] = {"cats_strings": list(column.categories), "cats_int64s": list(range(count))}
        place = build.ops("CategoryMapper", [value], 1, "ai.onnx.ml", default_int64=count, **options)[0]
        place = build.op("Reshape", place, np.array([1], np.int64))
        code = build.op("Gather", column.table(), place)
        node = code.producer()
        assert node is not None
        if column.unknown == "error":  # the place behind the last fails, and onnxruntime names the node
            node.name = f"{node.name}: column {column.name} holds a word that is not among its categories"
        return code


def _column(value: ir.Value, place: int, count: int, build: Builder) -> ir.Value:
    """One column, shape (1, 1), of those side by side."""
    return value if count == 1 else build.op("Gather", value, np.array([place], np.int64), axis=_LAST)
