"""Write a bundle: docs/bundle.md, schema 2. The same manifest and entries give the same bytes."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from struct import Struct

from edgeonnx.errors import InputError
from edgeonnx.files import replacing
from edgeonnx.runtime._bundle import BUNDLE_MAIN, runtime_files
from edgeonnx.runtime._manifest import FileEntry, Manifest

LABELS = "labels.txt"
PIPELINE = "pipeline.json"
# What onnxruntime maps from the file begins where a page of memory does.
_MAPPED, _PAGE = "weights/", 4096
# An extra field without meaning but its length: the id that Android's zipalign pads with.
_PADDING = 0xD935
_PADDING_HEADER = Struct("<3H")
_LOCAL_HEADER = 30
# Beyond, Python's zipfile writes the Zip64 form, whose second set of sizes a reader would have to trust; less what is
# not entries.
_LARGEST = (1 << 31) - (1 << 20)
# The oldest time a zip entry can have.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644


def write_bundle(path: Path, manifest: Manifest, entries: Mapping[str, bytes]) -> Manifest:
    """Write the archive, whole or not at all.

    Args:
        path: where to.
        manifest: complete but for `files`, which is filled in here.
        entries: name -> bytes of all else than the runtime, in the order they are to stand. Those in `weights/` are put
            where a page of memory begins.

    Returns:
        The manifest as written.

    Raises:
        InputError: it would be of 2 GiB or more.
        OutputError: the place can't be written.
    """
    runtime = {f"edgeonnx_runtime/{name}": source for name, source in sorted(runtime_files().items())}
    everything = {"__main__.py": BUNDLE_MAIN.encode(), **runtime, **entries}
    files = {n: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for n, data in everything.items()}
    manifest = manifest._replace(files=files)
    if (total := sum(len(data) for data in everything.values())) > _LARGEST:
        raise InputError(f"{path}: expected a bundle of less than 2 GiB, got {total} bytes; give fewer variants")
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": manifest.dumps().encode(), **everything}.items():
            archive.writestr(_entry(name, archive.start_dir), data)
    return manifest


def _entry(name: str, offset: int) -> zipfile.ZipInfo:
    """The header of an entry that begins at an offset of the archive."""
    info = zipfile.ZipInfo(name, _TIME)
    if name.startswith(_MAPPED):
        gap = -(offset + _LOCAL_HEADER + len(name.encode())) % _PAGE
        length = gap if gap >= _PADDING_HEADER.size else gap + _PAGE
        info.extra = _PADDING_HEADER.pack(_PADDING, length - 4, _PAGE) + bytes(length - _PADDING_HEADER.size)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    return info
