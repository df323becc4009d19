"""Which tensors are worth observing: what breaks a fused operator apart to look at a tensor that vanishes is wasted."""

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant
from edgeonnx.model import Model

# Activations that the QDQ writer replaces by the quantization of what they read.
_VANISHING = ("Relu", "Clip")


def needed_tensors(model: Model, nodes: Collection[str]) -> tuple[str, ...]:
    """The float activations that quantized nodes read or write, without those that vanish.

    A tensor vanishes when all that reads it is a Relu or Clip: its values beyond the activation's range are cut, so
    it is quantized to the activation's range. `calibrate` gives it that range.

    Args:
        model: normalized.
        nodes: names of the nodes to quantize, as `Placement.quantized`.

    Returns:
        Names in topological order, each once.
    """
    quantized = set(nodes)
    found: dict[str, None] = {}
    for node in model.ir.graph:
        if node.name not in quantized:
            continue
        for value in _activations(node):
            activation = _read_by_activation(value)
            if activation is None or activation.name not in quantized:
                found[value.name or ""] = None
    return tuple(found)


def vanishing(model: Model, tensors: Collection[str]) -> Mapping[str, tuple[str, float]]:
    """Tensors that vanish into one of `tensors`: name -> (that one's name, the value above which they are cut)."""
    wanted = set(tensors)
    found = {}
    for node in model.ir.graph:
        for value in _activations(node):
            activation = _read_by_activation(value)
            if activation is not None and value.name not in wanted and activation.outputs[0].name in wanted:
                ceiling = constant(activation.inputs[2]) if len(activation.inputs) > 2 else None
                cut = np.inf if ceiling is None else float(np.ravel(ceiling)[0])
                found[value.name or ""] = (activation.outputs[0].name or "", cut)
    return found


def _activations(node: ir.Node) -> Iterator[ir.Value]:
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.name and value.const_value is None and value.dtype == ir.DataType.FLOAT:
            yield value


def _read_by_activation(value: ir.Value) -> ir.Node | None:
    """The Relu or Clip that is all that reads a node's result."""
    uses = tuple(value.uses())
    if value.producer() is None or value.is_graph_output() or len(uses) != 1:
        return None
    reader = uses[0].node
    return reader if reader.op_type in _VANISHING and uses[0].idx == 0 and reader.graph is value.graph else None
