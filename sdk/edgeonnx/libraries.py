"""Operators that onnxruntime does not have: which a model uses, and the libraries that implement them.

The user gives libraries once, for all that is done within `custom_ops(...)`, and every session of a model registers
those of this machine. They are no part of a model, which stages take apart and build anew, and no argument, which every
stage would have to hand on. They are the process's, not the thread's: a search runs models in threads of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from weakref import WeakKeyDictionary

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state

from edgeonnx.binary import Binary, read_binary
from edgeonnx.errors import InputError
from edgeonnx.explain import explain
from edgeonnx.extensions import DOMAINS, library_path, uses_extensions
from edgeonnx.runtime._custom_ops import this_platform
from edgeonnx.runtime._errors import first_line

_ENTRY = b"RegisterCustomOps\0"
_UNKNOWN = "is not a registered function/op"
_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Library:
    """A shared library of custom operators.

    Attributes:
        path: its file.
        sha256: of its bytes, hexadecimal.
        binary: what its headers say.
    """

    path: Path
    sha256: str
    binary: Binary

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
# What sessions' options name already: onnxruntime refuses a library twice, and does not tell which it knows.
_registered: WeakKeyDictionary[ort.SessionOptions, set[str]] = WeakKeyDictionary()


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


def foreign_operators(model: ir.Model) -> dict[str, ir.Node]:
    """The operators that neither onnxruntime nor the model's own functions have, as `domain::Name`, and a node of each.

    Those of onnxruntime-extensions are among them.
    """
    known = _known_operators() | {f"{domain}::{name}" for domain, name, _ in model.functions}
    parts: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    nodes = [node for part in parts for node in part.all_nodes() if node.domain not in _STANDARD]
    found: dict[str, ir.Node] = {}
    for node in nodes:
        if (name := f"{node.domain}::{node.op_type}") not in known:
            found.setdefault(name, node)
    return found


def needs_extensions(model: ir.Model) -> bool:
    """Whether it uses onnxruntime-extensions, and no library that was given has those operators."""
    if not uses_extensions(model):
        return False
    here = given_libraries(this_platform())
    return not here or not all(any(lib.has(name) for lib in here) for name in extension_operators(model))


def extension_operators(model: ir.Model) -> dict[str, ir.Node]:
    """The operators of onnxruntime-extensions' domains that a model uses, and a node of each."""
    return {name: node for name, node in foreign_operators(model).items() if node.domain in DOMAINS}


def libraries_for(model: ir.Model) -> tuple[str, ...]:
    """Paths of the libraries that a session of the model registers on this machine.

    Raises:
        ModelError: it uses onnxruntime-extensions, which is not installed here.
    """
    own = tuple(str(library.path) for library in given_libraries(this_platform()))
    return (*own, library_path()) if needs_extensions(model) else own


def register(options: ort.SessionOptions, model: ir.Model) -> None:
    """Let sessions with these options use the model's custom operators; once is enough, twice does no harm.

    Raises:
        ModelError: it uses onnxruntime-extensions, which is not installed here.
    """
    known = _registered.setdefault(options, set())
    for path in libraries_for(model):
        if path not in known:
            options.register_custom_ops_library(path)
            known.add(path)


def not_registered(model: ir.Model, error: BaseException) -> str | None:
    """What to say where onnxruntime does not know an operator; None where that is not its error."""
    if _UNKNOWN not in str(error):
        return None
    for name, node in foreign_operators(model).items():
        if f"{name.replace('::', ':')}(" in str(error):
            return f"{at_node(name, node)}: {lacking(this_platform())}"
    return None


def at_node(operator: str, node: ir.Node) -> str:
    """A node of an operator, for people."""
    return f"node {node.name!r} is the custom operator {operator}" if node.name else f"the custom operator {operator}"


def lacking(platform: str) -> str:
    """Why no library that was given has an operator on a platform, and what mends it."""
    given = sorted({name for library in _given for name in library.platforms})
    if not given:
        return "no library that has it was given; give one with --custom-op LIB.so"
    if platform in given:
        names = ", ".join(library.path.name for library in given_libraries(platform))
        return f"expected it in {names}, which lacks it; give the library that has it with --custom-op too"
    return (
        f"expected a library for {platform}, got those for {', '.join(given)}; build it for {platform} and give it "
        "with --custom-op too"
    )


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
    if this_platform() in binary.platforms:
        _try(path)
    return Library(path, sha256(data).hexdigest(), binary)


def _try(path: Path) -> None:
    """See that onnxruntime takes it. Raises InputError where it does not."""
    try:
        ort.SessionOptions().register_custom_ops_library(str(path))
    except Exception as error:  # onnxruntime's exception types are private and many
        known = explain(str(error))
        why = first_line(error) if known is None else f"{first_line(error)}: {known}"
        raise InputError(f"--custom-op: onnxruntime {ort.__version__} does not take {path}: {why}") from error


@cache
def _known_operators() -> frozenset[str]:
    """The operators that this onnxruntime has by itself."""
    schemas = onnxruntime_pybind11_state.get_all_operator_schema()
    return frozenset(f"{schema.domain}::{schema.name}" for schema in schemas)


@cache
def implements(path: str, operator: str, _digest: str = "") -> bool:
    """Ask a library whether it has an operator: of one it has, onnxruntime finds fault with anything but the name.

    Args:
        path: the library's, which is of this machine.
        operator: as `domain::Name`.
        _digest: of its bytes; another file in its place is asked anew.
    """
    domain, _, name = operator.partition("::")
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
        return _UNKNOWN not in str(error)
    return True
