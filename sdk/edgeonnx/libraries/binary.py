"""What a shared library's own headers say: the platform it is for, and the C library it needs.

Read here, not taken from a name or an option, so that a library can't be given out for what it is not.
ELF: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html, with the GNU versions of the Linux Standard Base;
Mach-O: Apple's <mach-o/loader.h>, <mach-o/fat.h>; PE: https://learn.microsoft.com/windows/win32/debug/pe-format.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from edgeonnx.versions import numbers

# The numbers of the machines that onnxruntime is built for, and what `platform_name` calls them.
_ELF = {3: "i686", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_MACH = {0x01000007: "x86_64", 0x0100000C: "aarch64"}
_PE = {0x014C: "i686", 0x8664: "x86_64", 0xAA64: "aarch64"}

_ELF_LITTLE, _ELF_WIDE = 1, 2
_ELF_SYSTEMS = {0: "linux", 3: "linux", 9: "freebsd"}
_SHARED_OBJECT = 3
_LOAD, _DYNAMIC, _NOTE = 1, 2, 4
_NEEDED, _STRINGS, _VERSIONS, _VERSION_COUNT = 1, 5, 0x6FFFFFFE, 0x6FFFFFFF
_GLIBC = "GLIBC_"
_MACH_THIN, _MACH_FAT = b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"
_MACH_FAT_ENTRY = struct.Struct(">5I")
# More than ever were in one; Java's class files begin as fat libraries do, and have a version here.
_MACH_MOST = 20
_PE_AT = 0x3C
# No library has as many entries in a table; one that is damaged would go round for ever.
_MOST = 10_000


@dataclass(frozen=True)
class Binary:
    """A shared library.

    Attributes:
        platforms: those it is for, as `linux-aarch64`; a fat Mach-O is for several.
        libc: the oldest C library that has what it asks for, as `glibc 2.28`, or `musl`; None where it does not say.
        needs: file names of the libraries that it is linked with.
    """

    platforms: tuple[str, ...]
    libc: str | None = None
    needs: tuple[str, ...] = ()


def read_binary(data: bytes) -> Binary | None:
    """What the headers say; None where these are not the bytes of a shared library, or are cut short."""
    try:
        if data.startswith(b"\x7fELF"):
            return _Elf(data).read()
        if data.startswith((_MACH_THIN, _MACH_FAT)):
            return _mach(data)
        return _pe(data) if data.startswith(b"MZ") else None
    except (struct.error, IndexError, KeyError, ValueError):
        return None


class _Elf:
    """An ELF file of either width and byte order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._wide = data[4] == _ELF_WIDE
        self._order = "<" if data[5] == _ELF_LITTLE else ">"
        self._word = "Q" if self._wide else "I"
        self._segments = list(self._read_segments())

    def read(self) -> Binary | None:
        kind, machine = self._at(16, "HH")
        if kind != _SHARED_OBJECT:
            return None
        system = "android" if self._is_android() else _ELF_SYSTEMS.get(self._data[7], "unknown")
        dynamic = self._dynamic()
        texts = self._offset(dict(dynamic)[_STRINGS])
        needs = tuple(self._text(texts + value) for tag, value in dynamic if tag == _NEEDED)
        name = _ELF.get(machine, f"machine{machine}")
        return Binary((f"{system}-{name}",), self._libc(dict(dynamic), texts, needs), needs)

    def _at(self, offset: int, form: str) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self._data, offset)

    def _read_segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Type, place in the file, address and size of each segment."""
        table, size, count = self._at(32, "Q14xHH") if self._wide else self._at(28, "I10xHH")
        for place in range(table, table + size * count, size):
            if self._wide:
                kind, _, offset, address, _, length = self._at(place, "IIQQQQ")
            else:
                kind, offset, address, _, length = self._at(place, "IIIII")
            yield kind, offset, address, length

    def _offset(self, address: int) -> int:
        """Where in the file an address is loaded from."""
        for kind, at, start, size in self._segments:
            if kind == _LOAD and start <= address < start + size:
                return at + address - start
        raise ValueError("an address that nothing is loaded to")

    def _dynamic(self) -> list[tuple[int, int]]:
        at, size = {kind: (at, size) for kind, at, _, size in self._segments}[_DYNAMIC]
        step = struct.calcsize(f"={self._word * 2}")
        pairs = (self._at(place, self._word * 2) for place in range(at, at + size, step))
        return [(tag, value) for tag, value in islice(pairs, _MOST) if tag]

    def _text(self, at: int) -> str:
        return self._data[at : self._data.index(b"\0", at)].decode("utf-8", "replace")

    def _is_android(self) -> bool:
        notes = (self._data[at : at + size] for kind, at, _, size in self._segments if kind == _NOTE)
        return any(b"Android\0" in note for note in notes)

    def _libc(self, dynamic: dict[int, int], texts: int, needs: tuple[str, ...]) -> str | None:
        if any(name.startswith("libc.musl") for name in needs):
            return "musl"
        asked = islice(self._versions(dynamic, texts), _MOST) if _VERSIONS in dynamic else ()
        releases = [name.removeprefix(_GLIBC) for name in asked if name.startswith(_GLIBC) and name[6:7].isdigit()]
        return f"glibc {max(releases, key=numbers)}" if releases else None

    def _versions(self, dynamic: dict[int, int], texts: int) -> Iterator[str]:
        """The versions of symbols that it asks other libraries for, such as `GLIBC_2.17`."""
        at = self._offset(dynamic[_VERSIONS])
        for _ in range(dynamic[_VERSION_COUNT]):
            _, count, _, ahead, following = self._at(at, "HHIII")
            place = at + ahead
            for _ in range(count):
                _, _, _, name, step = self._at(place, "IHHII")
                yield self._text(texts + name)
                place += step
            at += following


def _mach(data: bytes) -> Binary | None:
    if data.startswith(_MACH_THIN):
        machines = struct.unpack_from("<I", data, 4)
    else:
        (count,) = struct.unpack_from(">I", data, 4)
        if count > _MACH_MOST:
            return None
        machines = tuple(_MACH_FAT_ENTRY.unpack_from(data, 8 + i * _MACH_FAT_ENTRY.size)[0] for i in range(count))
    return Binary(tuple(f"macos-{_MACH.get(machine, f'machine{machine}')}" for machine in machines))


def _pe(data: bytes) -> Binary | None:
    (at,) = struct.unpack_from("<I", data, _PE_AT)
    if data[at : at + 4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", data, at + 4)
    return Binary((f"windows-{_PE.get(machine, f'machine{machine}')}",))
