"""How labels pass through operators that only move elements: they are run on the labels themselves.

One rule serves Reshape, Transpose, Split, Gather, DepthToSpace and all others, of any opset: whatever they do with
values they do with names of values.
"""

import numpy as np
import onnx
import onnx_ir as ir

from edgeonnx.graph import constant, operand
from edgeonnx.model import Model, session_options
from edgeonnx.prune.labels import Array, varying
from edgeonnx.prune.trace import Trace, is_weight

# Operator -> how many of its inputs are moved, from the first on; the others say how.
OPERATORS = {
    **dict.fromkeys(("Concat",), None),
    **dict.fromkeys(("DepthToSpace", "Expand", "Flatten", "Gather", "Pad", "Reshape", "Slice", "SpaceToDepth"), 1),
    **dict.fromkeys(("Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"), 1),
}
# Kernels of all of these take it, and it holds whole numbers up to 2**53.
_TYPE = ir.DataType.DOUBLE


def movement(node: ir.Node, trace: Trace) -> None:
    """Run the node on labels; they become those of its outputs."""
    moved = OPERATORS[node.op_type]
    data = [value for value in node.inputs[:moved] if value is not None]
    labels = [np.zeros(trace.shape(v), np.int64) if is_weight(v) else trace.of(v) for v in data]
    if not any(array.any() for array in labels):
        return
    if node.op_type == "Gather" and not _constant(node.inputs[1], trace):
        trace.put(data[0], trace.labels.level(trace.of(data[0]), node.attributes.get_int("axis", 0)))
        labels = [trace.of(data[0])]
    elif not _told(node, trace):
        trace.give_up(node, f"{node.name} ({node.op_type}) moves channels in a way that can't be told or cut")
        return
    for output, array in zip(node.outputs, _run(node, data, labels, trace), strict=True):
        trace.put(output, array)


def _told(node: ir.Node, trace: Trace) -> bool:
    """Whether it is written down how the node moves, in a way that holds, corrected, for fewer channels too."""
    how = node.inputs[OPERATORS[node.op_type] or len(node.inputs) :]
    if node.op_type == "Slice":
        steps = operand(node, 4)
        return all(value is None or is_weight(value) for value in how) and (steps is None or _all_ones(steps))
    if node.op_type == "Gather":
        return how[0] is not None and is_weight(how[0]) and len(trace.shape(how[0])) < 2
    if node.op_type == "Split":
        return all(value is None or is_weight(value) for value in how)
    return all(_constant(value, trace) for value in how)


def _all_ones(value: ir.Value) -> bool:
    array = constant(value)
    return array is not None and bool((array == 1).all())


def _constant(value: ir.Value | None, trace: Trace) -> bool:
    return value is None or is_weight(value) or (value.name in trace.static and value.name in trace.known)


def _border(node: ir.Node, data: ir.Value, labels: Array, trace: Trace) -> dict[str, ir.Attr]:
    """What is padded around the positions of a channel belongs to it; what is padded beside channels is no channel."""
    if node.op_type != "Pad":
        return {}
    before, after = trace.shape(data), trace.shape(node.outputs[0])
    beside = any(before[axis] != after[axis] for axis in varying(labels))
    return {"mode": ir.AttrString("mode", "constant" if beside else "edge")}


def _run(node: ir.Node, data: list[ir.Value], labels: list[Array], trace: Trace) -> list[Array]:
    """The node's outputs, given labels in place of values."""
    feeds = {
        f"in{index}": _operand(value, labels[index] if index < len(data) else None, trace)
        for index, value in enumerate(node.inputs)
        if value is not None
    }
    if node.op_type == "Pad" and "in2" in feeds:
        feeds["in2"] = np.zeros((), np.float64)  # what is padded with is no channel
    given = {
        name: ir.Value(name=name, type=ir.TensorType(ir.DataType.from_numpy(array.dtype)), shape=ir.Shape(array.shape))
        for name, array in feeds.items()
    }
    attributes = {**node.attributes, **_border(node, data[0], labels[0], trace)}
    inputs = [given.get(f"in{index}") for index in range(len(node.inputs))]
    again = ir.Node("", node.op_type, inputs, list(attributes.values()), num_outputs=len(node.outputs), name="move")
    for index, output in enumerate(again.outputs):
        output.name, output.type = f"out{index}", ir.TensorType(_TYPE)
    assert node.graph is not None
    opset = node.graph.opset_imports.get("", 0)
    graph = ir.Graph(list(given.values()), again.outputs, nodes=[again], opset_imports={"": opset}, name="labels")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    session = Model(ir.Model(graph, ir_version=version)).session(session_options(optimize=False))
    return [np.asarray(array).astype(np.int64) for array in session.run(None, feeds)]


def _operand(value: ir.Value, labels: Array | None, trace: Trace) -> np.ndarray:
    if labels is not None:
        return np.broadcast_to(labels, trace.shape(value)).astype(np.float64)
    array = constant(value)
    return trace.known[value.name or ""] if array is None else array
