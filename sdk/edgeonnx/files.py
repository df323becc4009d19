"""Files are written whole or not at all, and known by their SHA-256."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeonnx.errors import OutputError

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it if the block ends well and removed if it does not.

    Raises:
        OutputError: the folder does not exist or can't be written, `path` is a folder, or the disk is full.
    """
    check_writable(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_writable(path: Path, source: str | Path | None = None) -> None:
    """Say early, before minutes of work, that a result could not be written to `path`.

    Args:
        path: where to.
        source: the file that the result is made from, which is not to be lost.

    Raises:
        OutputError: see `replacing`; or `path` is the source.
    """
    if source is not None and path.is_file() and Path(source).is_file() and path.samefile(source):
        raise OutputError(f"{path} is the file to read from; write elsewhere with -o")
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; name the file to write")
    except OSError as error:  # a name too long
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error
    if not path.parent.is_dir():
        what = "is a file, not a folder;" if path.parent.exists() else "does not exist; create it, or"
        raise OutputError(f"{path.parent} {what} write elsewhere with -o")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent} is not writable; write elsewhere with -o")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder(kind: str) -> Path:
    """`kind` in $EDGEONNX_CACHE, else in `edgeonnx` in $XDG_CACHE_HOME, else in `~/.cache/edgeonnx`."""
    if own := os.environ.get("EDGEONNX_CACHE"):
        return Path(own) / kind
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~").expanduser() / ".cache") / "edgeonnx" / kind
