"""How labels pass through recurrent layers: a hidden unit is a channel, the same one in both directions.

Its weights are W of shape (directions, gates * hidden, inputs), R (directions, gates * hidden, hidden), B (directions,
2 * gates * hidden), P (directions, 3 * hidden); https://onnx.ai/onnx/operators/onnx__LSTM.html
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, operand
from edgeonnx.prune.movement import OPERATORS
from edgeonnx.prune.trace import Role, Trace, is_weight, spread

# Inputs that are the states before the first step.
STATES = (5, 6)
_BIAS, _PEEPHOLES = 3, 7


def recurrent(node: ir.Node, trace: Trace) -> None:
    """RNN, GRU and LSTM: sums over what they read and over what they gave a step before."""
    data, weight, own = node.inputs[:3]
    vectors = [value for index in (_BIAS, _PEEPHOLES) if (value := operand(node, index)) is not None]
    if data is None or weight is None or own is None or not all(map(is_weight, (weight, own, *vectors))):
        trace.give_up(node, f"{node.name} ({node.op_type}) has weights that are computed")
        return
    hidden = trace.shape(own)[2]
    made = trace.labels.fresh(hidden)
    trace.bind(weight, 2, trace.along(data, -1), Role.READS, node)
    trace.bind(own, 2, made, Role.READS, node)
    trace.bind(weight, 1, np.tile(made, trace.shape(weight)[1] // hidden), Role.MAKES, node)
    for value in (own, *vectors):
        trace.bind(value, 1, np.tile(made, trace.shape(value)[1] // hidden), Role.FOLLOWS, node)
    for index in STATES:
        state = operand(node, index)
        if state is not None and is_weight(state):
            trace.bind(state, -1, made, Role.FOLLOWS, node)
        elif state is not None and not starts_at_zero(state):
            trace.labels.unite(trace.along(state, -1), made, f"no weight makes {state.name}, a state of {node.name}")
    for output in node.outputs:
        if output.name and output.name in trace.shapes:
            trace.put(output, spread(made, len(trace.shapes[output.name]), -1))


def starts_at_zero(value: ir.Value | None) -> bool:
    """Whether a state is zeros, however they are computed: then it need not be given."""
    array, node = constant(value), None if value is None else value.producer()
    if array is not None or node is None:
        return array is not None and not array.any()
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        return fill is None or not fill.as_tensor().numpy().any()
    moved = node.inputs[: OPERATORS[node.op_type]] if node.op_type in OPERATORS else ()
    return bool(moved) and all(starts_at_zero(one) for one in moved)
