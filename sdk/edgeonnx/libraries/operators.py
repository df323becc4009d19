"""Operators that onnxruntime does not have: which a model uses, and how its sessions get them."""

from functools import cache
from weakref import WeakKeyDictionary

import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import InlinePass
from onnxruntime.capi import onnxruntime_pybind11_state

from edgeonnx.extensions import DOMAINS, library_path, uses_extensions
from edgeonnx.libraries.given import UNKNOWN, given_libraries
from edgeonnx.runtime._platform import this_platform

_STANDARD = ("", "ai.onnx")

# What sessions' options name already: onnxruntime refuses a library twice, and does not tell which it knows.
_registered: WeakKeyDictionary[ort.SessionOptions, set[str]] = WeakKeyDictionary()


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
    theirs = [name for name, node in foreign_operators(model).items() if node.domain in DOMAINS]
    return not all(any(library.has(name) for library in here) for name in theirs)


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
    if UNKNOWN not in str(error):
        return None
    for name, node in foreign_operators(model).items():
        if f"{name.replace('::', ':')}(" in str(error):
            return f"{at_node(name, node)}: {lacking(this_platform())}"
    return None


def inline_custom(model: ir.Model) -> bool:
    """Inline the functions of a model where one holds a custom operator, whose types onnxruntime can't tell there.

    Returns:
        Whether the model was changed.
    """
    foreign = foreign_operators(model) if model.functions else {}
    inside = {f"{node.domain}::{node.op_type}" for part in model.functions.values() for node in part.all_nodes()}
    if not inside & set(foreign):
        return False
    InlinePass()(model)
    model.functions.clear()
    return True


def at_node(operator: str, node: ir.Node) -> str:
    """A node of an operator, for people."""
    return f"node {node.name!r} is the custom operator {operator}" if node.name else f"the custom operator {operator}"


def lacking(platform: str) -> str:
    """Why no library that was given has an operator on a platform, and what mends it."""
    given = sorted({name for library in given_libraries() for name in library.platforms})
    if not given:
        return "no library that has it was given; give one with --custom-op LIB.so"
    if platform in given:
        names = ", ".join(library.path.name for library in given_libraries(platform))
        return f"expected it in {names}, which lacks it; give the library that has it with --custom-op too"
    return (
        f"expected a library for {platform}, got those for {', '.join(given)}; build it for {platform} and give it "
        "with --custom-op too"
    )


@cache
def _known_operators() -> frozenset[str]:
    """The operators that this onnxruntime has by itself."""
    schemas = onnxruntime_pybind11_state.get_all_operator_schema()
    return frozenset(f"{schema.domain}::{schema.name}" for schema in schemas)
