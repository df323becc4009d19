"""Reads the directory of a bundle's zip: stored entries, one after another, and nothing between them.

Less than the format allows, so that a file that passes has one reading. Every number is held against the file's size
before it is used. Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from ._errors import BundleError

if TYPE_CHECKING:
    from io import FileIO

AGAIN = "copy the bundle again"

_END = Struct("<4s4H2LH")
_CENTRAL = Struct("<4s6H3L5H2L")
_LOCAL = Struct("<4s5H3L2H")
# 40,000 entries; a bundle has some dozens.
_LARGEST_DIRECTORY = 4 << 20
_UTF8 = 1 << 11


class Place(NamedTuple):
    """Where an entry's bytes are in the file, and their CRC-32."""

    offset: int
    size: int
    crc: int


class _Record(NamedTuple):
    """What the directory says of an entry; `header` is where its local header begins."""

    name: str
    flags: int
    crc: int
    size: int
    header: int


def read_directory(file: FileIO, size: int) -> dict[str, Place]:
    """Every entry of the archive by name, in the file's order.

    Args:
        file: open, without a buffer.
        size: its size in bytes.

    Raises:
        BundleError: not a zip, cut short, damaged, or one that a bundle can't be.
    """
    if not size:
        raise BundleError(f"empty; {AGAIN}")
    directory, begin, end = _find_directory(file, size)
    records = _parse_directory(directory, begin)
    places: dict[str, Place] = {}
    here = begin
    for record in sorted(records, key=lambda record: record.header):
        if record.name in places:
            raise BundleError(f"{record.name} is in the archive twice; {AGAIN}")
        if record.header != here:
            raise BundleError(f"{record.name}: expected to begin at byte {here}, got {record.header}; {AGAIN}")
        offset = _check_local(file, record)
        here = offset + record.size
        if here > end:
            raise BundleError(f"{record.name} is cut short; {AGAIN}")
        places[record.name] = Place(offset, record.size, record.crc)
    if here != end:
        raise _damaged(f"{end - here} bytes that belong to no entry")
    return places


def _find_directory(file: FileIO, size: int) -> tuple[bytes, int, int]:
    """The directory, where the first entry begins (after what was put before the archive), and where the last ends."""
    tail = _read(file, max(0, size - _END.size), _END.size)
    if len(tail) < _END.size or not tail.startswith(b"PK\5\6"):
        if _read(file, 0, 4) != b"PK\3\4":
            raise BundleError("not a bundle; make one with `edgeonnx package`")
        raise _damaged("its directory is missing")
    _, disk, first_disk, here, total, length, offset, comment = _END.unpack(tail)
    if 0xFFFF in (here, total) or 0xFFFFFFFF in (length, offset):
        raise BundleError("of the Zip64 form, which a bundle has no need of; don't zip a bundle anew, copy it")
    end = size - _END.size - length
    if disk or first_disk or here != total or comment or length > _LARGEST_DIRECTORY or offset > end:
        raise _damaged("its directory contradicts itself")
    directory = _read(file, end, length)
    if directory.count(b"PK\1\2") < total:  # before anything is made of the number
        raise _damaged(f"its directory should hold {total} entries")
    return directory, end - offset, end


def _parse_directory(directory: bytes, begin: int) -> list[_Record]:
    """The entries that the directory lists, with `begin` added to their places."""
    records = []
    at = 0
    while at < len(directory):
        fields = directory[at : at + _CENTRAL.size]
        if len(fields) < _CENTRAL.size or not fields.startswith(b"PK\1\2"):
            raise _damaged("its directory is cut short")
        _, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, offset = _CENTRAL.unpack(fields)
        at += _CENTRAL.size
        if at + sum(lengths) > len(directory):
            raise _damaged("its directory is cut short")
        name = _name(directory[at : at + lengths[0]], flags)
        if method or packed != size or flags & ~_UTF8:
            raise BundleError(f"{name} is compressed, expected stored; don't zip a bundle anew, copy it")
        records.append(_Record(name, flags, crc, size, begin + offset))
        at += sum(lengths)
    return records


def _check_local(file: FileIO, record: _Record) -> int:
    """Where an entry's bytes begin, once its own header says what the directory says."""
    encoded = record.name.encode()
    header = _read(file, record.header, _LOCAL.size + len(encoded))
    if len(header) < _LOCAL.size or not header.startswith(b"PK\3\4"):
        raise BundleError(f"{record.name} is not where the directory says; {AGAIN}")
    _, _, flags, method, _, _, crc, packed, size, length, extra = _LOCAL.unpack_from(header)
    own = (flags, method, crc, packed, size, length, header[_LOCAL.size :])
    if own != (record.flags, 0, record.crc, record.size, record.size, len(encoded), encoded):
        raise BundleError(f"{record.name}: its header and the directory differ; {AGAIN}")
    return record.header + _LOCAL.size + int(length) + int(extra)


def _name(encoded: bytes, flags: int) -> str:
    try:
        name = encoded.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise _damaged("a name that is no text") from error
    if name.startswith("/") or "\\" in name or ":" in name or any(part in ("", "..") for part in name.split("/")):
        raise BundleError(f"{name[:80]!r} leads out of the archive; don't use this bundle")
    if not name.isprintable():
        raise _damaged(f"a name that can't be shown, {name[:80]!r}")
    return name


def _read(file: FileIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size) or b""


def _damaged(what: str) -> BundleError:
    return BundleError(f"cut short or damaged ({what}); {AGAIN}")
