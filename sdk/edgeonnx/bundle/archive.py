"""Write a bundle: docs/bundle.md, schema 1. The same manifest and entries give the same bytes."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgeonnx.files import replacing
from edgeonnx.runtime._bundle import BUNDLE_MAIN, runtime_files
from edgeonnx.runtime._manifest import FileEntry, Manifest

MODEL = "model.onnx"
LABELS = "labels.txt"
# The oldest time a zip entry can have.
_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o100644


def write_bundle(path: Path, manifest: Manifest, entries: Mapping[str, bytes]) -> Manifest:
    """Write the archive, whole or not at all.

    Args:
        path: where to.
        manifest: complete but for `files`, which is filled in here.
        entries: name -> bytes of the model, the labels and the golden samples, in the order they are to stand.

    Returns:
        The manifest as written.

    Raises:
        OutputError: the place can't be written.
    """
    runtime = {f"edgeonnx_runtime/{name}": source for name, source in sorted(runtime_files().items())}
    everything = {"__main__.py": BUNDLE_MAIN.encode(), **runtime, **entries}
    files = {n: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for n, data in everything.items()}
    manifest = manifest._replace(files=files)
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": manifest.dumps().encode(), **everything}.items():
            archive.writestr(_entry(name), data)
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    return info
