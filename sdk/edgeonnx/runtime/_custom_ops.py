"""Operators of the user's own: the libraries that a bundle carries for them, and how they get to onnxruntime.

onnxruntime opens a library by its path, so it is written to a folder that this user alone can enter. What is written
are the bytes that were just held against the manifest's hash: nothing can come between.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import onnxruntime as ort

from ._errors import BundleError, DeviceError, first_line
from ._platform import this_platform

if TYPE_CHECKING:
    from ._bundle import Bundle

FOLDER = "EDGEONNX_LIBRARY_FOLDER"
"""The environment variable that says where libraries are written, in place of the system's folder for such files."""

# What was written for this process, by SHA-256: several sessions share a library.
_written: dict[str, str] = {}


class Library(NamedTuple):
    """A library of custom operators.

    Attributes:
        file: the entry that holds it.
        platform: the one it is for, as `linux-aarch64`.
    """

    file: str
    platform: str


class CustomOps(NamedTuple):
    """What a graph needs beside onnxruntime's operators.

    Attributes:
        operators: those that the libraries have and the graph uses, as `domain::Name`.
        libraries: all of a platform's are registered, in this order.
    """

    operators: tuple[str, ...]
    libraries: tuple[Library, ...]


def own_libraries(bundle: Bundle) -> list[Library]:
    """The bundle's libraries for this platform.

    Raises:
        DeviceError: it has custom operators, and none of its libraries is for this platform.
    """
    needs, here = bundle.manifest.custom_ops, this_platform()
    if needs is None:
        return []
    found = [library for library in needs.libraries if library.platform == here]
    if not found:
        there = sorted({library.platform for library in needs.libraries})
        raise DeviceError(
            f"{bundle.name}: {', '.join(needs.operators)}: expected a library of custom operators for {here}, got "
            f"those for {', '.join(there) or 'no platform'}; build it for {here} and package the model with --custom-op"
        )
    return found


def described(bundle: Bundle, signed: bool) -> tuple[str, ...]:
    """What a person should know of a bundle with libraries: they are code of its maker's, and who vouches for it.

    Raises:
        DeviceError: none of them is for this platform.
    """
    names = ", ".join(library.file for library in own_libraries(bundle))
    return () if signed else (f"{names}: native code, of a bundle whose signature was not asked for (public_key)",)


def register(options: ort.SessionOptions, bundle: Bundle) -> None:
    """Let a session with these options use the bundle's custom operators.

    Raises:
        BundleError: a library is not what the manifest says.
        DeviceError: there is none for this platform, it can't be written, or onnxruntime does not take it.
    """
    for library in own_libraries(bundle):
        path = _place(bundle, library.file)
        try:
            options.register_custom_ops_library(path)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            raise DeviceError(
                f"{bundle.name}: onnxruntime {ort.__version__} can't load {library.file}: {first_line(error)}"
                f"{_advice(str(error), os.path.dirname(path))}"
            ) from error


def _place(bundle: Bundle, name: str) -> str:
    """Where a library was written for this process; written now if it was not yet."""
    import hashlib

    expected = bundle.manifest.files[name].sha256
    if _is_own(_written.get(expected, "")):
        return _written[expected]
    data = bundle.read(name)
    if hashlib.sha256(data).hexdigest() != expected:
        raise BundleError(f"{bundle.name}: {name} does not match its hash: don't use this bundle")
    try:
        path = _write(name.rpartition("/")[2], data)
    except OSError as error:
        raise DeviceError(
            f"{bundle.name}: {name} can't be written to {error.filename or 'a folder'}: {error.strerror or error}; "
            f"name a folder to write to and run from in {FOLDER}"
        ) from error
    _written[expected] = path
    return path


def _write(name: str, data: bytes) -> str:
    """Write a file that this user alone can read, and that goes when the process ends."""
    import atexit
    import tempfile

    folder = tempfile.mkdtemp(prefix="edgeonnx-", dir=os.environ.get(FOLDER))  # of mode 0700
    atexit.register(_remove, folder, os.getpid())
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o500), "wb") as file:
        file.write(data)
    return path


def _remove(folder: str, owner: int) -> None:
    """Take a folder away, but not in a child of the process that made it; Windows keeps what is in use."""
    import shutil

    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _is_own(path: str) -> bool:
    """Whether a file is there and this user's: in a folder for all, another's may take the place of one swept away."""
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return False
    return not hasattr(os, "getuid") or owner == os.getuid()


def _advice(said: str, folder: str) -> str:
    """What mends an error of the system's loader."""
    if "failed to map segment" in said or "Operation not permitted" in said:
        return f"; nothing may run from {folder}: name a folder on another file system in {FOLDER}"
    if "GLIBC" in said or "libc.musl" in said:
        return "; build it on a system as old as this one"
    if "cannot open shared object" in said or "not found" in said:
        return "; install what it is linked with, or link that into it"
    return ""
