"""Operators said in others: the bodies that ONNX's own schemas define for many."""

import itertools
from typing import Any

import onnx
import onnx_ir as ir

from edgeonnx.optimize.older.fit import NoForm, default_of, schema_of

_DOMAIN = "edgeonnx.body"


def expand(model: ir.Model, node: ir.Node, opset: int) -> None:
    """Make a node a call of a function that is its operator's body; inlining is left to the caller.

    Args:
        model: gets the function.
        node: with types and shapes of its inputs, which some bodies go by.
        opset: that of the model; body and model must mean the same by every operator.

    Raises:
        NoForm: the operator has no body, or none for a node like this.
    """
    schema = schema_of(node.op_type, opset)
    body = None if schema is None else _body(schema, node, opset)
    if schema is None or body is None:
        raise NoForm("it is not defined by other operators")
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for attribute in node.attributes.values()
    ):
        raise NoForm("its body can't be inlined around a subgraph")
    _give_all_outputs(body, node)
    function = ir.serde.deserialize_function(body)
    for inner in function.all_nodes():
        if not _same(inner, function.opset_imports.get("", opset), opset):
            raise NoForm(f"its body's {inner.op_type} is of opset {function.opset_imports.get('')}")
    for name in schema.attributes:
        if name not in node.attributes and default_of(schema, name) is not None:
            node.attributes[name] = ir.serde.deserialize_attribute(schema.attributes[name].default_value)
    function.opset_imports.clear()
    function.opset_imports[""] = opset
    free = (f"{node.op_type}_{number}" for number in itertools.count())
    name = next(name for name in free if (_DOMAIN, name, "") not in model.functions)
    function.domain, function.name, function.overload = _DOMAIN, name, ""
    node.domain, node.op_type, node.overload = _DOMAIN, name, ""
    model.functions[function.identifier()] = function


def _body(schema: Any, node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    """The newest body that is not newer than the model; of a schema whose stubs leave bodies out."""
    found = onnx.FunctionProto()
    if versions := [version for version in schema.function_opset_versions if version <= opset]:
        found.ParseFromString(schema.get_function_with_opset_version(max(versions)))
        return found
    if versions := [version for version in schema.context_dependent_function_opset_versions if version <= opset]:
        types = [onnx.TypeProto() if value is None else _type(value) for value in node.inputs]
        context = (ir.to_proto(node).SerializeToString(), [kind.SerializeToString() for kind in types])
        found.ParseFromString(schema.get_context_dependent_function_with_opset_version(max(versions), *context))
        return found
    return None


def _give_all_outputs(body: onnx.FunctionProto, node: ir.Node) -> None:
    """Have a body make everything that its node lists; of what the node does not ask for, some make nothing."""
    del body.output[len(node.outputs) :]
    for index, value in enumerate(node.outputs):
        if not value.name:
            body.output[index] = f"edgeonnx.unread.{index}"
            body.node.append(onnx.helper.make_node("Constant", [], [body.output[index]], value_int=0))


def _type(value: ir.Value) -> onnx.TypeProto:
    return ir.to_proto(value).type if value.type is not None else onnx.TypeProto()


def _same(node: ir.Node, one: int, other: int) -> bool:
    """Whether two operator sets mean the same by a node's operator."""
    first, second = schema_of(node.op_type, one), schema_of(node.op_type, other)
    return first is not None and second is not None and first.since_version == second.since_version
