"""Cuts and seams between a model's graph and its pipeline's nodes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.model import Model, TensorSpec
from edgeonnx.names import all_values
from edgeonnx.pipeline.builder import Builder, element_type


@dataclass(frozen=True)
class Before:
    """Preprocessing, written: the joined model's inputs, the nodes, and what they hand on.

    Attributes:
        inputs: in the order of `entries`.
        nodes: in the order they run.
        feeds: the model's input -> its value; those that the spec does not declare are missing.
        notes: `SOURCE.KIND` -> its value.
        opset: the oldest that has all operators.
    """

    inputs: list[ir.Value]
    nodes: list[ir.Node]
    feeds: dict[str, ir.Value]
    notes: dict[str, ir.Value]
    opset: int


def connect_inputs(
    graph: ir.Graph, model: Model, before: Before, outputs: dict[str, ir.Value], prefix: str
) -> list[ir.Node]:
    """Put what preprocessing makes in place of the declared inputs.

    Args:
        graph: the model's.
        model: as it was given.
        before: its preprocessing.
        outputs: the model's, by name; those that are a declared input are replaced.
        prefix: begins the names of nodes.

    Returns:
        The nodes that run before the model's.
    """
    own = {str(value.name): value for value in graph.inputs}
    end = Builder(f"{prefix}.end")
    graph.outputs.clear()
    for tensor in model.inputs:
        if tensor.name in before.feeds:
            for name in [name for name, value in outputs.items() if value is own[tensor.name]]:
                outputs[name] = named(end, before.feeds[tensor.name], name, tensor)
            own[tensor.name].replace_all_uses_with(before.feeds[tensor.name])
    hidden = [value for name, value in own.items() if name not in {tensor.name for tensor in model.inputs}]
    passed = set(own) - set(before.feeds)
    graph.inputs[:] = [own[str(v.name)] if v.name in passed else v for v in before.inputs] + hidden
    return [*before.nodes, *end.nodes]


def insert(graph: ir.Graph, before: Sequence[ir.Node], after: Sequence[ir.Node]) -> None:
    """Put the nodes of a pipeline around a graph's own, without those whose values nobody takes."""
    results = set(graph.outputs)
    dead = set()
    for node in (*reversed(after), *reversed(before)):
        if not any(value.uses() or value in results for value in node.outputs):
            dead.add(node)
            for index in range(len(node.inputs)):
                node.replace_input_with(index, None)
    first = [node for node in before if node not in dead]
    if len(graph):
        graph.insert_before(graph[0], first)
    else:
        graph.extend(first)
    graph.extend(node for node in after if node not in dead)


def rename(graph: ir.Graph, keep: set[ir.Value]) -> None:
    """Name values of the model apart from those of the joined model's inputs and outputs."""
    taken = {str(value.name) for value in keep}
    values = list(dict.fromkeys(all_values(graph)))
    used = taken | {str(value.name) for value in values}
    for value in values:
        if value.name in taken and value not in keep:
            name = f"{value.name}.raw"
            while name in used:
                name += "."
            used.add(name)
            value.name = name


def free_prefix(graph: ir.Graph) -> str:
    """What no name in the graph begins with: a model may have been joined to a pipeline before."""
    names = {value.name or "" for value in all_values(graph)} | {node.name or "" for node in graph.all_nodes()}
    prefix = "pipeline"
    while any(name.startswith(f"{prefix}.") for name in names):
        prefix += "_"
    return prefix


def named(build: Builder, value: ir.Value, name: str, tensor: TensorSpec) -> ir.Value:
    """`value` under another name, with the type and shape of `tensor`."""
    seam = build.result(value, name, tensor.dtype, tensor.shape or ())
    if tensor.shape is None:
        seam.shape = None
    return seam


def as_value(tensor: TensorSpec) -> ir.Value:
    """An input of a graph."""
    shape = None if tensor.shape is None else ir.Shape(tensor.shape)
    return ir.Value(name=tensor.name, type=ir.TensorType(element_type(tensor.dtype)), shape=shape)


def fix_batch(outputs: Iterable[ir.Value], model: Model, before: Before) -> None:
    """Outputs whose free batch is that of a declared input, and of none that is left, come one at a time too."""
    fixed = {name for name, feed in before.feeds.items() if not feed.shape or isinstance(feed.shape[0], int)}
    batches = {t.shape[0] for t in model.inputs if t.name in fixed and t.shape} - {None, 1}
    left = {size.value for value in before.inputs if value.shape for size in value.shape if not isinstance(size, int)}
    for output in outputs:
        if output.shape and not isinstance(output.shape[0], int) and output.shape[0].value in batches - left:
            output.shape = ir.Shape([1, *output.shape[1:]])
