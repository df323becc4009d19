"""What tokenizers have in common: their files, and the tokens that every text begins and ends with."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import onnx_ir as ir
from pydantic import ValidationInfo, field_serializer, model_validator

from edgeonnx.extensions import DOMAIN
from edgeonnx.pipeline.builder import Builder, Operand
from edgeonnx.pipeline.part import Part


class Tokenizer(Part):
    """From a text to the ids of its tokens, by the content of a vocabulary's file, which travels inside the graph.

    Attributes:
        file: the vocabulary; a relative path starts at the spec's folder.
        sha256: of the file's content (with that of `merges` behind it), hexadecimal; filled in when the spec is read,
            and checked where it is given.
        begin: tokens that every text begins with, by name or id; left out: as the file says.
        end: tokens that every text ends with, by name or id; left out: as the file says.
    """

    file: str
    sha256: str = ""
    begin: tuple[int | str, ...] | None = None
    end: tuple[int | str, ...] | None = None

    @field_serializer("file", "merges", when_used="json", check_fields=False)
    def _name(self, path: str | None) -> str | None:
        """The spec is known by what is in the file, not by where it lay."""
        return path and Path(path).name

    @model_validator(mode="after")
    def _read(self, info: ValidationInfo) -> Self:
        folder = Path((info.context or {}).get("folder", "."))
        content = [_content(folder / name) for name in self.files()]
        digest = hashlib.sha256(b"".join(content)).hexdigest()
        if self.sha256 not in ("", digest):
            raise ValueError(f"sha256: {self.file} has {digest}; the spec is for other content")
        vars(self)["sha256"] = digest  # frozen from here on
        self.load(content)
        for token in (*(self.begin or ()), *(self.end or ())):
            self.id(token)
        return self

    def files(self) -> tuple[str, ...]:
        """Paths of the vocabulary's files, as the spec names them."""
        return (self.file,)

    @abstractmethod
    def load(self, content: list[bytes]) -> None:
        """Take the content of `files()` in.

        Raises:
            ValueError: it is not such a vocabulary, or one that can't be followed exactly.
        """

    @property
    @abstractmethod
    def vocabulary(self) -> Mapping[str, int]:
        """Token -> id."""

    @property
    def own(self) -> tuple[list[int], list[int]]:
        """Ids that the file says texts begin and end with."""
        return [], []

    @abstractmethod
    def build(self, text: ir.Value, build: Builder) -> ir.Value:
        """Write the operators: from a text, str, shape (1,), to its ids, int64, shape (tokens,), no begin and end."""

    @property
    def around(self) -> tuple[list[int], list[int]]:
        """Ids that texts begin and end with."""
        first, last = self.own
        return (
            first if self.begin is None else [self.id(token) for token in self.begin],
            last if self.end is None else [self.id(token) for token in self.end],
        )

    def id(self, token: int | str) -> int:
        """A token's id.

        Raises:
            ValueError: there is no such token.
        """
        known = self.vocabulary
        if isinstance(token, str) and token in known:
            return known[token]
        if isinstance(token, int) and 0 <= token <= max(known.values()):
            return token
        raise ValueError(f"{self.file} has no token {token!r}")


def extension(build: Builder, op_type: str, *inputs: Operand, outputs: int = 1, **attributes: object) -> ir.Value:
    """The first output of an operator of onnxruntime-extensions; it must be given all it has."""
    return build.ops(op_type, inputs, outputs, DOMAIN, **attributes)[0]


def replace(build: Builder, text: ir.Value, pattern: str, by: str) -> ir.Value:
    r"""Replace every match of a regular expression (of RE2; `\1` in `by` is its first group)."""
    return extension(build, "StringRegexReplace", text, np.array(pattern), np.array(by), global_replace=1)


def decoded(content: bytes, file: str) -> str:
    """Text of a file. Raises ValueError where it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"file: {file} is not text in UTF-8") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"file: {path} can't be read: {error.strerror or error}") from error
