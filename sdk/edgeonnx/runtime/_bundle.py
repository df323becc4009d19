"""Opens a bundle: a zip of stored entries, each checked against the manifest. See docs/bundle.md."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._errors import BundleError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO
    from zipfile import ZipInfo

    from ._manifest import Manifest

MANIFEST = "manifest.json"

BUNDLE_MAIN = """\
import sys
from edgeonnx_runtime.__main__ import main
sys.exit(main(bundle=sys.path[0]))
"""
"""The text of a bundle's `__main__.py`; Python puts the archive it was started with first on sys.path."""

_AGAIN = "copy the bundle again"


class Bundle:
    """An opened bundle: its entries in memory, read once and verified.

    Attributes:
        path: where it was read from, absolute.
        name: the file's name, which begins every error.
        manifest: the parsed manifest.json.
    """

    def __init__(self, path: str, manifest: Manifest, entries: Mapping[str, bytes]) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.manifest = manifest
        self._entries = entries

    def read(self, name: str) -> bytes:
        """The bytes of an entry. Raises BundleError when there is none of that name."""
        if name not in self._entries:
            raise BundleError(f"{self.name}: there is no entry {name}; package the model again")
        return self._entries[name]


def open_bundle(path: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
    """Read a bundle whole, and check its entries against the manifest.

    Args:
        path: the `.edge` file.
        verify: False leaves the SHA-256 out; names and sizes are always checked.

    Raises:
        BundleError: no such file, not a bundle, cut short, altered, or of a newer schema. Begins with the file's name.
    """
    from ._manifest import Manifest  # its classes take 5 ms that `import edgeonnx_runtime` need not pay

    path = os.fspath(path)
    name = os.path.basename(path) or path
    try:
        entries = _read_file(path)
        if MANIFEST not in entries:
            raise BundleError(f"{MANIFEST} is missing; this zip was not made by `edgeonnx package`")
        manifest = Manifest.loads(entries[MANIFEST])
        _check_sizes(entries, manifest)
        if verify:
            _check_hashes(entries, manifest)
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from error
    return Bundle(os.path.abspath(path), manifest, entries)


def runtime_files() -> dict[str, bytes]:
    """The runtime's own source files by name, `_bundle.py` and so on, for a packager to put into a bundle."""
    folder = os.path.dirname(os.path.abspath(__file__))
    files = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
    return files


def _read_file(path: str) -> dict[str, bytes]:
    """Every entry's name and bytes, of the archive at `path`."""
    if os.path.isdir(path):
        raise BundleError("a folder, not a bundle; name the .edge file")
    try:
        with open(path, "rb") as file:
            return _read_entries(file)
    except FileNotFoundError as error:
        raise BundleError("no such file") from error
    except OSError as error:
        raise BundleError(f"can't be read: {error.strerror or error}") from error


def _read_entries(file: BinaryIO) -> dict[str, bytes]:
    from zipfile import ZipFile  # 10 ms that `import edgeonnx_runtime` need not pay

    size = os.fstat(file.fileno()).st_size
    if not size:
        raise BundleError(f"empty; {_AGAIN}")
    magic = file.read(4)
    entries: dict[str, bytes] = {}
    try:
        with ZipFile(file) as archive:
            for info in archive.infolist():
                _check_entry(info, entries, size)
                entries[info.filename] = archive.read(info)
    except BundleError:
        raise
    except Exception as error:  # for damage zipfile raises seven types, among them struct.error and RuntimeError
        if magic != b"PK\3\4":
            raise BundleError("not a bundle; make one with `edgeonnx package`") from error
        raise BundleError(f"cut short or damaged ({first_line(error)}); {_AGAIN}") from error
    return entries


def _check_entry(info: ZipInfo, entries: Mapping[str, bytes], size: int) -> None:
    """What must hold before an entry is read from an archive of `size` bytes."""
    name = info.filename
    if name in entries:
        raise BundleError(f"{name} is in the archive twice; {_AGAIN}")
    if name.startswith("/") or "\\" in name or ":" in name or any(part in ("", "..") for part in name.split("/")):
        raise BundleError(f"{name!r} leads out of the archive; don't use this bundle")
    if info.compress_type != 0 or info.compress_size != info.file_size:
        raise BundleError(f"{name} is compressed, expected stored; don't zip a bundle anew, copy it")
    if info.header_offset + info.file_size > size:  # before zipfile asks for memory that a false size names
        raise BundleError(f"{name} is cut short; {_AGAIN}")


def _check_sizes(entries: Mapping[str, bytes], manifest: Manifest) -> None:
    """The archive holds the manifest's files: none more, none less, each of its size."""
    for name in sorted(set(entries) - set(manifest.files) - {MANIFEST}):
        raise BundleError(f"{name} is not in the manifest; {_AGAIN}")
    for name, entry in manifest.files.items():
        if name not in entries or name == MANIFEST:
            raise BundleError(f"{name} is in the manifest but not in the archive; {_AGAIN}")
        if len(entries[name]) != entry.bytes:
            raise BundleError(f"{name}: expected {entry.bytes} bytes, got {len(entries[name])}; {_AGAIN}")


def _check_hashes(entries: Mapping[str, bytes], manifest: Manifest) -> None:
    import hashlib  # 4 ms, as above

    for name, entry in manifest.files.items():
        got = hashlib.sha256(entries[name]).hexdigest()
        if got != entry.sha256:
            raise BundleError(
                f"{name} does not match its hash: expected sha256 {entry.sha256[:12]}…, got {got[:12]}…; {_AGAIN}"
            )
