"""From a text to the ids of its tokens, and what transformers take beside them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._bpe import Bpe
from edgeonnx.pipeline.inputs._sentencepiece import SentencePiece
from edgeonnx.pipeline.inputs._wordpiece import WordPiece
from edgeonnx.pipeline.part import Entry, InputPart, Prepared, only_target
from edgeonnx.runtime._manifest import Media

# What exporters call them.
_NAMES = {
    "ids": ("input_ids",),
    "mask": ("attention_mask", "input_mask"),
    "types": ("token_type_ids", "segment_ids"),
    "positions": ("position_ids",),
}
_PADS = ("[PAD]", "<pad>")
_NUMBERS = ("int32", "int64", "float16", "float32")
_FIRST = np.array([0], np.int64)


class TextInput(InputPart):
    """From a text, UTF-8, to the ids of its tokens, and their mask, types and positions where the model takes them.

    Attributes:
        type: `text`.
        tokenizer: how texts are taken apart.
        ids: the model's input for the tokens' ids; left out: `input_ids`, or the only one.
        mask: its input for 1 at each token and 0 at padding; left out: `attention_mask` or `input_mask`, if it has one.
        types: its input for the number of the sentence, 0; left out: `token_type_ids` or `segment_ids`, if it has one.
        positions: its input for 0, 1, 2, …; left out: `position_ids`, if it has one.
        max_length: tokens at most, those that a text begins and ends with included; left out: no limit.
        truncation: the end of a longer text that is cut: `right` or `left`.
        padding: `max_length` fills shorter texts up to that, at the right; `none` leaves them short.
        pad: the token that fills up, by name or id; left out: `[PAD]` or `<pad>`.
    """

    type: Literal["text"] = "text"
    tokenizer: Annotated[WordPiece | Bpe | SentencePiece, Field(discriminator="type")]
    ids: str | None = None
    mask: str | None = None
    types: str | None = None
    positions: str | None = None
    max_length: int | None = Field(default=None, ge=1)
    truncation: Literal["right", "left"] = "right"
    padding: Literal["max_length", "none"] = "none"
    pad: int | str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        begin, end = self.tokenizer.around
        if self.max_length is not None and self.max_length <= len(begin) + len(end):
            raise ValueError(f"max_length: expected more than {len(begin) + len(end)}, which begin and end take")
        if self.padding == "max_length":
            if self.max_length is None:
                raise ValueError("padding = max_length: expected max_length too")
            self._pad()
        return self

    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """The ids first, then what the model has of the rest."""
        return tuple(target for _, target in self._roles(name, [tensor.name for tensor in inputs]))

    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """Type, rank, batch and length of each."""
        for role, target in self._roles(name, list(tensors)):
            tensor, where = tensors[target], f"input.{name}.{role}"
            if tensor.dtype not in (_NUMBERS if role == "mask" else _NUMBERS[:2]):
                raise PipelineError(f"{where}: expected an input of integers, the model has {tensor}")
            if tensor.shape is None or len(tensor.shape) not in (1, 2):
                raise PipelineError(f"{where}: expected an input of [tokens] or [1, tokens], the model has {tensor}")
            batch, length = (1, *tensor.shape)[-2:]
            if isinstance(batch, int) and batch != 1:
                raise PipelineError(f"{where}: texts come one at a time, the model has {tensor}")
            if isinstance(length, int) and (self.padding, self.max_length) != ("max_length", length):
                raise PipelineError(
                    f"{where}: expected padding = max_length and max_length = {length}, got padding = {self.padding} "
                    f"and max_length = {self.max_length} ({tensor})"
                )

    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """One text."""
        return (Entry(TensorSpec(name, "str", (1,)), Media("text")),)

    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """Tokenize, cut, put begin and end around, fill up; mask, types and positions from their number."""
        ids = self._cut(self.tokenizer.build(entries[0], build), build)
        begin, end = (np.array(around, np.int64) for around in self.tokenizer.around)
        parts = [value for value in (begin, ids, end) if not isinstance(value, np.ndarray) or value.size]
        ids = build.op("Concat", *parts, axis=0) if len(parts) > 1 else ids
        mask = build.op("ConstantOfShape", build.op("Shape", ids), value=ir.tensor(np.ones(1, np.int64)))
        if self.padding == "max_length":
            missing = build.op("Sub", np.array([self.max_length], np.int64), build.op("Shape", ids))
            pads = build.op("Concat", _FIRST, missing, axis=0)
            ids = build.op("Pad", ids, pads, np.array(self._pad(), np.int64))
            mask = build.op("Pad", mask, pads, np.array(0, np.int64))
        values = {"ids": ids, "mask": mask}
        count = build.op("Shape", ids)
        values["types"] = build.op("ConstantOfShape", count, value=ir.tensor(np.zeros(1, np.int64)))
        number = build.op("Squeeze", count, _FIRST)
        values["positions"] = build.op("Range", np.array(0, np.int64), number, np.array(1, np.int64))
        roles = self._roles(str(entries[0].name), list(tensors))
        feeds = {target: self._as(tensors[target], values[role], build) for role, target in roles}
        return Prepared(feeds, {"mask": build.op("Unsqueeze", mask, _FIRST)})

    def _roles(self, name: str, names: list[str]) -> list[tuple[str, str]]:
        """What the model takes: field of this part and name of the input."""
        known = [TensorSpec(other, "int64", None) for other in names]
        found = []
        for role, usual in _NAMES.items():
            given = getattr(self, role)
            target = given or next((other for other in usual if other in names), None)
            if target is None and role == "ids":
                target = only_target(name, None, known)
            if target is not None and target not in names:
                has = ", ".join(names)
                raise PipelineError(f"input.{name}.{role}: the model has no input {target!r}; it has {has}")
            if target is not None:
                found.append((role, target))
        return found

    def _cut(self, ids: ir.Value, build: Builder) -> ir.Value:
        """At most `max_length`, begin and end included."""
        if self.max_length is None:
            return ids
        begin, end = self.tokenizer.around
        left = self.max_length - len(begin) - len(end)
        bounds = (0, left) if self.truncation == "right" else (-left, np.iinfo(np.int64).max)
        return build.op("Slice", ids, *(np.array([bound], np.int64) for bound in bounds))

    def _pad(self) -> int:
        """Id of the token that fills up."""
        if self.pad is not None:
            return self.tokenizer.id(self.pad)
        known = self.tokenizer.vocabulary
        found = next((known[token] for token in _PADS if token in known), None)
        if found is None:
            raise ValueError(f"pad: {self.tokenizer.file} has no {' or '.join(_PADS)}; say which token fills up")
        return found

    def _as(self, tensor: TensorSpec, value: ir.Value, build: Builder) -> ir.Value:
        """In the model's type and rank."""
        assert tensor.shape is not None
        if len(tensor.shape) == 2:
            value = build.op("Unsqueeze", value, _FIRST)
        return value if tensor.dtype == "int64" else build.cast(value, tensor.dtype)
