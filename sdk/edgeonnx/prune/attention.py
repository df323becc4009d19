"""How labels pass through Attention: a head is a channel, keys' and values' with those of queries that share it.

https://onnx.ai/onnx/operators/onnx__Attention.html: inputs of shape (batch, heads, length, width), or (batch, length,
heads * width) with the numbers of heads as attributes.
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import operand
from edgeonnx.prune.labels import Array
from edgeonnx.prune.trace import Role, Trace, is_weight, spread

# The attribute that numbers the heads of each input, where they lie along the last axis.
HEADS = ("q_num_heads", "kv_num_heads", "kv_num_heads")
_MASK = 3


def attention(node: ir.Node, trace: Trace) -> None:
    """Scaled dot products, without states that are kept from call to call."""
    inputs, states = node.inputs[:_MASK], [*node.inputs[_MASK + 1 :], *(v for v in node.outputs[1:] if v.name)]
    if any(value is None or is_weight(value) for value in inputs) or any(value is not None for value in states):
        trace.give_up(node)
        return
    why = f"{node.name} (Attention) joins it with what no weight makes"
    queries, keys, values = (_heads(node, v, name, trace, why) for v, name in zip(inputs, HEADS, strict=True) if v)
    trace.labels.unite(keys, values, why)
    trace.labels.unite(queries.reshape(len(keys), -1), keys[:, None], why)
    mask, rank = operand(node, _MASK), len(trace.shapes[node.outputs[0].name or ""])
    if mask is not None and len(trace.shape(mask)) > 2 and trace.shape(mask)[-3] > 1:
        if is_weight(mask):
            trace.bind(mask, -3, queries, Role.FOLLOWS, node)
        else:
            trace.labels.unite(trace.along(mask, -3), queries, why)
    elif mask is not None:
        trace.labels.fix(trace.of(mask), why)
    size = trace.shapes[node.outputs[0].name or ""][1 if rank == 4 else 2]
    trace.put(node.outputs[0], spread(np.repeat(queries, size // len(queries)), rank, 1 if rank == 4 else 2))


def _heads(node: ir.Node, data: ir.Value, attribute: str, trace: Trace, why: str) -> Array:
    """Labels of an input's heads, after all of one head were made the same; shape (heads,)."""
    if len(trace.shape(data)) == 4:
        return trace.along(data, 1)
    grid = trace.along(data, 2).reshape(node.attributes.get_int(attribute), -1)
    trace.labels.unite(grid, grid[:, :1], why)
    return grid[:, 0]
