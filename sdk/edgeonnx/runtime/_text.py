"""Texts as inputs: from a file, or as a string."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import InputError
from ._inputs import read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._manifest import InputSpec


def read_text(path: str | os.PathLike[str], spec: InputSpec) -> NDArray[Any]:
    """The text of a file, UTF-8, with or without a byte order mark; the line break that ends it is not of the text.

    Returns:
        Objects of Python's `str`, shape (1,).

    Raises:
        InputError: the file can't be read, is not UTF-8, or holds a NUL character.
    """
    path = os.fspath(path)
    data = read_bytes(path)
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: input {spec.name} takes a text in UTF-8, got the byte 0x{data[error.start]:02x} "
            f"at {error.start}; save it as UTF-8"
        ) from error
    for end in ("\r\n", "\n"):
        if content.endswith(end):
            content = content[: -len(end)]
            break
    return as_text(content, f"{path}: input {spec.name}")


def as_text(content: str, where: str) -> NDArray[Any]:
    """A string as onnxruntime takes it: objects, shape (1,).

    Args:
        content: the string.
        where: begins the error.

    Raises:
        InputError: it holds a NUL character, where onnxruntime would cut it off, or half a surrogate pair.
    """
    if "\0" in content:
        raise InputError(f"{where}: expected a text, got a NUL character at {content.index(chr(0))}; is it a text?")
    try:
        content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: expected a text, got half a surrogate pair at {error.start}") from error
    return np.array([content], dtype=object)
