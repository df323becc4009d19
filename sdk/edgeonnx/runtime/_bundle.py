"""Opens a bundle: a zip of stored entries, each checked against the manifest. See docs/bundle.md."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._errors import BundleError
from ._zip import AGAIN, read_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from io import FileIO

    from ._manifest import Manifest
    from ._zip import Place

MANIFEST = "manifest.json"

BUNDLE_MAIN = """\
import sys
from edgeonnx_runtime.__main__ import main
sys.exit(main(bundle=sys.path[0]))
"""
"""The text of a bundle's `__main__.py`; Python puts the archive it was started with first on sys.path."""

# Entries are hashed through a buffer of this size, so that checking a bundle takes no memory to speak of.
_CHUNK = 1 << 18
_LARGEST_MANIFEST = 16 << 20


class Bundle:
    """An opened bundle. Its entries stay in the file until they are read.

    Attributes:
        path: where it is, absolute.
        name: the file's name, which begins every error.
        manifest: the parsed manifest.json.
    """

    def __init__(self, path: str, manifest: Manifest, places: Mapping[str, Place]) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.manifest = manifest
        self._places = places

    def place(self, name: str) -> Place:
        """Where an entry's bytes are in the file. Raises BundleError when there is none of that name."""
        if name not in self._places:
            raise BundleError(f"{self.name}: there is no entry {name}; package the model again")
        return self._places[name]

    def read(self, name: str) -> bytes:
        """The bytes of an entry. Raises BundleError when there is none of that name, or the file has changed."""
        place = self.place(name)
        try:
            with open(self.path, "rb") as file:
                file.seek(place.offset)
                data = file.read(place.size)
        except OSError as error:
            raise BundleError(f"{self.name}: can't be read: {error.strerror or error}") from error
        if len(data) < place.size:
            raise BundleError(f"{self.name}: {name} is cut short; {AGAIN}")
        return data

    def verify(self, names: Iterable[str] | None = None) -> None:
        """See that entries match their SHA-256; all of the manifest's, or those given.

        Raises:
            BundleError: one does not.
        """
        import hashlib  # 4 ms that `import edgeonnx_runtime` need not pay

        buffer = memoryview(bytearray(_CHUNK))
        try:
            with open(self.path, "rb", buffering=0) as file:
                for name in self.manifest.files if names is None else names:
                    digest = hashlib.sha256()
                    place = self.place(name)
                    file.seek(place.offset)
                    left = place.size
                    while left:
                        count = file.readinto(buffer[: min(left, _CHUNK)])
                        if not count:
                            break
                        digest.update(buffer[:count])
                        left -= count
                    self._check_hash(name, digest.hexdigest())
        except OSError as error:
            raise BundleError(f"{self.name}: can't be read: {error.strerror or error}") from error

    def _check_hash(self, name: str, got: str) -> None:
        expected = self.manifest.files[name].sha256
        if got != expected:
            raise BundleError(
                f"{self.name}: {name} does not match its hash: "
                f"expected sha256 {expected[:12]}…, got {got[:12]}…; {AGAIN}"
            )


def open_bundle(path: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
    """Open a bundle, and check its entries against the manifest.

    Args:
        path: the `.edge` file.
        verify: False leaves the SHA-256 out; names and sizes are always checked.

    Raises:
        BundleError: no such file, not a bundle, cut short, altered, or of another schema. Begins with the file's name.
    """
    path = os.fspath(path)
    name = os.path.basename(path) or path
    try:
        manifest, places = _open(path)
    except BundleError as error:
        raise BundleError(f"{name}: {error}") from error
    bundle = Bundle(os.path.abspath(path), manifest, places)
    if verify:
        bundle.verify()
    return bundle


def runtime_files() -> dict[str, bytes]:
    """The runtime's own source files by name, `_bundle.py` and so on, for a packager to put into a bundle."""
    folder = os.path.dirname(os.path.abspath(__file__))
    files = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
    return files


def _open(path: str) -> tuple[Manifest, dict[str, Place]]:
    if os.path.isdir(path):
        raise BundleError("a folder, not a bundle; name the .edge file")
    try:
        with open(path, "rb", buffering=0) as file:
            places = read_directory(file, os.fstat(file.fileno()).st_size)
            manifest = _read_manifest(file, places)
    except FileNotFoundError as error:
        raise BundleError("no such file") from error
    except OSError as error:
        raise BundleError(f"can't be read: {error.strerror or error}") from error
    _check_entries(places, manifest)
    return manifest, places


def _read_manifest(file: FileIO, places: Mapping[str, Place]) -> Manifest:
    from binascii import crc32

    from ._manifest import Manifest  # its classes take milliseconds that `import edgeonnx_runtime` need not pay

    if MANIFEST not in places:
        raise BundleError(f"{MANIFEST} is missing; this zip was not made by `edgeonnx package`")
    place = places[MANIFEST]
    if place.size > _LARGEST_MANIFEST:
        raise BundleError(f"{MANIFEST}: expected at most {_LARGEST_MANIFEST} bytes, got {place.size}; {AGAIN}")
    file.seek(place.offset)
    data = file.read(place.size)
    if crc32(data) != place.crc:
        raise BundleError(f"{MANIFEST} does not match its checksum; {AGAIN}")
    return Manifest.loads(data)


def _check_entries(places: Mapping[str, Place], manifest: Manifest) -> None:
    """The archive holds the manifest's files: none more, none less, each of its size."""
    for name in sorted(set(places) - set(manifest.files) - {MANIFEST}):
        raise BundleError(f"{name} is not in the manifest; {AGAIN}")
    for name, entry in manifest.files.items():
        if name not in places or name == MANIFEST:
            raise BundleError(f"{name} is in the manifest but not in the archive; {AGAIN}")
        if places[name].size != entry.bytes:
            raise BundleError(f"{name}: expected {entry.bytes} bytes, got {places[name].size}; {AGAIN}")
