"""Compute in float32 what was stored in float16: the CPU has no float16 kernels, and integers take their place.

Rules:
    Every float16 tensor becomes float32: weights, constants in attributes, what nodes compute, in subgraphs too.
    Operators told to make float16 (Cast, RandomNormal, …) make float32.
    Inputs and outputs stay float16, by Casts at the border.
    A model with sequences of float16 among them stays as it is: those have no Cast.
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model

_HALF, _SINGLE = ir.DataType.FLOAT16, ir.DataType.FLOAT
# Attributes that name an element type.
_TYPES = ("to", "dtype", "output_datatype")


def without_half(model: Model) -> Model:
    """The model in float32, by the rules above; the model itself if it has no float16."""
    border = [*model.ir.graph.inputs, *model.ir.graph.outputs]
    if not _has_half(model.ir.graph) or any(_is_half(v) and not isinstance(v.type, ir.TensorType) for v in border):
        return model
    copy = model.copy()
    graph = copy.ir.graph
    outputs = [(index, value) for index, value in enumerate(graph.outputs) if _is_half(value)]
    inputs = [value for value in graph.inputs if _is_half(value)]
    for scope in (graph, *graph.subgraphs()):
        _widen_values([*scope.inputs, *scope.outputs, *scope.initializers.values()])
        for node in scope:
            _widen_values(node.outputs)
            _widen_attributes(node)
    _cast_inputs(graph, [value for value in inputs if not value.is_initializer()])
    _cast_outputs(graph, outputs)
    return Model(copy.ir)


def _has_half(graph: ir.Graph) -> bool:
    scopes = [graph, *graph.subgraphs()]
    values = [v for s in scopes for v in (*s.inputs, *s.initializers.values(), *(o for n in s for o in n.outputs))]
    attributes = (attribute for node in graph.all_nodes() for attribute in node.attributes.values())
    return any(map(_is_half, values)) or any(map(_makes_half, attributes))


def _is_half(value: ir.Value) -> bool:
    return value.dtype == _HALF


def _makes_half(attribute: ir.Attr) -> bool:
    if attribute.type == ir.AttributeType.TENSOR:
        return bool(attribute.as_tensor().dtype == _HALF)
    return attribute.name in _TYPES and attribute.type == ir.AttributeType.INT and attribute.as_int() == _HALF


def _widen_values(values: Iterable[ir.Value]) -> None:
    for value in values:
        if not _is_half(value):
            continue
        if value.const_value is not None:
            value.const_value = _widened(value.const_value)
        value.type = _single(value.type)


def _single(kind: ir.TypeProtocol | None) -> ir.TypeProtocol:
    """The type with float32 in place of float16; a new one, since copies of a model share theirs."""
    if isinstance(kind, (ir.SequenceType, ir.OptionalType)):
        return type(kind)(_single(kind.elem_type))
    return ir.TensorType(_SINGLE)


def _widen_attributes(node: ir.Node) -> None:
    for name, attribute in list(node.attributes.items()):
        if not _makes_half(attribute):
            continue
        if attribute.type == ir.AttributeType.TENSOR:
            node.attributes[name] = ir.AttrTensor(name, _widened(attribute.as_tensor()))
        else:
            node.attributes[name] = ir.AttrInt64(name, int(_SINGLE))


def _widened(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(np.float32), name=tensor.name)


def _cast_inputs(graph: ir.Graph, inputs: list[ir.Value]) -> None:
    """Readers of an input read its Cast to float32."""
    for value in inputs:
        readers = list(value.uses())
        value.type = ir.TensorType(_HALF)
        cast = _cast(value, _SINGLE, f"{value.name}.float32")
        for node, index in readers:
            node.replace_input_with(index, cast.outputs[0])
        if len(graph):
            graph.insert_before(graph[0], [cast])
        else:
            graph.append(cast)


def _cast_outputs(graph: ir.Graph, outputs: list[tuple[int, ir.Value]]) -> None:
    """An output is the Cast to float16 of what is computed now; of one that is returned twice there is one Cast."""
    casts: dict[ir.Value, ir.Node] = {}
    for index, value in outputs:
        if value.is_graph_input() and not value.is_initializer():
            continue  # passed through, float16 still
        if value not in casts:
            name, value.name = value.name, f"{value.name}.float32"
            casts[value] = _cast(value, _HALF, name or "")
            graph.append(casts[value])
        graph.outputs[index] = casts[value].outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    node = ir.node("Cast", [value], {"to": int(dtype)}, name=name)
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = name, ir.TensorType(dtype), value.shape
    return node
