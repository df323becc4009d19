"""Follow channels through a graph: from the weights that make them to all that must go with them.

One rule an operator, in the table below; an operator that is not in it takes its inputs as they are, so that what it
reads can't be pruned, and the reason is remembered. So with what leaves the graph, and what bodies of If, Loop and Scan
read.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, axes_of, operand, read_by_subgraphs
from edgeonnx.prune import arithmetic, attention, einsum, elementwise, movement, recurrent
from edgeonnx.prune.labels import Array, Labels, varying
from edgeonnx.prune.trace import Role, Shape, Trace, is_weight, more_used, spread

Rule = Callable[[ir.Node, Trace], None]


def follow(model: ir.Model, shapes: Mapping[str, Shape], known: Mapping[str, np.ndarray]) -> Trace:
    """Label every tensor of the main graph.

    Args:
        model: float, of opset 13 or newer, every tensor named.
        shapes: name of a tensor -> its shape on a sample.
        known: name -> value on the sample, of small tensors of integers.
    """
    trace = Trace(Labels(), shapes, known)
    captured = read_by_subgraphs(model.graph)
    for node in model.graph:
        _visit(node, trace)
        for value in node.outputs:
            if value.name in captured:
                trace.labels.fix(trace.values.get(value.name, np.zeros(1, np.int64)), f"a subgraph reads {value.name}")
    for value in model.graph.outputs:
        if value.name in trace.values:
            trace.labels.fix(trace.values[value.name], f"it is the model's output {value.name}")
    _fix_shared(model.graph, trace)
    _settle(trace)
    _fix_unread(trace)
    return trace


def _visit(node: ir.Node, trace: Trace) -> None:
    read = [value for value in node.inputs if value is not None]
    if node.op_type in _SHAPES or all(is_weight(value) or value.name in trace.static for value in read):
        trace.static |= {value.name for value in node.outputs if value.name}
    rule = _RULES.get(node.op_type) if node.domain in STANDARD else None
    plain = all(is_weight(value) or value.name in trace.shapes for value in read)
    labelled = rule in _MAKERS or any(value.name in trace.values for value in read)
    if node.op_type in _SHAPES or not labelled:
        return
    if rule is None or not plain or any(a.type in _BODIES for a in node.attributes.values()):
        trace.give_up(node)
    else:
        rule(node, trace)


def _fix_shared(graph: ir.Graph, trace: Trace) -> None:
    """A weight can be cut only if every node that reads it is known to bear that."""
    bound: dict[str, set[str]] = {}
    for axis in trace.axes:
        bound.setdefault(axis.weight, set()).add(axis.node)
    for (name, _), labels in trace.weights.items():
        others = {node.name or "" for node, _ in graph.initializers[name].uses()} - bound[name]
        if others:
            trace.labels.fix(labels, f"{', '.join(sorted(others))} reads {name} too")


def _settle(trace: Trace) -> None:
    """See that what is left of every tensor is a tensor: its labels differ along one axis, and are not all one."""
    moved = True
    while moved:
        moved = False
        for name, labels in trace.values.items():
            compact = trace.labels.compact(labels)
            axes = varying(compact)
            if len(axes) > 1:
                widest = max(axes, key=lambda axis: compact.shape[axis])
                part = f"no weight makes a part of {name}"
                for axis in axes:
                    compact = compact if axis == widest else trace.labels.level(compact, axis, part)
                moved = True
            trace.values[name] = compact
    for name, labels in [*trace.values.items(), *((name, found) for (name, _), found in trace.weights.items())]:
        roots = np.unique(trace.labels.roots(labels))
        if len(roots) == 1:
            trace.labels.fix(roots, f"all of {name} goes together")


def _fix_unread(trace: Trace) -> None:
    """Channels that tensors are summed over can go only if a weight reads them too, which then gives them up."""
    read = [trace.labels.roots(trace.weights[a.weight, a.axis]) for a in trace.axes if a.role is Role.READS]
    for labels, node in trace.summed:
        unread = np.setdiff1d(trace.labels.roots(labels), np.concatenate([*read, [0]]))
        trace.labels.fix(unread, f"{node} sums over it, and no weight does: as over the width of queries and keys")


def _by_axis(node: ir.Node, trace: Trace, axes: Sequence[int]) -> Array:
    """Labels of a node's first input after those along axes that it works along were fixed."""
    data = node.inputs[0]
    assert data is not None
    labels, why = trace.of(data), f"{node.name} ({node.op_type}) works along it"
    for axis in {axis % labels.ndim for axis in axes}:
        if labels.shape[axis] > 1 and len(varying(labels)) > 1:
            labels = trace.labels.level(labels, axis)
        elif labels.shape[axis] > 1:
            trace.labels.fix(labels, why)
            labels = trace.labels.stuck(why).reshape((1,) * labels.ndim)
    return labels


