"""SentencePiece, of a model that its own trainer wrote (`spiece.model`, `tokenizer.model`).

Kudo and Richardson, SentencePiece, EMNLP 2018. onnxruntime-extensions carries the library itself, of a release of its
own: where two ways to take a word apart score the same (`xxxx`), releases differ in which they take.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import PrivateAttr

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._tokenizer import Tokenizer, extension

_BYTES = 2  # a field of protobuf that carries its length
_SKIPPED = {1: 8, 5: 4}  # fields of a fixed size, by wire type


class SentencePiece(Tokenizer):
    """SentencePiece, unigram or BPE, of T5, ALBERT, XLM-R and their kin.

    Attributes:
        type: `sentencepiece`.
        file: the `.model` that its trainer wrote.
        fairseq: ids as fairseq counts them, where `<s>`, `<pad>`, `</s>`, `<unk>` come first: XLM-R and CamemBERT.
    """

    type: Literal["sentencepiece"] = "sentencepiece"
    fairseq: bool = False
    _model: bytes = PrivateAttr(b"")
    _vocabulary: dict[str, int] = PrivateAttr(default_factory=dict)

    def load(self, content: list[bytes]) -> None:
        """The model, and its pieces."""
        (self._model,) = content
        try:
            pieces = [piece for field, piece in _fields(self._model) if field == 1]
            names = [next(value for field, value in _fields(piece) if field == 1).decode() for piece in pieces]
        except (ValueError, StopIteration, IndexError):
            names = []
        if not names:
            raise ValueError(f"file: {self.file} is no .model of sentencepiece")
        self._vocabulary = {name: i for i, name in enumerate(names)}
        if self.fairseq:
            first = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
            self._vocabulary = {name: i + 1 for name, i in self._vocabulary.items()} | first

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Piece -> id."""
        return self._vocabulary

    def build(self, text: ir.Value, build: Builder) -> ir.Value:
        """SentencepieceTokenizer: the best segmentation, no sampling."""
        model = base64.b64encode(self._model).decode()
        off = np.array([False])
        options = (np.array([0], np.int64), np.array([0], np.float32), off, off, off, np.array([self.fairseq]))
        return build.cast(extension(build, "SentencepieceTokenizer", text, *options, outputs=2, model=model), "int64")


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protobuf message that carries its length.

    Raises:
        ValueError, IndexError: it is no such message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("cut short")
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        elif kind in _SKIPPED:
            at += _SKIPPED[kind]
        else:
            raise ValueError(f"no field is of wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """An integer of protobuf, seven bits a byte, and where the next field begins."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
