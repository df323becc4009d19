"""Whether a provider would take a node, by its operator table: the reason it would not, in words with a number."""

from collections.abc import Callable, Collection
from typing import NamedTuple

import onnx
import onnx.defs
import onnx_ir as ir

from edgeonnx.targets.operators import Limit, Reason, Table

_NO_LIMIT = Limit()
_STANDARD = ("", "ai.onnx")


class Objection(NamedTuple):
    """Why a node is not taken.

    Attributes:
        reason: its kind, by which a rewrite is found.
        text: what was expected and what the node has.
    """

    reason: Reason
    text: str


def operator_name(node: ir.Node) -> str:
    """The operator as tables write it: `Conv`, `com.microsoft::Gelu`."""
    return node.op_type if node.domain in _STANDARD else f"{node.domain}::{node.op_type}"


def judge(
    table: Table, node: ir.Node, opset: int, constant: Collection[ir.Value], grouped: bool = False
) -> Objection | None:
    """Why a node would not be taken; None if it would be.

    Args:
        table: of the provider.
        node: in a graph with shapes and types, as far as they can be inferred; what is not known is no reason.
        opset: version of the standard operator set, for the defaults of attributes.
        constant: the values that do not depend on the model's inputs: see `constants`.
        grouped: whether it stands between Dequantize and Quantize and is taken together with them.
    """
    name = operator_name(node)
    known = table.groups if grouped else table.operators
    if name not in known:
        reason: Reason = "operator" if node.domain in (*_STANDARD, "com.microsoft") else "domain"
        return Objection(reason, f"{table.provider} has no {name}")
    if table.fixed_shapes and (free := _free(node)):
        return Objection("shape", f"{free} has a free dimension, {table.provider} takes fixed ones alone")
    limit = table.limits.get(name, _NO_LIMIT)
    checks: tuple[Callable[[], Objection | None], ...] = (
        lambda: None if grouped else _type(limit.types or table.types, node),
        lambda: _rank(limit, node),
        lambda: _constant(limit, node, constant),
        lambda: _zeros(limit, node),
        lambda: _attributes(limit, node, opset),
        lambda: _outputs(limit, node),
    )
    return next((objection for check in checks if (objection := check()) is not None), None)


def _free(node: ir.Node) -> str | None:
    """The first input or output with a free dimension."""
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.shape is not None and not all(isinstance(size, int) for size in value.shape):
            return value.name
    return None


def _type(types: tuple[str, ...], node: ir.Node) -> Objection | None:
    value = next((value for value in node.inputs if value is not None), None)
    if not types or value is None or value.dtype is None:
        return None
    got = "str" if value.dtype == ir.DataType.STRING else value.dtype.numpy().name
    return None if got in types else Objection("type", f"expected {' or '.join(types)}, got {got}")


def _rank(limit: Limit, node: ir.Node) -> Objection | None:
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    if not limit.ranks or shape is None or len(shape) in limit.ranks:
        return None
    return Objection("rank", f"expected an input of rank {' or '.join(map(str, limit.ranks))}, got {len(shape)}")


def _constant(limit: Limit, node: ir.Node, constant: Collection[ir.Value]) -> Objection | None:
    for index, value in _given(limit.constant, node):
        if value not in constant:
            return Objection("constant", f"expected a constant input {index}, got {value.name}, which is computed")
    return None


def _zeros(limit: Limit, node: ir.Node) -> Objection | None:
    for index, value in _given(limit.zeros, node):
        if value.const_value is not None and value.const_value.numpy().any():
            return Objection("zero", f"expected zeros in input {index}, got others")
    return None


def _attributes(limit: Limit, node: ir.Node, opset: int) -> Objection | None:
    for name, values in limit.attributes.items():
        got = _attribute(node, name, opset)
        if got is None or got in values:
            continue
        shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
        if name == "axis" and shape is not None and int(got) - len(shape) in values:
            continue
        return Objection("attribute", f"expected {name} = {' or '.join(map(str, values))}, got {got}")
    return None


def _attribute(node: ir.Node, name: str, opset: int) -> int | float | str | None:
    """Its value, or ONNX's default; None where there is neither."""
    given = node.attributes.get(name)
    if given is not None:
        value = given.value
        return value if isinstance(value, (int, float, str)) else None
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain or "")
    except onnx.defs.SchemaError:
        return None
    known = schema.attributes.get(name)
    if known is None or not known.default_value.type:
        return None
    default = onnx.helper.get_attribute_value(known.default_value)
    return default.decode() if isinstance(default, bytes) else default


def _outputs(limit: Limit, node: ir.Node) -> Objection | None:
    used = sum(bool(value.uses()) or value.is_graph_output() for value in node.outputs)
    if not limit.outputs or used <= limit.outputs:
        return None
    return Objection("output", f"expected {limit.outputs} outputs in use, got {used}")


def _given(indices: tuple[int, ...], node: ir.Node) -> list[tuple[int, ir.Value]]:
    """Those of its inputs that it has."""
    present = [(index, node.inputs[index]) for index in indices if index < len(node.inputs)]
    return [(index, value) for index, value in present if value is not None]


def constants(graph: ir.Graph) -> frozenset[ir.Value]:
    """The values that do not depend on the model's inputs, such as a weight behind a DequantizeLinear."""
    found = set(graph.initializers.values())
    for node in graph:
        given = [value for value in node.inputs if value is not None]
        if node.op_type == "Constant" or (given and found.issuperset(given) and not node.op_type.startswith("Random")):
            found.update(node.outputs)
    return frozenset(found)
