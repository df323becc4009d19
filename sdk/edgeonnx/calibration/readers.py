"""Readers: how files that are no arrays become samples, of the inputs that are declared to be read from them.

What is in such files is none of this folder's business: pictures, sound, text and tables are read by functions that
are handed over.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeonnx.calibration._source import Array
from edgeonnx.errors import DataError, EdgeonnxError

Kind = Literal["picture", "sound", "text", "table"]

SUFFIXES: Mapping[str, frozenset[str]] = {
    "picture": frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")),
    "sound": frozenset((".wav",)),
    "text": frozenset((".txt",)),
    "table": frozenset((".csv",)),
}


@dataclass(frozen=True)
class FileReader:
    """Reads files that hold one sample of one input each.

    Attributes:
        kind: of the files.
        input: name of the input.
        read: the file -> the sample, shaped as the input or without its first axis.
    """

    kind: Kind
    input: str
    read: Callable[[Path], Array]

    def __call__(self, path: Path) -> Array:
        """The sample in a file.

        Raises:
            DataError: it can't be read.
        """
        try:
            return self.read(path)
        except (OSError, ValueError, EdgeonnxError) as error:
            raise DataError(f"{path} can't be read as a {self.kind}: {error}; remove or repair it") from error


@dataclass(frozen=True)
class RowReader:
    """Reads one file that holds all samples, one a row.

    Attributes:
        kind: of the file.
        rows: the file -> its rows as they stand there, not understood yet.
        parse: a row -> name of each input -> its array, shaped as the input; and `labels`, where the file has them.
    """

    kind: Kind
    rows: Callable[[Path], Iterator[Any]]
    parse: Callable[[Any], Mapping[str, Any]]


Reader = FileReader | RowReader


def kind_of(path: Path) -> str | None:
    """The kind that a file is by its suffix; None: of none that can be read."""
    return next((kind for kind, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), None)
