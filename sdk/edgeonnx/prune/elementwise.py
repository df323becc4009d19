"""How labels pass through operators that work element by element, operands broadcast to each other."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.prune.labels import Array, varying
from edgeonnx.prune.trace import Role, Shape, Trace, is_weight

OPERATORS = frozenset(
    {
        *("Abs", "Acos", "Add", "And", "Asin", "Atan", "BitShift", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos"),
        *("Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid"),
        *("HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min"),
        *("Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu"),
        *("Shrink", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh"),
        *("ThresholdedRelu", "Where", "Xor"),
    }
)


def elementwise(node: ir.Node, trace: Trace) -> None:
    """Unite the labels of operands at like positions, and label the outputs so.

    Where labels still differ along two axes, as those of attention's heads, an operand that tells positions of one of
    them apart has that one needed whole: channels are left along the other.
    """
    operands = [value for value in node.inputs if value is not None]
    for output in node.outputs:
        if output.name and output.name in trace.shapes:
            trace.put(output, merged(node, operands, trace.shapes[output.name], trace))


def merged(
    node: ir.Node, operands: Sequence[ir.Value], shape: Shape, trace: Trace, start: Array | None = None
) -> Array:
    """Labels of what operands make, element by element.

    Args:
        node: that reads the operands.
        operands: tensors and weights that broadcast to `shape`.
        shape: of the result.
        trace: where labels are united.
        start: labels that the result has anyway.
    """
    parts = [] if start is None else [(shape, start)]
    parts += [(trace.shape(value), trace.of(value)) for value in operands if not is_weight(value)]
    result = combined(trace, shape, parts, f"{node.name} ({node.op_type}) joins it with what no weight makes")
    for value in operands:
        if is_weight(value):
            result = _weight(node, value, shape, result, trace)
    return trace.labels.compact(result)


def combined(trace: Trace, shape: Shape, parts: Sequence[tuple[Shape, Array]], why: str) -> Array:
    """Labels of a result that is made, element by element, of parts.

    Args:
        trace: where labels are united.
        shape: of the result.
        parts: shapes and labels.
        why: channels can't go that meet what is no channel.
    """
    rank = len(shape)
    padded = [(_padded(size, rank), labels.reshape(_padded(labels.shape, rank))) for size, labels in parts]
    for index, one in enumerate(padded):
        for other in padded[index + 1 :]:
            _agree(trace, shape, one, other, why)
    result = np.zeros((1,) * rank, np.int64)
    for _, labels in padded:
        result = np.where(result == 0, trace.labels.roots(labels), result)
    return trace.labels.compact(result)


def _agree(trace: Trace, shape: Shape, one: tuple[Shape, Array], other: tuple[Shape, Array], why: str) -> None:
    """Unite two operands' labels, but along axes where one of them is repeated: those are the other's own."""
    first, second = trace.labels.compact(one[1]), trace.labels.compact(other[1])
    spanned = _spanned(one[0], shape), _spanned(other[0], shape)
    first, second = _levelled(trace, first, second, spanned[1]), _levelled(trace, second, first, spanned[0])
    if set(varying(first)) <= spanned[1] and set(varying(second)) <= spanned[0]:
        trace.labels.unite(first, second, why)


def _levelled(trace: Trace, labels: Array, other: Array, spanned: set[int]) -> Array:
    """Labels that differ along axes of which another operand has some: made the same along either.

    Along those that the other has not, if it has channels too; else along those it has.
    """
    differ = set(varying(labels))
    if differ & spanned and differ - spanned:
        for axis in differ - spanned if other.any() else differ & spanned:
            labels = trace.labels.level(labels, axis)
    return labels


def _spanned(size: Shape, shape: Shape) -> set[int]:
    """Axes along which an operand has a value for each position, and not one for all."""
    return {axis for axis, (own, whole) in enumerate(zip(size, shape, strict=True)) if own == whole and whole > 1}


def _weight(node: ir.Node, value: ir.Value, shape: Shape, labels: Array, trace: Trace) -> Array:
    """Bind a constant operand to the labels along the axes that it has; the labels then."""
    rank = len(shape)
    size = _padded(trace.shape(value), rank)
    labels = trace.labels.compact(labels)
    labels = _levelled(trace, labels, np.zeros(1, np.int64), _spanned(size, shape))
    shared = [axis for axis in varying(labels) if axis in _spanned(size, shape)]
    whole = max(shared, key=lambda axis: shape[axis], default=None)
    for axis in varying(labels):
        if whole is not None and axis != whole:
            labels = trace.labels.level(labels, axis)
    if whole is not None:
        vector = np.broadcast_to(labels.reshape(-1), (shape[whole],))
        trace.bind(value, whole - rank, vector, Role.FOLLOWS, node)
    return labels


def _padded(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape
