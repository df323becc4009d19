"""Small questions about a graph, and edits to its constants, that several stages share."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.convenience import replace_all_uses_with
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.model import Model

STANDARD = ("", "ai.onnx")


def constant(value: ir.Value | None) -> np.ndarray | None:
    """The array of an initializer; None for anything else."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def sizes_of(value: ir.Value | None) -> list[int] | None:
    """A shape whose every dimension is a number; None where it is not known."""
    if value is None or value.shape is None:
        return None
    found = [size for size in value.shape if isinstance(size, int)]
    return found if len(found) == len(value.shape) else None


def operand(node: ir.Node, index: int) -> ir.Value | None:
    """An input of a node; None if it is left out."""
    return node.inputs[index] if index < len(node.inputs) else None


def set_constant(node: ir.Node, index: int, array: np.ndarray) -> ir.Value:
    """Give a node another constant at `index`; other readers of the old one keep it.

    An input that the node does not have yet is added, empty ones before it.
    """
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    old = operand(node, index)
    tensor = ir.tensor(np.ascontiguousarray(array))
    if old is not None and old.is_initializer() and len(old.uses()) == 1 and not old.is_graph_output():
        old.const_value = tensor
        old.shape, old.type = ir.Shape(array.shape), ir.TensorType(tensor.dtype)
        return old
    value = new_constant(graph, f"{node.name}.{index}", array)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
    if old is not None and old.is_initializer() and not old.uses() and not old.is_graph_output():
        del graph.initializers[old.name or ""]
    return value


def new_constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """A new initializer, named after `name`."""
    tensor = ir.tensor(np.ascontiguousarray(array))
    value = ir.Value(
        name=free_name(graph, name), shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    graph.register_initializer(value)
    return value


def free_name(graph: ir.Graph, name: str) -> str:
    """`name`, or `name` with a number that no value of the graph has."""
    taken = {v.name for n in graph.all_nodes() for v in n.outputs} | {v.name for v in graph.inputs}
    taken |= set(graph.initializers)
    candidates = (name if not number else f"{name}_{number}" for number in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


def read_by_subgraphs(graph: ir.Graph) -> set[str]:
    """Names of values that bodies of If, Loop and Scan read: what they do with them is not followed."""
    inner = [node for subgraph in graph.subgraphs() for node in subgraph]
    outputs = [value for subgraph in graph.subgraphs() for value in subgraph.outputs]
    return {v.name or "" for v in [*(v for node in inner for v in node.inputs), *outputs] if v is not None}


def read_by(node: ir.Node) -> set[str]:
    """Names of the values that a node reads, those that its bodies take from outside and their own among them."""
    graphs = [a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]
    graphs += [graph for a in node.attributes.values() if a.type == ir.AttributeType.GRAPHS for graph in a.as_graphs()]
    inner = [value for graph in graphs for one in graph.all_nodes() for value in one.inputs]
    outputs = [value for graph in graphs for value in graph.outputs]
    return {value.name or "" for value in (*node.inputs, *inner, *outputs) if value is not None}


def axes_of(node: ir.Node) -> list[int] | None:
    """The axes of a reduction, attribute or constant input; None if they can't be told or are all of them."""
    found = node.attributes.get("axes")
    if found is not None:
        return [int(axis) for axis in found.as_ints()]
    array = constant(operand(node, 1))
    return None if array is None or not array.size else [int(axis) for axis in array]


def values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    """Inputs and results of the main graph."""
    return {v.name or "": v for v in [*graph.inputs, *(o for node in graph for o in node.outputs)]}


def with_outputs(model: Model, names: Iterable[str]) -> Model:
    """A copy whose outputs are these tensors, without what they do not need: onnxruntime would run it all."""
    copy = model.copy()
    values = values_by_name(copy.ir.graph)
    end_at(copy.ir, [values[name] for name in names])
    return copy


def between(model: Model, given: Mapping[str, np.ndarray], names: Iterable[str]) -> Model:
    """A copy that computes some tensors from others: the part of the graph that lies between them.

    Args:
        model: any.
        given: tensors that it is to be fed, inner ones too, by name, each as it may look; ranks and types count.
        names: of its outputs, none of them given.
    """
    copy = model.copy()
    graph, values = copy.ir.graph, values_by_name(copy.ir.graph)
    graph.outputs[:] = [values[name] for name in names]
    for name, array in given.items():
        made = values.get(name)
        if made is not None and made.producer() is not None:
            fed = ir.Value(name=name, shape=ir.Shape([None] * array.ndim))
            fed.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            replace_all_uses_with(made, fed)
            made.name = free_name(graph, name)
            graph.inputs.append(fed)
    _keep_only_what_is_needed(graph)
    return copy


def _keep_only_what_is_needed(graph: ir.Graph) -> None:
    """Take out nodes, weights and inputs that no output needs, in place; what bodies read counts as read."""
    needed, others = {value.name or "" for value in graph.outputs}, []
    for node in reversed(graph):
        if needed.intersection(value.name or "" for value in node.outputs):
            needed |= read_by(node) - {""}
        else:
            others.append(node)
    graph.remove(others)
    for name in set(graph.initializers) - needed:
        del graph.initializers[name]
    graph.inputs[:] = [value for value in graph.inputs if value.name in needed]


def end_at(model: ir.Model, outputs: list[ir.Value]) -> None:
    """Have a model return these values and compute nothing else, in place."""
    model.graph.outputs.clear()
    model.graph.outputs.extend(outputs)
    RemoveUnusedNodesPass()(model)
