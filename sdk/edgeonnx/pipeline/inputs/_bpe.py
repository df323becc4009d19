"""Byte-level BPE, as GPT-2 and its kin use it.

Equal to Hugging Face's to the id, but for special tokens (`</s>`) that stand in a text as such: they are taken for the
characters they are made of, as nothing that a user types should be able to end a text.

Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, ACL 2016; Radford et al., GPT-2, 2019.
"""

import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import PrivateAttr

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._huggingface import expect, parse
from edgeonnx.pipeline.inputs._tokenizer import Tokenizer, decoded, extension, replace

_FIRST = np.array([0], np.int64)


class Bpe(Tokenizer):
    """Byte-level BPE, of GPT-2, RoBERTa, BART and their kin: pairs joined in the order they were learned.

    Attributes:
        type: `bpe`.
        file: `tokenizer.json` of Hugging Face, which says all the rest, or `vocab.json`.
        merges: `merges.txt`, beside a `vocab.json`.
        prefix_space: a space goes before texts that begin with none; left out: as the file says, or false.
    """

    type: Literal["bpe"] = "bpe"
    merges: str | None = None
    prefix_space: bool | None = None
    _vocabulary: dict[str, int] = PrivateAttr(default_factory=dict)
    _added: dict[str, int] = PrivateAttr(default_factory=dict)
    _merges: list[str] = PrivateAttr(default_factory=list)
    _around: tuple[list[int], list[int]] = PrivateAttr(([], []))
    _spaced: bool = PrivateAttr(False)

    def files(self) -> tuple[str, ...]:
        """The vocabulary, and the merges where they are apart."""
        return (self.file,) if self.merges is None else (self.file, self.merges)

    def load(self, content: list[bytes]) -> None:
        """A vocabulary and its merges."""
        text = decoded(content[0], self.file)
        if self.merges is None:
            self._load_json(text)
            return
        try:
            self._vocabulary = {str(token): int(i) for token, i in json.loads(text).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise ValueError(f"file: {self.file} is no vocab.json: a table of tokens and their ids") from error
        lines = decoded(content[1], self.merges).split("\n")
        if any(len(line.split(" ")) != 2 for line in lines[1:] if line):
            raise ValueError(f"merges: {self.merges} is no merges.txt: two tokens a line")
        self._merges = [line for i, line in enumerate(lines) if line and not (i == 0 and line.startswith("#version"))]

    def _load_json(self, text: str) -> None:
        described = parse(text, "BPE", self.file)
        options = {"continuing_subword_prefix": "", "end_of_word_suffix": "", "byte_fallback": False}
        expect(described.normalizer, f"{self.file}: normalizer", ["none"])
        expect(described.pre_tokenizer, f"{self.file}: pre_tokenizer", ["ByteLevel"], use_regex=True)
        expect(described.model, f"{self.file}: model", ["BPE", "none"], **options, dropout=None, ignore_merges=False)
        self._vocabulary = {str(token): int(i) for token, i in described.model["vocab"].items()}
        self._added = described.added
        pairs = described.model["merges"]
        self._merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
        self._around = described.begin, described.end
        self._spaced = bool((described.pre_tokenizer or {}).get("add_prefix_space", True))

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Token -> id."""
        return {**self._vocabulary, **self._added}

    @property
    def own(self) -> tuple[list[int], list[int]]:
        """What the file says; nothing of a vocab.json."""
        return self._around

    def build(self, text: ir.Value, build: Builder) -> ir.Value:
        """GPT2Tokenizer, of one text."""
        if self._spaced if self.prefix_space is None else self.prefix_space:
            text = replace(build, text, "^([^ ])", r" \1")
        vocabulary = json.dumps(self._vocabulary, ensure_ascii=False, separators=(",", ":"))
        ids = extension(build, "GPT2Tokenizer", text, outputs=2, vocab=vocabulary, merges="\n".join(self._merges))
        return build.op("Squeeze", ids, _FIRST)
