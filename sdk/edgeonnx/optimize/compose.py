"""Put activations together again that normalizing takes apart, for providers that have a kernel for the whole."""

import math

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.names import all_values, fresh

# What exporters round 1/6 to.
_TOLERANCE = 1e-3


def compose(model: Model, operators: frozenset[str]) -> Model:
    """The same function with `x * HardSigmoid(x)` as HardSwish, where that is among the operators wanted.

    Args:
        model: normalized; of opset 14 or newer, which brought HardSwish (older ones stay as they are).
        operators: what the provider wants whole; only HardSwish is known.
    """
    if "HardSwish" not in operators or model.opset < 14:
        return model
    copy = model.copy()
    used = {value.name or "" for value in all_values(copy.ir.graph)}
    for node in list(copy.ir.graph):
        inner = _hard_sigmoid(node)
        if inner is None:
            continue
        swish = ir.node("HardSwish", [inner.inputs[0]], name=fresh(f"{node.name}_hard_swish", used))
        made, old = swish.outputs[0], node.outputs[0]
        made.type, made.shape, made.name = old.type, old.shape, old.name
        copy.ir.graph.insert_after(node, swish)
        old.replace_all_uses_with(made, replace_graph_outputs=True)
        copy.ir.graph.remove(node, safe=True)
        copy.ir.graph.remove(inner, safe=True)
    return Model(copy.ir)


def _hard_sigmoid(node: ir.Node) -> ir.Node | None:
    """The HardSigmoid that a Mul multiplies its own input with; None where the two are not a hard-swish."""
    if node.op_type != "Mul" or node.domain or len(node.inputs) != 2:
        return None
    for value, other in (node.inputs, node.inputs[::-1]):
        inner = None if value is None else value.producer()
        if inner is None or value is None or inner.op_type != "HardSigmoid" or inner.inputs[0] is not other:
            continue
        slope, offset = inner.attributes.get_float("alpha", 0.2), inner.attributes.get_float("beta", 0.5)
        alone = len(value.uses()) == 1 and not value.is_graph_output()
        if alone and offset == 0.5 and math.isclose(6 * slope, 1, rel_tol=_TOLERANCE):
            return inner
    return None
