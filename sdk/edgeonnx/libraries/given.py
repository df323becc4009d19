"""The libraries of custom operators that the user gives, and what they have.

They are given once, for all that is done within `custom_ops(...)`, and every session of a model registers those of this
machine. They are no part of a model, which stages take apart and build anew, and no argument, which every stage would
have to hand on. They are the process's, not the thread's: a search runs models in threads of its own.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import onnx
import onnxruntime as ort

from edgeonnx.errors import InputError
from edgeonnx.explain import explain
from edgeonnx.libraries import _trial
from edgeonnx.libraries.binary import Binary, read_binary
from edgeonnx.runtime._platform import this_platform
from edgeonnx.versions import numbers

UNKNOWN = "is not a registered function/op"
"""How onnxruntime says that it has no operator of a name."""

_ENTRY = b"RegisterCustomOps\0"
_TOO_NEW = "The requested API version"
_SECONDS = 120


@dataclass(frozen=True)
class Library:
    """A shared library of custom operators.

    Attributes:
        path: its file.
        sha256: of its bytes, hexadecimal.
        binary: what its headers say.
        api: the oldest version of onnxruntime's C API that it asks for, which is the release 1.`api`; None where it
            can't be asked on this machine, or does not say.
    """

    path: Path
    sha256: str
    binary: Binary
    api: int | None = None

    @property
    def platforms(self) -> tuple[str, ...]:
        """Those it is for, as `linux-aarch64`."""
        return self.binary.platforms

    def __str__(self) -> str:
        return f"{self.path} ({', '.join(self.platforms)})"

    def has(self, operator: str) -> bool:
        """Whether it implements an operator.

        A library of this machine is asked; of another, the least is looked for: the name stands in its bytes.

        Args:
            operator: as `domain::Name`.
        """
        if this_platform() in self.platforms:
            return implements(str(self.path), operator, self.sha256)
        return operator.rpartition("::")[2].encode() + b"\0" in self.path.read_bytes()


_given: tuple[Library, ...] = ()


@contextmanager
def custom_ops(*libraries: str | Path) -> Iterator[tuple[Library, ...]]:
    """Use libraries of custom operators for all that is done in the block, by whatever thread.

    Models run with those that are for this machine; `package` puts those for its target into the bundle.

    Args:
        libraries: shared libraries that export `RegisterCustomOps`, for one platform or several, in any order.

    Yields:
        What was read of each.

    Raises:
        InputError: no such file, not a library of custom operators, or onnxruntime does not take it here.
    """
    global _given  # noqa: PLW0603  the threads of a search are to see it
    before, found = _given, tuple(map(_read, libraries))
    _given = tuple(dict.fromkeys((*before, *found)))
    try:
        yield found
    finally:
        _given = before


def given_libraries(platform: str | None = None) -> tuple[Library, ...]:
    """The libraries in use; those for one platform, where it is named."""
    return tuple(library for library in _given if platform is None or platform in library.platforms)


def libraries_here() -> list[str]:
    """SHA-256 of the libraries that models run with on this machine: what a run gives depends on them too."""
    return [library.sha256 for library in given_libraries(this_platform())]


@cache
def implements(path: str, operator: str, _digest: str = "") -> bool:
    """Ask a library whether it has an operator: of one it has, onnxruntime finds fault with anything but the name.

    Args:
        path: the library's, which is of this machine.
        operator: as `domain::Name`.
        _digest: of its bytes; another file in its place is asked anew.
    """
    domain, _, name = operator.rpartition("::")
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph([onnx.helper.make_node(name, [], ["y"], domain=domain)], "asked", [], [output])
    imports = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(domain, 1)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4  # the errors are the answer
    options.register_custom_ops_library(path)
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exception types are private and many
        return UNKNOWN not in str(error)
    return True


def _read(path: str | Path) -> Library:
    path = Path(path).absolute()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"--custom-op: {path} can't be read: {error.strerror or error}") from error
    binary = read_binary(data)
    if binary is None:
        raise InputError(
            f"--custom-op: {path}: expected a shared library (ELF, Mach-O or PE), got something else; name the .so, "
            ".dylib or .dll file"
        )
    if _ENTRY not in data:
        raise InputError(
            f"--custom-op: {path} is not a library of custom operators: it has no function RegisterCustomOps; export "
            "it with C linkage"
        )
    digest = sha256(data).hexdigest()
    return Library(path, digest, binary, _tried(path, digest) if this_platform() in binary.platforms else None)


@cache
def _tried(path: Path, _digest: str) -> int | None:
    """Have onnxruntime load a library, in a process of its own, since native code may end that. Returns its `api`.

    Raises:
        InputError: onnxruntime does not take it, or it ends the process.
    """
    command = [sys.executable, "-I", _trial.__file__, str(path)]
    try:
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"--custom-op: {path}: it took more than {_SECONDS} s to load; mend it") from error
    taken, *versions = ran.stdout.split() or [""]
    asked = min(map(int, versions), default=None)
    if taken == _trial.TAKEN and (asked is None or asked <= numbers(ort.__version__)[1]):
        return asked
    lines = [line for line in ran.stderr.splitlines() if line.strip()] or [f"it ended the process ({ran.returncode})"]
    said = next((line for line in lines if _TOO_NEW in line), lines[-1])
    known = explain(said)
    why = said if known is None else f"{said}: {known}"
    raise InputError(f"--custom-op: onnxruntime {ort.__version__} does not take {path}: {why}")