def _along_axis(node: ir.Node, trace: Trace) -> None:
    """Softmax and others that work along one axis and keep the shape."""
    trace.put(node.outputs[0], _by_axis(node, trace, [node.attributes.get_int("axis", -1)]))


def _over_axes(node: ir.Node, trace: Trace) -> None:
    """Normalizations over axes that are an attribute, which keep the shape."""
    trace.put(node.outputs[0], _by_axis(node, trace, node.attributes.get_ints("axes", [0, 2, 3])))


def _to_the_end(node: ir.Node, trace: Trace) -> None:
    """Normalizations over all axes from one on, with weights that have these axes."""
    data = node.inputs[0]
    assert data is not None
    rank = len(trace.shape(data))
    axes = list(range(node.attributes.get_int("axis", -1) % rank, rank))
    trace.put(node.outputs[0], _by_axis(node, trace, axes))


def _reduce(node: ir.Node, trace: Trace) -> None:
    data = node.inputs[0]
    assert data is not None
    rank, axes = len(trace.shape(data)), axes_of(node)
    if operand(node, 1) is not None and not is_weight(operand(node, 1)):
        trace.give_up(node)
        return
    if axes is None and node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        axes = []
    gone = sorted({axis % rank for axis in (range(rank) if axes is None else axes)})
    labels = _by_axis(node, trace, gone)
    kept = node.attributes.get_int("keepdims", 1)
    trace.put(
        node.outputs[0], labels if kept else labels.reshape([s for a, s in enumerate(labels.shape) if a not in gone])
    )


def _spatial(node: ir.Node, trace: Trace) -> None:
    """Pooling and Resize: each channel by itself, positions among each other."""
    data, output = node.inputs[0], node.outputs[0]
    assert data is not None
    rank = len(trace.shape(data))
    if rank < 2 or trace.shape(data)[:2] != trace.shapes[output.name or ""][:2] or more_used(node):
        trace.give_up(node)
        return
    trace.put(output, spread(trace.along(data, 1), rank, 1))


def _gather(node: ir.Node, trace: Trace) -> None:
    (arithmetic.embedding if is_weight(node.inputs[0]) else movement.movement)(node, trace)


_SHAPES = ("Shape", "Size")
_BODIES = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(elementwise.OPERATORS, elementwise.elementwise),
    **dict.fromkeys(movement.OPERATORS, movement.movement),
    "Attention": attention.attention,
    "BatchNormalization": arithmetic.by_channel,
    "Conv": arithmetic.conv,
    "ConvTranspose": arithmetic.conv_transpose,
    "Einsum": einsum.einsum,
    "Gather": _gather,
    "Gemm": arithmetic.gemm,
    "GroupNormalization": arithmetic.by_group,
    "InstanceNormalization": arithmetic.by_channel,
    "MatMul": arithmetic.matmul,
    **dict.fromkeys(("GRU", "LSTM", "RNN"), recurrent.recurrent),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "LpNormalization", "Softmax"), _along_axis),
    "MeanVarianceNormalization": _over_axes,
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _to_the_end),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"), _reduce),
    **dict.fromkeys(("ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"), _reduce),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), _spatial),
    **dict.fromkeys(("LpPool", "MaxPool", "Resize", "Upsample"), _spatial),
}  # fmt: skip
# These make channels of inputs that have none.
_MAKERS = (
    *(arithmetic.conv, arithmetic.conv_transpose, arithmetic.gemm, arithmetic.matmul),
    *(einsum.einsum, recurrent.recurrent, _gather),
)
