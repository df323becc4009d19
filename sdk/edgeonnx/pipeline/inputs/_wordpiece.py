"""WordPiece, as BERT and its kin use it, equal to Hugging Face's to the id.

Only punctuation and marks that Unicode took in after its version 8 may differ, as theirs are tables of that version.

onnxruntime-extensions' own BertTokenizer leaves most accents, Hangul and combining marks as they are, and turns a word
that it can't finish into the pieces it found and [UNK]. So texts are normalised here, character by character, and it
is only asked for pieces; what it says of an unfinished word is put right afterwards.

Schuster and Nakajima, Japanese and Korean Voice Search, ICASSP 2012; Devlin et al., BERT, 2018.
"""

import re
import string
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import PrivateAttr

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._huggingface import expect, parse
from edgeonnx.pipeline.inputs._tokenizer import Tokenizer, decoded, extension, replace

# Control, format and private characters go; with them goes what is used as a mark below.
_PRIVATE = r"\p{Co}"
_CONTROLS = r"\p{Cf}|[\x{1}-\x{8}\x{B}\x{C}\x{E}-\x{1F}\x{7F}-\x{9F}\x{FFFD}]"
_SPACES = r"[\t\n\r\p{Z}]"
# CJK ideographs are words, one each: BERT's list of blocks.
_IDEOGRAPHS = (
    r"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
    r"\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}])"
)
_BETWEEN = "\ue000"  # stands between words, as a token after the vocabulary's last
_FIRST_SPECIAL = 0xE001  # a private character stands for each special token
_LAST = 0x2FFFF  # beyond are no letters and no punctuation
_DEFAULT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class WordPiece(Tokenizer):
    """WordPiece, of BERT and its kin: words, taken apart from the left into the longest pieces known.

    Attributes:
        type: `wordpiece`.
        file: `tokenizer.json` of Hugging Face, which says all the rest, or `vocab.txt`, one token a line.
        lowercase: all letters small; left out: as the file says, or true.
        strip_accents: letters without accents; left out: as the file says, or as `lowercase`.
        split_ideographs: CJK ideographs are words, one each; left out: as the file says, or true.
    """

    type: Literal["wordpiece"] = "wordpiece"
    lowercase: bool | None = None
    strip_accents: bool | None = None
    split_ideographs: bool | None = None
    _vocabulary: dict[str, int] = PrivateAttr(default_factory=dict)
    _specials: tuple[str, ...] = PrivateAttr(())
    _options: dict[str, bool | None] = PrivateAttr(default_factory=dict)
    _around: tuple[list[int], list[int]] = PrivateAttr(([], []))
    _unknown: str = PrivateAttr("[UNK]")
    _prefix: str = PrivateAttr("##")

    def load(self, content: list[bytes]) -> None:
        """A vocabulary whose ids are 0, 1, 2, … ."""
        text = decoded(content[0], self.file)
        if self.file.endswith(".json"):
            self._load_json(text)
        else:
            self._vocabulary = {token: i for i, token in enumerate(text.removesuffix("\n").split("\n"))}
            self._specials = tuple(token for token in _DEFAULT_SPECIALS if token in self._vocabulary)
            if {"[CLS]", "[SEP]"} <= set(self._specials):
                self._around = [self._vocabulary["[CLS]"]], [self._vocabulary["[SEP]"]]
        if self._unknown not in self._vocabulary:
            raise ValueError(f"file: {self.file} is no WordPiece vocabulary: it has no {self._unknown}")
        ids = sorted(self._vocabulary.values())
        # The operator takes one token a line, and skips empty ones.
        odd = [token for token in self._vocabulary if not token or set("\r\n") & set(token)]
        odd += [token for token in self._specials if " " in token]
        if ids != list(range(len(ids))) or odd:
            what = "ids from 0 without gaps, no empty tokens, and no spaces in special ones"
            raise ValueError(f"file: {self.file}: expected {what}")

    def _load_json(self, text: str) -> None:
        described = parse(text, "WordPiece", self.file)
        expect(described.normalizer, f"{self.file}: normalizer", ["BertNormalizer"], clean_text=True)
        expect(described.pre_tokenizer, f"{self.file}: pre_tokenizer", ["BertPreTokenizer"])
        expect(described.model, f"{self.file}: model", ["WordPiece", "none"], max_input_chars_per_word=100)
        self._vocabulary = {**described.model["vocab"], **described.added}
        self._specials = tuple(described.added)
        self._options = dict(described.normalizer or {})
        self._around = described.begin, described.end
        self._unknown = described.model.get("unk_token", "[UNK]")
        self._prefix = described.model.get("continuing_subword_prefix", "##")

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Token -> id."""
        return self._vocabulary

    @property
    def own(self) -> tuple[list[int], list[int]]:
        """[CLS] and [SEP], or what the file says."""
        return self._around

    def build(self, text: ir.Value, build: Builder) -> ir.Value:
        """Clean, split into characters, replace them, join, split into words, look pieces up, mend unknown words."""
        text = replace(build, text, _PRIVATE, "")
        for i, token in enumerate(self._specials):
            text = replace(build, text, re.escape(token), chr(_FIRST_SPECIAL + i))
        text = replace(build, text, _CONTROLS, "")
        text = replace(build, text, _SPACES, " ")
        if self._said(self.split_ideographs, "handle_chinese_chars", True):
            text = replace(build, text, _IDEOGRAPHS, r" \1 ")
        characters = extension(
            build, "StringRegexSplitWithOffsets", text, np.array("(?s)(.)"), np.array(["(?s)."]), outputs=4
        )
        characters = extension(build, "StringMapping", characters, map=self._map())
        text = extension(build, "StringJoin", characters, np.array([""]), np.array([0], np.int64))
        if self._strips:
            text = replace(build, text, r"\p{Mn}", "")
        text = replace(build, replace(build, text, "^ +| +$", ""), " +", f" {_BETWEEN} ")
        return self._pieces(text, build)

    def _pieces(self, text: ir.Value, build: Builder) -> ir.Value:
        """Ids of words' pieces; where a word has an unknown rest, that of the unknown token alone."""
        tokens = [*sorted(self._vocabulary, key=self._vocabulary.__getitem__), _BETWEEN]
        names = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")  # it wants all, and we use one
        ids = extension(
            build, "BertTokenizer", text, outputs=3, vocab_file="\n".join(tokens), do_basic_tokenize=0,
            suffix_indicator=self._prefix, **dict.fromkeys(names, self._unknown),
        )  # fmt: skip
        ids = build.op("Slice", ids, np.array([1], np.int64), np.array([-1], np.int64))
        between = build.op("Equal", ids, np.array(len(tokens) - 1, np.int64))
        unknown = build.op("Equal", ids, np.array(self._vocabulary[self._unknown], np.int64))
        word = build.op("CumSum", build.cast(between, "int64"), np.array(0, np.int64))
        unfinished = build.op("Compress", word, unknown, axis=0)
        bad = build.op("ConstantOfShape", build.op("Add", build.op("Shape", ids), np.array([1], np.int64)))
        ones = build.op("ConstantOfShape", build.op("Shape", unfinished), value=ir.tensor(np.ones(1, np.float32)))
        bad = build.op("ScatterElements", bad, unfinished, ones, axis=0)
        dropped = build.op("And", build.cast(build.op("Gather", bad, word), "bool"), build.op("Not", unknown))
        return build.op("Compress", ids, build.op("Not", build.op("Or", dropped, between)), axis=0)

    @property
    def _lowers(self) -> bool:
        return self._said(self.lowercase, "lowercase", True)

    @property
    def _strips(self) -> bool:
        return self._said(self.strip_accents, "strip_accents", self._lowers)

    def _said(self, given: bool | None, option: str, otherwise: bool) -> bool:
        """What the spec says, else what the file says, else `otherwise`."""
        said = self._options.get(option) if given is None else given
        return otherwise if said is None else said

    def _map(self) -> str:
        r"""What characters become, `FROM\tTO` a line; without those that make their word unknown either way."""
        known = set().union(*self._vocabulary)
        lines = [f"{chr(_FIRST_SPECIAL + i)}\t {token} " for i, token in enumerate(self._specials)]
        for character, becomes in _changes(self._lowers, self._strips).items():
            if " " in becomes or character in known or known.issuperset(becomes):
                lines.append(f"{character}\t{becomes}")
        return "\n".join(lines)


@cache
def _changes(lowercase: bool, strip_accents: bool) -> dict[str, str]:
    """What each character becomes that does not stay as it is: small, without marks, punctuation a word by itself.

    Marks alone become nothing, and are left out. The tables are those of this Python's Unicode.
    """
    found = {}
    for character in map(chr, range(0x21, _LAST + 1)):
        parts = unicodedata.normalize("NFD", character) if strip_accents else character
        kept = "".join(part for part in parts if not strip_accents or unicodedata.category(part) != "Mn")
        small = kept.lower() if lowercase else kept
        becomes = "".join(f" {part} " if _is_punctuation(part) else part for part in small)
        if becomes not in ("", character):
            found[character] = becomes
    return found


def _is_punctuation(character: str) -> bool:
    """BERT's own notion: Unicode's, and all that is neither letter nor digit in ASCII."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")
