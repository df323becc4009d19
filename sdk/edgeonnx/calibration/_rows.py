"""One file that holds all samples, one a row: a text a line, a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeonnx.calibration._callable import as_record
from edgeonnx.calibration._source import Record
from edgeonnx.calibration.readers import RowReader
from edgeonnx.errors import DataError, EdgeonnxError
from edgeonnx.files import sha256
from edgeonnx.model import TensorSpec


class RowSource:
    """The rows of a file, read anew for each pass; only those that are asked for are understood.

    Raises:
        DataError: the file has no rows.
    """

    classes: tuple[str, ...] | None = None

    def __init__(self, path: Path, reader: RowReader, inputs: Sequence[TensorSpec]) -> None:
        self.origin = str(path)
        self._path, self._reader, self._inputs = path, reader, inputs
        self._count: int | None = None

    def has_labels(self) -> bool:
        """Whether the first row has a label: then all have."""
        return next(self.read([0])).label is not None

    def count(self) -> int:
        """Number of rows; the first call reads through the file."""
        if self._count is None:
            self._count = sum(1 for _ in self._rows())
            if not self._count:
                raise DataError(f"{self.origin}: expected a {self._reader.kind} with at least one row, got none")
        return self._count

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The rows of these indexes."""
        self.count()
        chosen, last = (None, None) if wanted is None else (set(wanted), max(wanted, default=-1))
        for index, row in enumerate(self._rows()):
            if last is not None and index > last:
                return
            if chosen is None or index in chosen:
                yield self._record(row, f"{self.origin}, sample {index}")

    def fingerprint(self) -> str | None:
        """SHA-256 of the file."""
        return sha256(self._path)

    def _rows(self) -> Iterator[Any]:
        try:
            yield from self._reader.rows(self._path)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.origin} can't be read as a {self._reader.kind}: {error}") from error
        except EdgeonnxError as error:
            raise DataError(str(error)) from error

    def _record(self, row: Any, where: str) -> Record:
        try:
            feeds = self._reader.parse(row)
        except (ValueError, EdgeonnxError) as error:
            raise DataError(f"{where}: {error}") from error
        return as_record(feeds, self._inputs, where)
