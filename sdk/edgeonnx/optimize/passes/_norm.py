"""Normalization over the last axes, however it is spelt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.optimize.passes._algebra import ONE, Terms, alike, product, terms
from edgeonnx.optimize.passes._edit import add_weight, constant, integers, nodes, replaced, same_shape, standard

_ROOTS = ("Add", "Div", "Mul")


@dataclass(frozen=True)
class Norm:
    """A normalization that was found: `x * size^-1 * scale + bias`.

    Attributes:
        source: what is normalized.
        axes: over which, from the end, ascending.
        epsilon: below the root.
        scale, bias: None where there is none.
        centred: whether the mean is taken away.
    """

    source: ir.Value
    axes: tuple[int, ...]
    epsilon: float
    scale: ir.Value | None
    bias: ir.Value | None
    centred: bool


def fuse_norms(model: ir.Model, operator: str, centred: bool) -> int:
    """Put an operator in the place of normalizations, with the mean taken away before (`centred`) or not, in place."""
    # From the end: the bias comes last, and without it the rest would be fused alone.
    roots = [node for node in nodes(model) if node.op_type in _ROOTS][::-1]
    return sum(_fuse(node, operator, centred) for node in roots if node.graph is not None)


def _fuse(node: ir.Node, operator: str, centred: bool) -> bool:
    norm = _norm(node)
    if norm is None or norm.centred != centred or node.graph is None or (norm.bias is not None and not centred):
        return False
    lengths = _lengths(norm)
    if lengths is None or any(part is not None and not _fits(part, lengths) for part in (norm.scale, norm.bias)):
        return False
    parts = [_vector(node.graph, norm.scale, lengths, f"{node.outputs[0].name}.scale")]
    if norm.bias is not None:
        parts.append(_vector(node.graph, norm.bias, lengths, ""))
    replaced(node, operator, [norm.source, *parts], axis=norm.axes[0], epsilon=norm.epsilon)
    return True


def _norm(node: ir.Node) -> Norm | None:
    found = terms(node.outputs[0])
    scaled = [key for key in found if any(exponent == -0.5 for _, exponent in key)]
    if len(scaled) != 1 or len(found) > 2 or found[scaled[0]] != 1:
        return None
    bias = _bias(found, scaled[0])
    (below,) = (value for value, exponent in scaled[0] if exponent == -0.5)
    above = [value for value, exponent in scaled[0] if exponent == 1]
    if len(above) + 1 != len(scaled[0]) or len(above) > 2 or (len(found) == 2 and bias is None):
        return None
    for data in above:
        rest = [value for value in above if value is not data]
        norm = _normalized(data, below, rest[0] if rest else None, bias)
        if norm is not None and same_shape(norm.source, node.outputs[0]):
            return norm
    return None


def _bias(found: Terms, scaled: object) -> ir.Value | None:
    rest = [key for key in found if key != scaled]
    if len(rest) != 1 or len(rest[0]) != 1 or found[rest[0]] != 1:
        return None
    ((value, exponent),) = rest[0]
    return value if exponent == 1 else None


def _normalized(data: ir.Value, below: ir.Value, scale: ir.Value | None, bias: ir.Value | None) -> Norm | None:
    """The normalization of `data` by the root of `below`, which is the mean of its squares and a little more."""
    variance = terms(below)
    means = [key for key in variance if key != ONE]
    if len(means) != 1 or ONE not in variance or len(means[0]) != 1 or variance[means[0]] != 1:
        return None
    ((mean, exponent),) = means[0]
    squares, axes = _mean(mean, data.shape)
    if exponent != 1 or squares is None or data.dtype != ir.DataType.FLOAT or not variance[ONE] > 0:
        return None
    if not alike(terms(squares), {product((data, 2.0)): 1.0}, 1e-9):
        return None
    source = _centred(data, axes)
    return Norm(data if source is None else source, axes, variance[ONE], scale, bias, source is not None)


def _centred(data: ir.Value, axes: tuple[int, ...]) -> ir.Value | None:
    """What the mean over the same axes was taken away from; None where it was not."""
    node = data.producer()
    if node is None or not standard(node) or node.op_type != "Sub" or node.inputs[1] is None:
        return None
    source, over = _mean(node.inputs[1], data.shape)
    return source if source is not None and source is node.inputs[0] and over == axes else None


def _mean(value: ir.Value, shape: ir.Shape | None) -> tuple[ir.Value | None, tuple[int, ...]]:
    """What a mean over the last axes is taken of, and the axes; no value where it is anything else."""
    node = value.producer()
    if node is None or not standard(node) or node.op_type != "ReduceMean" or shape is None:
        return None, ()
    axes = integers(node, "axes", 1)
    if not axes or not node.attributes.get_int("keepdims", 1):
        return None, ()
    rank = len(shape)
    over = tuple(sorted(axis - rank if axis >= 0 else axis for axis in axes))
    return (node.inputs[0], over) if over == tuple(range(-len(over), 0)) else (None, ())


def _lengths(norm: Norm) -> list[int] | None:
    """Sizes of the normalized axes; None where they are not known, or one is 0."""
    shape = norm.source.shape
    known = [] if shape is None else [size for axis in norm.axes if isinstance(size := shape[axis], int)]
    return known if len(known) == len(norm.axes) and all(known) else None


def _fits(value: ir.Value, lengths: Sequence[int]) -> bool:
    """Whether a constant is one value for each place of the normalized axes, and float32."""
    array = constant(value)
    if array is None or array.dtype != np.float32 or array.size != np.prod(lengths):
        return False
    return array.shape[-len(lengths) :] == tuple(lengths)


def _vector(graph: ir.Graph, value: ir.Value | None, lengths: Sequence[int], name: str) -> ir.Value:
    """A constant that fits, in the shape of the normalized axes; ones where there is none."""
    array = constant(value)
    if array is None or value is None:
        return add_weight(graph, np.ones(lengths, np.float32), name)
    if array.shape == tuple(lengths):
        return value
    return add_weight(graph, array.reshape(lengths), f"{value.name}.vector")
