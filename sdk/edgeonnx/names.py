"""Names that collide with nothing: neither with each other, nor with what stages add to a model.

Rules:
    Inputs and outputs keep their names, which are the model's interface.
    No two nodes of the model have one name: onnxruntime refuses it, and placement goes by names.
    Names change that end as the QDQ writer's do (`w_scale`, `x_QuantizeLinear_Output`) or begin as ours (`edgeonnx.`).
"""

import re
from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

_SUFFIXES = "scale|zero_point|quantized|QuantizeLinear(_Input|_Output)?|DequantizeLinear(_Output)?"
_RESERVED = re.compile(rf"edgeonnx\..*|.*_({_SUFFIXES})(_?\d+)?", re.DOTALL)


def distinct_names(model: ir.Model) -> None:
    """Rename in place, by the rules above."""
    NameFixPass()(model)
    nodes = list(model.graph.all_nodes())
    used = {node.name or "" for node in nodes}
    for node in nodes:
        if reserved(node.name):
            node.name = fresh(node.name or "", used)
    interface = {*model.graph.inputs, *model.graph.outputs}
    values = list(dict.fromkeys(all_values(model.graph)))
    used = {value.name or "" for value in values}
    for value in values:
        if reserved(value.name) and value not in interface:
            value.name = fresh(value.name or "", used)


def name_apart(model: ir.Model) -> bool:
    """Name nodes apart in place if two have one name; whether that was so."""
    names = [node.name for node in model.graph.all_nodes() if node.name]
    return len(set(names)) < len(names) and NameFixPass()(model).modified


def reserved(name: str | None) -> bool:
    """Whether later stages may give this name to what they add."""
    return _RESERVED.fullmatch(name or "") is not None


def fresh(name: str, used: set[str]) -> str:
    """A name like this one that is not reserved, added to those in use."""
    name = f"given.{name}."
    while name in used:
        name += "."
    used.add(name)
    return name


def all_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Every value of a graph and its subgraphs that has a name."""
    for scope in (graph, *graph.subgraphs()):
        yield from (value for value in (*scope.inputs, *scope.initializers.values()) if value.name)
        yield from (value for node in scope for value in node.outputs if value.name)
