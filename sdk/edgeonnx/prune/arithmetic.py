"""How labels pass through operators that multiply with weights: they read channels, and make new ones."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import operand
from edgeonnx.prune.elementwise import combined, merged
from edgeonnx.prune.labels import Array, varying
from edgeonnx.prune.trace import Role, Shape, Trace, is_weight, more_used, spread


def conv(node: ir.Node, trace: Trace) -> None:
    """Convolution: dense, by channel (depthwise), or in groups, whose channels of like number go together.

    Weight of shape (outputs, inputs / groups, ...); https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    data, weight = node.inputs[0], node.inputs[1]
    if data is None or weight is None or not is_weight(weight) or len(trace.shape(data)) < 2:
        trace.give_up(node, f"{node.name} ({node.op_type}) has weights that are computed")
        return
    groups, labels = node.attributes.get_int("group", 1), trace.along(data, 1)
    outputs = trace.shape(weight)[0]
    if groups == 1:
        trace.bind(weight, 1, labels, Role.READS, node)
        made, role = trace.labels.fresh(outputs), Role.MAKES
    elif trace.shape(weight)[1] == 1:
        made, role = np.repeat(labels, outputs // groups), Role.FOLLOWS
    else:
        trace.bind(weight, 1, _alike(trace, labels, groups), Role.READS, node)
        made, role = np.tile(trace.labels.fresh(outputs // groups), groups), Role.MAKES
    _made_by(node, trace, weight, 0, made, role)


def conv_transpose(node: ir.Node, trace: Trace) -> None:
    """Transposed convolution; weight of shape (inputs, outputs / groups, ...).

    https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    data, weight = node.inputs[0], node.inputs[1]
    if data is None or weight is None or not is_weight(weight) or len(trace.shape(data)) < 2:
        trace.give_up(node, f"{node.name} ({node.op_type}) has weights that are computed")
        return
    groups, labels = node.attributes.get_int("group", 1), trace.along(data, 1)
    inputs, outputs = trace.shape(weight)[:2]
    if groups == inputs and outputs == 1 and groups > 1:
        trace.bind(weight, 0, labels, Role.FOLLOWS, node)
        _bias(node, trace, labels)
        trace.put(node.outputs[0], spread(labels, len(trace.shape(data)), 1))
        return
    same = _alike(trace, labels, groups)
    trace.bind(weight, 0, np.tile(same, groups), Role.READS, node)
    made = trace.labels.fresh(outputs)
    trace.bind(weight, 1, made, Role.MAKES, node)
    _bias(node, trace, np.tile(made, groups))
    trace.put(node.outputs[0], spread(np.tile(made, groups), len(trace.shape(data)), 1))


def gemm(node: ir.Node, trace: Trace) -> None:
    """Matrix product with a bias (https://onnx.ai/onnx/operators/onnx__Gemm.html)."""
    data, weight = node.inputs[0], node.inputs[1]
    if is_weight(data) or node.attributes.get_int("transA", 0) == 1:
        trace.give_up(node, f"{node.name} (Gemm) has its weight on the left, or reads its input transposed")
        return
    if data is None or weight is None or not is_weight(weight):
        trace.give_up(node, f"{node.name} (Gemm) has weights that are computed")
        return
    inner, outer = (1, 0) if node.attributes.get_int("transB", 0) else (0, 1)
    trace.bind(weight, inner, trace.along(data, 1), Role.READS, node)
    made = trace.labels.fresh(trace.shape(weight)[outer])
    trace.bind(weight, outer, made, Role.MAKES, node)
    bias = operand(node, 2)
    shape = (trace.shape(data)[0], made.size)
    labels = merged(node, [bias] if bias is not None else [], shape, trace, spread(made, 2, 1))
    trace.put(node.outputs[0], labels)


def matmul(node: ir.Node, trace: Trace) -> None:
    """Matrix product, of a tensor and a weight on either side, or of two tensors.

    https://onnx.ai/onnx/operators/onnx__MatMul.html
    """
    left, right = node.inputs
    if left is None or right is None or min(len(trace.shape(left)), len(trace.shape(right))) < 2:
        trace.give_up(node)
    elif is_weight(right):
        _product(node, trace, left, right, -1)
    elif is_weight(left):
        _product(node, trace, right, left, -2)
    else:
        _product_of_tensors(node, trace, left, right)


def by_channel(node: ir.Node, trace: Trace) -> None:
    """BatchNormalization and InstanceNormalization: a scale and an offset for each channel."""
    data = node.inputs[0]
    if data is None or not all(is_weight(value) for value in node.inputs[1:]) or more_used(node):
        trace.give_up(node)
        return
    labels = trace.along(data, 1)
    for value in node.inputs[1:]:
        if value is not None:
            trace.bind(value, 0, labels, Role.FOLLOWS, node)
    trace.put(node.outputs[0], spread(labels, len(trace.shape(data)), 1))


def by_group(node: ir.Node, trace: Trace) -> None:
    """GroupNormalization: channels of a group go together; a scale and an offset for each channel, or each group.

    https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
    """
    data, vectors = node.inputs[0], [value for value in node.inputs[1:] if value is not None]
    if data is None or not all(map(is_weight, vectors)):
        trace.give_up(node)
        return
    grid = trace.along(data, 1).reshape(node.attributes.get_int("num_groups"), -1)
    trace.labels.unite(grid, grid[:, :1])
    for value in vectors:
        trace.bind(value, 0, grid[:, 0] if trace.shape(value)[0] == len(grid) else grid.reshape(-1), Role.FOLLOWS, node)
    trace.put(node.outputs[0], spread(grid.reshape(-1), len(trace.shape(data)), 1))


def embedding(node: ir.Node, trace: Trace) -> None:
    """Gather of rows of a weight: each column makes a channel."""
    table, indexes = node.inputs
    rank = 0 if table is None else len(trace.shape(table))
    if table is None or indexes is None or rank != 2 or node.attributes.get_int("axis", 0) % rank:
        trace.give_up(node)
        return
    made = trace.labels.fresh(trace.shape(table)[1])
    trace.bind(table, 1, made, Role.MAKES, node)
    trace.put(node.outputs[0], spread(made, len(trace.shape(indexes)) + 1, -1))


def _made_by(node: ir.Node, trace: Trace, weight: ir.Value, axis: int, made: Array, role: Role) -> None:
    """Bind what makes a convolution's output, and label it."""
    trace.bind(weight, axis, made, role, node)
    _bias(node, trace, made)
    trace.put(node.outputs[0], spread(made, len(trace.shape(weight)), 1))


def _bias(node: ir.Node, trace: Trace, made: Array) -> None:
    bias = operand(node, 2)
    if bias is not None and is_weight(bias):
        trace.bind(bias, 0, made, Role.FOLLOWS, node)
    elif bias is not None:
        trace.labels.fix(made, f"the bias of {node.name} is computed")


def _alike(trace: Trace, labels: Array, groups: int) -> Array:
    """Labels of one group's inputs, after those of like number were united over the groups."""
    grid = labels.reshape(groups, -1)
    trace.labels.unite(grid, grid[:1])
    return grid[:1].reshape(-1)


def _product(node: ir.Node, trace: Trace, data: ir.Value, weight: ir.Value, axis: int) -> None:
    """A tensor times a weight, which takes sums along `axis` of the tensor (-1 or -2) and makes channels there."""
    inner, outer = (-2, -1) if axis == -1 else (-1, -2)
    labels, rank = trace.of(data), len(trace.shapes[node.outputs[0].name or ""])
    if varying(labels) and labels.shape[axis] == 1:
        # The result has the tensor's own channels along other axes, and can't have new ones beside them.
        trace.put(node.outputs[0], labels.reshape((1,) * (rank - labels.ndim) + labels.shape))
        return
    trace.bind(weight, inner, trace.along(data, axis), Role.READS, node)
    made = trace.labels.fresh(trace.shape(weight)[outer])
    trace.bind(weight, outer, made, Role.MAKES, node)
    trace.put(node.outputs[0], spread(made, rank, outer))


@dataclass(frozen=True)
class _Factor:
    """One of two tensors that are multiplied; its labels differ along one kind of axis alone.

    Attributes:
        shape: of the tensor.
        labels: of it.
        inner: the axis that is summed over, from the end.
        outer: the other of the last two.
    """

    shape: Shape
    labels: Array
    inner: int
    outer: int

    @property
    def summed(self) -> Array | None:
        """Labels along the axis that is summed over; None where they differ along others."""
        whole = self.labels.size == 1 or self.labels.shape[self.inner] > 1
        return np.broadcast_to(self.labels.reshape(-1), (self.shape[self.inner],)) if whole else None

    def batch(self) -> tuple[Shape, Array]:
        """Shape and labels over the axes before the last two; not labelled where labels differ along these."""
        one = self.labels.shape[-2:] == (1, 1)
        return (*self.shape[:-2], 1, 1), self.labels if one else np.zeros((1,) * len(self.shape), np.int64)


def _factor(trace: Trace, value: ir.Value, inner: int) -> _Factor:
    labels, outer = trace.of(value), -3 - inner
    for axis in (inner, outer):
        if labels.shape[axis] > 1 and len(varying(labels)) > 1:
            labels = trace.labels.level(labels, axis)
    return _Factor(trace.shape(value), labels, inner, outer)


def _product_of_tensors(node: ir.Node, trace: Trace, left: ir.Value, right: ir.Value) -> None:
    """What is summed over goes together, and so does what the two have in common, as attention's heads."""
    first, second = _factor(trace, left, -1), _factor(trace, right, -2)
    factors, shape = (first, second), trace.shapes[node.outputs[0].name or ""]
    one, other = first.summed, second.summed
    if one is not None and other is not None:
        trace.labels.unite(one, other, f"{node.name} (MatMul) sums over it and over what no weight makes")
        trace.summed.append((one, f"{node.name} (MatMul)"))
    else:
        for labels in (one, other):
            if labels is not None and len(np.unique(labels)) > 1:
                trace.labels.fix(labels, f"{node.name} (MatMul) sums over it")
    why = f"{node.name} (MatMul) joins it with what no weight makes"
    result = combined(trace, (*shape[:-2], 1, 1), [factor.batch() for factor in factors], why)
    for factor in factors:
        if factor.labels.shape[factor.outer] == 1:
            continue
        if varying(result):
            trace.labels.fix(factor.labels, f"{node.name} (MatMul) has channels along two axes")
        else:
            result = spread(factor.labels.reshape(-1), len(shape), factor.outer)
    trace.put(node.outputs[0], result)
