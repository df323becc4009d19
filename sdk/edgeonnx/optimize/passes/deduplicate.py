"""Compute the same thing once, and keep it once.

Rules:
    Initializers of one graph that are equal to the bit (-0 is not 0) become one.
    Nodes of one graph that apply the same operator, with the same attributes, to the same inputs become one.
    Nodes that are random stay apart, and nodes with graphs in them; so does Dequantize: providers want one a reader.
"""

from collections import defaultdict
from collections.abc import Hashable
from hashlib import sha256

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import deterministic, drop, edited, take_place

_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
_APART = {"Constant", "DequantizeLinear"}


def deduplicate(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, lambda made: sum(_weights(graph) + _nodes(graph) for graph in made.graphs()))


def _weights(graph: ir.Graph) -> int:
    alike: dict[Hashable, list[ir.Value]] = defaultdict(list)
    for value in graph.initializers.values():
        tensor = value.const_value
        fixed = not value.is_graph_input() and not value.is_graph_output()
        if tensor is not None and fixed and tensor.dtype != ir.DataType.STRING:
            alike[tensor.dtype, tuple(tensor.shape)].append(value)
    return sum(_equal_weights(graph, values) for values in alike.values() if len(values) > 1)


def _equal_weights(graph: ir.Graph, values: list[ir.Value]) -> int:
    """Of initializers of one type and shape."""
    kept: dict[bytes, ir.Value] = {}
    merged = 0
    for value in values:
        assert value.const_value is not None
        other = kept.setdefault(sha256(value.const_value.tobytes()).digest(), value)
        if other is not value:
            value.replace_all_uses_with(other)
            del graph.initializers[value.name or ""]
            merged += 1
    return merged


def _nodes(graph: ir.Graph) -> int:
    kept: dict[Hashable, ir.Node] = {}
    merged = 0
    for node in list(graph):
        key = _identity(node)
        other = node if key is None else kept.setdefault(key, node)
        if other is not node and _merge(node, other):
            merged += 1
    return merged


def _identity(node: ir.Node) -> Hashable:
    """What two nodes share that compute the same; None for a node that is one of a kind."""
    if not deterministic(node) or node.op_type in _APART:
        return None
    attributes = sorted(node.attributes.values(), key=lambda attribute: attribute.name)
    if any(attribute.type in _GRAPHS or attribute.is_ref() for attribute in attributes):
        return None
    said = tuple((attribute.name, attribute.type, _content(attribute)) for attribute in attributes)
    # An optional result that is left out is one that another node can't read.
    results = tuple(bool(value.name) for value in node.outputs)
    return (node.op_identifier(), tuple(map(id, node.inputs)), results, said)


def _content(attribute: ir.Attr) -> Hashable:
    """An attribute's value, as text that tells 0 from -0."""
    if attribute.type == ir.AttributeType.TENSOR:
        tensor = attribute.as_tensor()
        strings = tensor.dtype == ir.DataType.STRING
        return (tensor.dtype, tuple(tensor.shape), repr(tensor.numpy().tolist()) if strings else tensor.tobytes())
    return repr(attribute.value)


def _merge(node: ir.Node, other: ir.Node) -> bool:
    """Have readers of a node's results read another's; whether all do then."""
    returned = [value for value in node.outputs if value.is_graph_output()]
    if returned and len(node.outputs) > 1:
        return False
    done = all(take_place(new, old) for new, old in zip(other.outputs, node.outputs, strict=True))
    drop([node] if done else [])
    return done
