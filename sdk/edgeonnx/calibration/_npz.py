"""Arrays of an `.npz` read row by row: mapped where they are stored as they are, streamed where compressed.

`numpy.load` reads a whole member on first use, be it of many gigabytes. A stored member (`np.savez`) is a `.npy`
file inside the zip and can be mapped at its offset; a deflated one (`np.savez_compressed`) can be inflated forward,
one row at a time. Formats: the zip specification (APPNOTE.TXT, 4.3.7) and `numpy.lib.format`.
"""

import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy

from edgeonnx.calibration._arrays import ArraySource
from edgeonnx.calibration._source import Array
from edgeonnx.errors import DataError
from edgeonnx.files import sha256
from edgeonnx.model import TensorSpec

_CHUNK = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of the name and of the extra field


class NpzSource(ArraySource):
    """One `.npz` file."""

    def __init__(self, path: Path, inputs: Sequence[TensorSpec]) -> None:
        super().__init__(members(path), inputs, str(path))
        self._path = path

    def fingerprint(self) -> str | None:
        """SHA-256 of the file."""
        return sha256(self._path)


@dataclass(frozen=True)
class Member:
    """One array of an `.npz`, known by its headers.

    Attributes:
        path: the zip file.
        info: its entry in the zip's directory.
        shape: of the whole array.
        dtype: of its elements.
        fortran: whether the first axis runs fastest.
        header: bytes of the npy header, before the first element.
    """

    path: Path
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    header: int

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """`array[i]` for each of the indexes, which ascend; each a copy that keeps no file open.

        Raises:
            DataError: the file is damaged.
        """
        if self.info.compress_type == zipfile.ZIP_STORED:
            with _reading(self.path):
                mapped = self._map(self.path, _data_offset(self.path, self.info) + self.header)
            return _copies(mapped, wanted)
        return self._unpacked(wanted) if self.fortran else self._streamed(wanted)

    def _map(self, file: Path | IO[bytes], offset: int) -> Array:
        if not math.prod(self.shape):  # nothing can't be mapped
            return np.empty(self.shape, self.dtype)
        order: Literal["F", "C"] = "F" if self.fortran else "C"
        return np.memmap(file, self.dtype, mode="r", offset=offset, shape=self.shape, order=order)

    def _streamed(self, wanted: Sequence[int]) -> Iterator[Array]:
        shape = self.shape[1:]
        size, position = math.prod(shape) * self.dtype.itemsize, 0
        with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.info) as stream:
            _skip(stream, self.header)
            for index in wanted:
                _skip(stream, (index - position) * size)
                position = index + 1
                # A copy, because frombuffer's array is read-only.
                row = np.frombuffer(_exactly(stream, size), self.dtype).reshape(shape).copy() if size else None
                yield np.empty(shape, self.dtype) if row is None else row

    def _unpacked(self, wanted: Sequence[int]) -> Iterator[Array]:
        """A row of a Fortran-ordered array lies strewn over all of it: it is unpacked to disk, not to memory."""
        with tempfile.TemporaryFile() as scratch:
            with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.info) as stream:
                shutil.copyfileobj(stream, scratch, _CHUNK)
                scratch.flush()
                mapped = self._map(scratch, self.header)
            yield from _copies(mapped, wanted)


def members(path: Path) -> dict[str, Member]:
    """The arrays of an `.npz` by name; only headers are read.

    Raises:
        DataError: not an `.npz`, damaged, or it holds pickled objects.
    """
    with _reading(path), zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): _member(path, archive, info) for info in archive.infolist()}


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as stream:
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{path}, {info.filename}: npy format {version} is not read; save it with np.savez")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(stream)
        header = stream.tell()
    if dtype.hasobject:
        name = info.filename.removesuffix(".npy")
        raise DataError(f"{path}: '{name}' holds pickled Python objects; save it with .astype(str) or a number type")
    if header + math.prod(shape) * dtype.itemsize != info.file_size:
        raise DataError(f"{path}: {info.filename} is cut short or has bytes left over; write the file again")
    return Member(path, info, shape, dtype, fortran, header)


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: its local header may be longer than its entry in the directory tells."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"no local header for {info.filename}")
    return int(info.header_offset + _LOCAL_HEADER.size + name + extra)


def _copies(mapped: Array, wanted: Sequence[int]) -> Iterator[Array]:
    for index in wanted:
        yield np.array(mapped[index, ...], order="C")


def _skip(stream: IO[bytes], size: int) -> None:
    while size:
        size -= len(_exactly(stream, min(size, _CHUNK)))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, struct.error) as error:
        raise DataError(f"{path} can't be read as .npz: {error}; write it with np.savez") from error
