"""Bias correction: put back the mean that rounding the weights took from each output channel.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721,
the empirical variant (appendix D): the error E[float output] - E[quantized output] of each channel, before the
activation, is measured by running both models and added to the bias. Layers are corrected in topological order, each
with all before it corrected already: a shift that enters a layer from above must not be corrected twice. Layers that
do not depend on each other are corrected in the same pass over the samples.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, new_constant, operand, set_constant
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms.observe import Feeds, Progress, channel_means, silent
from edgeonnx.quantize.layers import Layer, quantized_layers

# Far enough inside int32 for the accumulator's own sum, which the bias is added to.
LARGEST = (1 << 31) - (1 << 24)


def correct_bias(
    model: Model, quantized: Model, feeds: Feeds, progress: Progress = silent
) -> tuple[Model, tuple[str, ...]]:
    """Correct the biases of the quantized layers.

    A layer that has no bias gets one, where its operator has a place for it (Conv, ConvTranspose, Gemm with alpha 1).
    MatMul has none: its error goes into a constant that is added to its result in float, if there is such an Add.

    Args:
        model: the float model that `quantized` was made from, normalized.
        quantized: QDQ.
        feeds: input name -> array, one mapping a sample; gone through several times, so not an iterator.
        progress: told how many passes over the samples are done.

    Returns:
        The model and the names of the layers whose bias changed; the same model and () if none did.

    Raises:
        DataError: no samples, or a model does not run on one of them.
        TypeError: `feeds` is an iterator.
    """
    if isinstance(feeds, Iterator):
        raise TypeError("feeds are gone through several times; expected a list or the like, got an iterator")
    copy = quantized.copy()
    reference = {node.name: node.outputs[0] for node in model.ir.graph}
    waves = _waves(copy.ir.graph, [layer for layer in quantized_layers(copy.ir) if layer.node.name in reference])
    outputs = {layer.node.name: reference[layer.node.name] for wave in waves for layer in wave}
    ranks = {value.name or "": len(value.shape) for value in outputs.values() if value.shape is not None}
    wanted = channel_means(model, {v.name or "": _axis(v) for v in outputs.values() if v.name in ranks}, feeds)
    changed: list[str] = []
    for done, wave in enumerate(waves, 1):
        pairs = [(layer, outputs[layer.node.name]) for layer in wave if outputs[layer.node.name].name in ranks]
        made = [(layer, layer.node.outputs[0].name or "", value.name or "") for layer, value in pairs]
        axes = {name: _axis(layer.node.outputs[0]) for layer, name, _ in made}
        got = channel_means(copy, axes, feeds, {name: ranks[original] for _, name, original in made})
        changed.extend(layer.node.name or "" for layer, name, v in made if _shift(layer, wanted[v] - got[name]))
        progress(done)
    return (copy, tuple(changed)) if changed else (quantized, ())


def _axis(value: ir.Value) -> int:
    """Channels of Gemm and MatMul come last, those of Conv second; 2-D Gemm is both."""
    node = value.producer()
    return -1 if node is not None and node.op_type == "MatMul" else 1


def _waves(graph: ir.Graph, layers: Iterable[Layer]) -> list[list[Layer]]:
    """Layers by the largest number of layers before them on any path."""
    by_node = {layer.node: layer for layer in layers}
    depth: dict[ir.Node, int] = {}
    waves: dict[int, list[Layer]] = {}
    for node in graph:
        before = [depth[p] for v in node.inputs if v is not None and (p := v.producer()) in depth and p is not None]
        depth[node] = max(before, default=0) + (node in by_node)
        if node in by_node:
            waves.setdefault(depth[node], []).append(by_node[node])
    return [waves[key] for key in sorted(waves)]


def _shift(layer: Layer, error: np.ndarray) -> bool:
    """Add the error to the layer's bias; whether anything changed."""
    if layer.bias is not None:
        return _shift_integers(layer, error)
    node = layer.node
    if operand(node, 2) is not None:
        return _shift_float(node, 2, error)
    if node.op_type == "MatMul":
        return _shift_added(node, error)
    if node.op_type == "Gemm" and node.attributes.get_float("alpha", 1.0) != 1.0:
        return False
    return _add_bias(layer, error)


def _shift_integers(layer: Layer, error: np.ndarray) -> bool:
    bias = layer.bias
    assert bias is not None
    stored = bias.constant
    reader = bias.dequantize
    if stored is None or len(bias.stored.uses()) > 1 or len(reader.outputs[0].uses()) > 1 or (bias.scale == 0).any():
        return False  # shared with another layer, whose error is another
    rows = layer.node.attributes.get_float("beta", 1.0) * bias.scale.astype(np.float64)
    steps = np.round(error / rows)
    moved = np.clip(stored + steps, -LARGEST, LARGEST)
    # What is beyond the guard already, the writer put there: it must not be pulled in.
    moved = np.where(np.abs(stored.astype(np.int64)) > LARGEST, stored, moved).astype(np.int32)
    if moved.shape != stored.shape or np.array_equal(moved, stored):
        return False
    set_constant(reader, 0, moved)
    return True


def _shift_float(node: ir.Node, index: int, error: np.ndarray) -> bool:
    old = constant(operand(node, index))
    if old is None or old.dtype != np.float32 or not error.any():
        return False
    set_constant(node, index, (old + error / node.attributes.get_float("beta", 1.0)).astype(np.float32))
    return True


def _shift_added(node: ir.Node, error: np.ndarray) -> bool:
    """Into the constant that is added to a MatMul's result, where both are in float."""
    value = node.outputs[0]
    while len(value.uses()) == 1 and not value.is_graph_output():
        reader = value.consumers()[0]
        if reader.op_type in ("QuantizeLinear", "DequantizeLinear") and reader.inputs[0] is value:
            value = reader.outputs[0]
            continue
        if reader.op_type != "Add":
            return False
        index = 1 - list(reader.inputs).index(value)
        added = constant(reader.inputs[index])
        fits = added is not None and added.ndim <= 1
        return fits and _shift_float(reader, index, error)
    return False


def _add_bias(layer: Layer, error: np.ndarray) -> bool:
    """A new int32 bias, in steps of input scale times weight scale as integer kernels want it."""
    node, graph = layer.node, layer.node.graph
    scale = (layer.input.scale.astype(np.float64) * layer.weight.scale).astype(np.float32)
    if layer.input.scale.size > 1 or not (scale > 0).all() or not isinstance(graph, ir.Graph):
        return False
    integers = np.clip(np.round(error / scale), -LARGEST, LARGEST).astype(np.int32)
    if not integers.any():
        return False
    name = f"{node.name}.bias"
    stored = new_constant(graph, f"{name}_quantized", integers)
    scales = new_constant(graph, f"{name}_scale", scale)
    zero = new_constant(graph, f"{name}_zero_point", np.zeros(scale.shape, np.int32))
    axis = {"axis": 0} if scale.size > 1 else {}
    real = ir.node("DequantizeLinear", [stored, scales, zero], axis, name=f"{name}_DequantizeLinear")
    real.outputs[0].name = f"{name}_dequantized"
    graph.insert_before(node, real)
    node.resize_inputs(3)
    node.replace_input_with(2, real.outputs[0])
    return True
