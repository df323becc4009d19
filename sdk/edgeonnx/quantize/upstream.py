"""Conversions where providers want them that fuse by themselves: before what takes integers, and nowhere else.

OpenVINO and TensorRT move a Dequantize down through a graph and fuse activations, bias and a residual sum into the
node that computes them. What an operator gives is rounded by the conversion before the next one that takes integers;
a second one behind the operator would stand between it and what is to be fused.
"""

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.model import Model
from edgeonnx.names import all_values, fresh


def convert_upstream(
    model: Model, computing: frozenset[str], joining: frozenset[str], passing: frozenset[str]
) -> Model:
    """Leave conversions before operators alone, as far up as they can stand.

    Args:
        model: with Quantize and Dequantize at inputs of quantized nodes, none at their outputs.
        computing: operators that a sum is fused into.
        joining: operators that combine two tensors: the one that a computing node gives is left unrounded.
        passing: operators that give values of their input unchanged, which a conversion may be moved across.
    """
    copy = model.copy()
    for node in list(copy.ir.graph):
        if node.op_type in joining:
            _free_fused_input(node, computing)
    _drop_unread(copy.ir)
    used = {value.name or "" for value in all_values(copy.ir.graph)}
    for node in reversed(list(copy.ir.graph)):
        if node.op_type == "QuantizeLinear":
            _move_up(node, passing, used)
    return Model(copy.ir)


def _free_fused_input(node: ir.Node, computing: frozenset[str]) -> None:
    """Let a sum read what it is fused with as it is: of two computing nodes the later one."""
    order = {maker: place for place, maker in enumerate(node.graph or ())}
    found: list[tuple[int, int, ir.Value]] = []
    for index, value in enumerate(node.inputs):
        source = _rounded(value)
        maker = None if source is None else source.producer()
        if source is not None and maker is not None and maker.op_type in computing and _readers(source) == 1:
            found.append((order[maker], index, source))
    if found:
        _, index, source = max(found, key=lambda entry: entry[:2])
        node.replace_input_with(index, source)


def _move_up(quantize: ir.Node, passing: frozenset[str], used: set[str]) -> None:
    """Move a conversion in front of the nodes that only pass values on, while nothing else reads what they give."""
    dequantize = _only_reader(quantize.outputs[0])
    while dequantize is not None and dequantize.op_type == "DequantizeLinear":
        value = quantize.inputs[0]
        passer = None if value is None else value.producer()
        if value is None or passer is None or passer.op_type not in passing or len(passer.outputs) != 1:
            return
        if _readers(value) != 1 or value.is_graph_output() or passer.inputs[0] is None:
            return
        _swap(passer, quantize, dequantize, used)


def _swap(passer: ir.Node, quantize: ir.Node, dequantize: ir.Node, used: set[str]) -> None:
    """`x -> passer -> Q -> DQ -> readers` becomes `x -> Q -> DQ -> passer -> readers`."""
    graph, entry, given = quantize.graph, passer.inputs[0], dequantize.outputs[0]
    assert graph is not None and entry is not None
    given.replace_all_uses_with(passer.outputs[0], replace_graph_outputs=True)
    quantize.replace_input_with(0, entry)
    passer.replace_input_with(0, given)
    for value in (quantize.outputs[0], given):
        value.shape = entry.shape
        value.name = fresh(f"{entry.name}_{'q' if value is not given else 'dq'}", used)
    graph.remove([quantize, dequantize])
    graph.insert_before(passer, [quantize, dequantize])


def _rounded(value: ir.Value | None) -> ir.Value | None:
    """What stands before a Quantize and Dequantize; None for any other value."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return None
    before = node.inputs[0].producer()
    return before.inputs[0] if before is not None and before.op_type == "QuantizeLinear" else None


def _readers(value: ir.Value) -> int:
    return len(value.uses()) + value.is_graph_output()


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def _drop_unread(model: ir.Model) -> None:
    RemoveUnusedNodesPass()(model)
