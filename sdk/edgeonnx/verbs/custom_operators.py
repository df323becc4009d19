"""A model's custom operators: which of them a target's libraries have, and what of it goes into a bundle."""

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import onnx_ir as ir

from edgeonnx.errors import InputError, ModelError
from edgeonnx.extensions import DOMAINS
from edgeonnx.libraries import Library, at_node, foreign_operators, given_libraries, lacking
from edgeonnx.model import Model
from edgeonnx.runtime._custom_ops import CustomOps
from edgeonnx.runtime._custom_ops import Library as Entry
from edgeonnx.runtime._platform import platform_name, this_platform
from edgeonnx.targets import Target

# In a process of its own: in this one the user's code may have added Python operators to the library.
_ASK = """
import sys
from edgeonnx.extensions import library_path
from edgeonnx.libraries import implements
print(*(name for name in sys.argv[1:] if implements(library_path(), name)))
"""


def target_platform(target: Target) -> str:
    """The platform that a target's libraries are for."""
    return platform_name(target.platform.os, target.platform.machine)


def usable_libraries(target: Target, anywhere: bool = False) -> tuple[Library, ...]:
    """The libraries given that a target could register: those for its platform; a browser takes none.

    Args:
        target: the device.
        anywhere: those for other platforms count too.
    """
    if target.platform.os == "browser":
        return ()
    return given_libraries(None if anywhere else target_platform(target))


def served(model: Model, libraries: Sequence[Library]) -> dict[str, ir.Node]:
    """The foreign operators of a model that one of these libraries has, and a node of each."""
    return {name: node for name, node in foreign_operators(model.ir).items() if any(lib.has(name) for lib in libraries)}


def served_domains(model: Model, libraries: Sequence[Library]) -> frozenset[str]:
    """The domains whose every operator in the model one of these libraries has."""
    foreign, have = foreign_operators(model.ir), served(model, libraries)
    lacked = {node.domain for name, node in foreign.items() if name not in have}
    return frozenset(node.domain for node in have.values()) - lacked


def missing_here(model: Model) -> str | None:
    """The custom operator that keeps a model from running on this machine; None where nothing does.

    onnxruntime-extensions' are not among them: whether that is installed is another question.
    """
    have = served(model, given_libraries(this_platform()))
    foreign = foreign_operators(model.ir).items()
    name = next((name for name, node in foreign if name not in have and node.domain not in DOMAINS), None)
    return None if name is None else f"no library that was given has {name} for {this_platform()}"


def unserved(target: Target) -> str:
    """Why the libraries that were given serve the target's custom operators not; empty where none could."""
    if target.platform.os == "browser":
        return ""
    platform = target_platform(target)
    return f"{target.name} is {platform}: {lacking(platform)}"


def library_releases(model: Model) -> frozenset[str]:
    """The releases of onnxruntime whose C API the libraries ask for that have the model's custom operators.

    Those of this machine were asked; the others are taken to be built from the same source.
    """
    libraries = given_libraries(this_platform())
    used = [library for library in libraries if served(model, [library])]
    return frozenset(f"1.{library.api}" for library in used if library.api is not None)


def bundled(models: Sequence[Model], target: Target) -> tuple[CustomOps | None, dict[str, bytes]]:
    """What the manifest says of the custom operators of a bundle's models, and the entries of their libraries.

    Raises:
        InputError: a library was changed since it was given.
    """
    platform = target_platform(target)
    libraries = [lib for lib in given_libraries(platform) if any(served(model, [lib]) for model in models)]
    operators = sorted({name for model in models for name in served(model, libraries)})
    if not operators:
        return None, {}
    entries = {f"custom_ops/{i}/{_plain(library)}": library for i, library in enumerate(libraries)}
    needs = CustomOps(tuple(operators), tuple(Entry(name, platform) for name in entries))
    return needs, {name: _bytes(library) for name, library in entries.items()}


def check_python_operators(model: Model) -> None:
    """See that onnxruntime-extensions' library has the operators of its domains that no library given has.

    Raises:
        ModelError: it lacks one, which then is a Python function's.
    """
    have = served(model, given_libraries(this_platform()))
    asked = {n: node for n, node in foreign_operators(model.ir).items() if node.domain in DOMAINS and n not in have}
    lacked = sorted(set(asked) - _in_extensions(tuple(sorted(asked)))) if asked else []
    for name in lacked:
        raise ModelError(
            f"{at_node(name, asked[name])}, which the library of onnxruntime-extensions lacks: Python functions "
            "(@onnx_op) can't run on a device; write it in C++ and give that with --custom-op, or move it out of the "
            "model"
        )


@cache
def _in_extensions(operators: tuple[str, ...]) -> frozenset[str]:
    """Those of the operators that onnxruntime-extensions' library has by itself."""
    ran = subprocess.run([sys.executable, "-I", "-c", _ASK, *operators], capture_output=True, text=True, check=False)
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelError(f"onnxruntime-extensions can't be asked for {', '.join(operators)}: {said[-1]}")
    return frozenset(ran.stdout.split())


def _plain(library: Library) -> str:
    """The file's name without what an archive may not have in a name."""
    return re.sub(r"[^\w.+-]", "_", library.path.name)


def _bytes(library: Library) -> bytes:
    data = library.path.read_bytes()
    if sha256(data).hexdigest() != library.sha256:
        raise InputError(f"{library.path} was changed while it was in use; package the model again")
    return data
