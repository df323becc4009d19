"""Keep int32 biases inside int32, and fine enough, by choosing the weight scales beside them.

A bias is kept in steps of input scale times weight scale. Where a channel's weights are tiny, so is the step, and the
bias leaves int32; where they are all zero, any scale will do for them, and the writer's choice of 1 makes a step as
coarse as the input's own.

onnxruntime's writer raises scales itself, for symmetric int8 weights alone. It leaves no room for the accumulator,
whose sum is added to the bias in int32; nor does it see uint8 or asymmetric weights, or weights that are zero. That
is what is done here, after it.
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, operand, set_constant
from edgeonnx.model import Model
from edgeonnx.quantize.layers import Integers, Layer, quantized_layers

_INT32 = (1 << 31) - 1
# Steps that the bias of a channel without weights may take, so that it is exact to float32.
_FINE = 1 << 24


def guard_bias(model: Model, quantized: Model) -> tuple[Model, tuple[str, ...]]:
    """Raise weight scales where a bias would overflow; lower them where a channel has no weights but a bias.

    The weights of such channels, and their biases, are rounded anew from the float model.

    Args:
        model: the float model that `quantized` was made from, normalized, Gemms plain.
        quantized: QDQ.

    Returns:
        The model and the names of the layers that changed; the same model and () if none had to.
    """
    copy = quantized.copy()
    floats = {node.name: node for node in model.ir.graph}
    shared: dict[ir.Value, list[Layer]] = {}
    for layer in quantized_layers(copy.ir):
        shared.setdefault(layer.weight.stored, []).append(layer)
    changed: list[str] = []
    for layers in shared.values():
        sources = [floats.get(layer.node.name) for layer in layers]
        if all(source is not None and _fits(layer, source) for layer, source in zip(layers, sources, strict=True)):
            changed.extend(_guard(list(zip(layers, [source for source in sources if source is not None], strict=True))))
    return (copy, tuple(changed)) if changed else (quantized, ())


def _fits(layer: Layer, source: ir.Node) -> bool:
    """Whether weights and bias can be read in both models, and the layer's bias is its own."""
    weight, bias = constant(operand(source, 1)), constant(operand(source, 2))
    stored = layer.weight.constant
    if layer.bias is None or bias is None or weight is None or stored is None or layer.input.scale.size != 1:
        return False
    lone = len(layer.bias.dequantize.outputs[0].uses()) == 1
    plain = all(source.attributes.get_float(name, 1.0) == 1 for name in ("alpha", "beta"))
    rows = weight.shape[_row_axis(layer)]
    return lone and plain and weight.shape == stored.shape and bias.shape == (rows,) and layer.weight.axis in (
        None, _row_axis(layer)
    )  # fmt: skip


def _row_axis(layer: Layer) -> int:
    """Axis of the output channels in the weights, for the layers that have int32 biases."""
    node = layer.node
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return 0 if node.op_type == "Conv" else 1


def _guard(pairs: list[tuple[Layer, ir.Node]]) -> Iterable[str]:
    """Settle the scale of one weight, which several layers may share; names of those that changed."""
    first, source = pairs[0]
    weight = constant(source.inputs[1])
    assert weight is not None
    weights = np.moveaxis(weight, _row_axis(first), 0).reshape(weight.shape[_row_axis(first)], -1)
    taps = weights.shape[1]
    old = first.weight.scale.astype(np.float64)
    if old.size > 1 and any(layer.weight.axis != first.weight.axis for layer, _ in pairs):
        return []
    # Bias over input scale: what has to fit into `limit` steps of the weight scale.
    biases = np.max([np.abs(_bias(node)) / float(layer.input.scale.ravel()[0]) for layer, node in pairs], axis=0)
    live = np.abs(weights).max(axis=1) > 0
    if old.size == 1:
        biases, live = biases.max(keepdims=True), live.any(keepdims=True)
    new = _scales(old.ravel(), biases, live, _INT32 - _accumulated(first, taps)).reshape(old.shape).astype(np.float32)
    if np.array_equal(new, first.weight.scale):
        return []
    _rewrite(pairs, weight, new)
    return [layer.node.name or "" for layer, _ in pairs]


def _bias(node: ir.Node) -> np.ndarray:
    found = constant(operand(node, 2))
    assert found is not None
    return found.astype(np.float64)


def _accumulated(layer: Layer, taps: int) -> int:
    """The largest sum of products, for 8 bits both sides; never more than half of int32."""
    stored = layer.weight.constant
    wide = stored is not None and stored.dtype == np.uint8
    return min(taps * 255 * (255 if wide else 128), 1 << 30)


def _scales(old: np.ndarray, biases: np.ndarray, live: np.ndarray, limit: int) -> np.ndarray:
    """Weight scales: the old ones, but for channels whose bias is out of range or which have no weights."""
    needed = biases / limit * (1 + 1e-6)
    usual = float(np.median(old[live])) if live.any() else 0.0
    # Without weights: the scale of the neighbours, unless the bias then is not exact to float32 or does not fit.
    idle = np.where(biases > 0, np.clip(usual, needed, np.maximum(needed, biases / _FINE)), old)
    return np.where(live, np.maximum(old, needed), idle)


def _rewrite(pairs: list[tuple[Layer, ir.Node]], weight: np.ndarray, scale: np.ndarray) -> None:
    """Round weights and biases at the new scales, where these are new."""
    first = pairs[0][0].weight
    stored = first.constant
    assert stored is not None
    moved = np.broadcast_to((scale != first.scale).ravel(), (weight.shape[_row_axis(pairs[0][0])],))
    integers = np.where(_along(moved, stored.ndim, _row_axis(pairs[0][0])), _rounded(weight, first, scale), stored)
    fresh = integers.astype(stored.dtype)
    for layer, node in pairs:
        if layer.weight.stored.const_value is not None:
            set_constant(layer.weight.dequantize, 0, fresh)
        set_constant(layer.weight.dequantize, 1, scale)
        _write_bias(layer, node, scale, moved)


def _rounded(weight: np.ndarray, form: Integers, scale: np.ndarray) -> np.ndarray:
    limits = np.iinfo(form.zero_point.dtype)
    lowest = -limits.max if limits.min else 0
    spread = _along(scale.ravel(), weight.ndim, form.axis or 0) if scale.size > 1 else scale
    zero = form.zero_point.astype(np.int64)
    zero = _along(zero.ravel(), weight.ndim, form.axis or 0) if zero.size > 1 else zero
    rounded: np.ndarray = np.clip(np.round(weight.astype(np.float64) / spread) + zero, lowest, limits.max)
    return rounded


def _write_bias(layer: Layer, node: ir.Node, scale: np.ndarray, moved: np.ndarray) -> None:
    bias = layer.bias
    assert bias is not None and bias.constant is not None
    step = (layer.input.scale.astype(np.float64) * scale).astype(np.float32)
    integers = np.clip(np.round(_bias(node) / step.astype(np.float64)), -_INT32, _INT32)
    set_constant(bias.dequantize, 0, np.where(moved, integers, bias.constant).astype(np.int32))
    set_constant(bias.dequantize, 1, step.reshape(bias.scale.shape))


def _along(vector: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """A vector laid along one axis of a tensor."""
    return vector.reshape([-1 if index == axis else 1 for index in range(rank)])
