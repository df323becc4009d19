"""Weights that can't saturate: quantized again where they could, and no coarser than it takes."""

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnx_ir.tape import Tape

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.quantize.kernels import Kernel, named
from edgeonnx.quantize.layers import Integers, integers
from edgeonnx.quantize.pairs import in_order, one_sign_sums, saturating_pairs

# A pair may reach 128: 255 * 128 < 2**15. One less, because each weight of it may be rounded up by half.
_PAIR_MAX = 127


def reduce_range(model: Model, source: Model, layers: Collection[str]) -> Model:
    """The model with the weights of some layers quantized again, so that none of their pairs can saturate.

    Only the output channels that can saturate change (the whole weight where it has one scale), each by no more than
    it has to: its scale comes from the largest sum of a pair of weights, not from the largest weight. Seven bits, the
    usual remedy, are what that comes to at worst.

    Args:
        model: QDQ.
        source: the float model it was made from, with the same node names.
        layers: names, as from `saturating_layers`; a layer that can't saturate is left as it is.

    Raises:
        ModelError: onnxruntime does not accept the model, or `source` lacks a layer's weights.
    """
    copy = named(model)
    floats = {node.name: node for node in source.ir.graph}
    for kernel, pairs in saturating_pairs(copy):
        if kernel.name in layers:
            _requantize(copy.ir.graph, kernel, pairs.channel, floats)
    RemoveUnusedNodesPass()(copy.ir)
    return Model(copy.ir)  # the copy remembers its size from before


def _requantize(graph: ir.Graph, kernel: Kernel, channels: np.ndarray, floats: Mapping[str | None, ir.Node]) -> None:
    """Give a layer a weight and a bias of its own: others may share those it has."""
    layer, last, index = kernel.layer, kernel.last, kernel.bias_index
    weight = _constant(floats.get(kernel.name), 1)
    if weight is None or weight.shape != kernel.weight.shape:
        raise ModelError(f"the float model has no weight for {kernel.name}; give the one that was quantized")
    whole, scale = _fit(kernel, weight, channels)
    tape = Tape()
    layer.node.replace_input_with(1, _dequantized(tape, kernel, "weight", whole, scale, layer.weight))
    stored = None if index is None else integers(last.inputs[index])
    if index is not None and stored is not None:
        bias = _constant(floats.get(last.name), index)
        if bias is None:
            raise ModelError(f"the float model has no bias for {last.name}; give the one that was quantized")
        # The kernels take its scale for granted: it is that of the products.
        unit, limits = layer.input.scale * scale, np.iinfo(np.int32)
        whole = np.clip(np.rint(bias.astype(np.float64) / unit), limits.min, limits.max).astype(np.int32)
        last.replace_input_with(index, _dequantized(tape, kernel, "bias", whole, unit, stored))
    graph.initializers.update({value.name: value for value in tape.initializers if value.name})
    graph.insert_before(layer.node, tape.nodes)


def _fit(kernel: Kernel, weight: np.ndarray, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers and scales of a weight, of which only some channels change where each has a scale."""
    old = kernel.layer.weight
    needed = np.abs(one_sign_sums(in_order(kernel, weight.astype(np.float64))[0])).max(1) / _PAIR_MAX
    if old.axis is None:
        changes, scale = np.array(True), np.maximum(old.scale, needed.max())
    elif old.zero_point.any():
        # The kernels want one zero point for all channels, and the new one is zero.
        changes, scale = np.full(old.scale.shape, True), needed
    else:
        changes = np.isin(np.arange(len(needed)), channels)
        scale = np.where(changes, np.maximum(old.scale, needed), old.scale)
    scale = scale.astype(np.float32)
    whole = np.clip(np.rint(weight / _along(scale, old, weight.ndim)), -_PAIR_MAX, _PAIR_MAX)
    return np.where(_along(changes, old, weight.ndim), whole, kernel.weight).astype(np.int8), scale


def _along(values: np.ndarray, weight: Integers, rank: int) -> np.ndarray:
    """Values of channels, in a shape that broadcasts to the weight's."""
    if weight.axis is None:
        return values
    return values.reshape([-1 if axis == weight.axis % rank else 1 for axis in range(rank)])


def _dequantized(
    tape: Tape, kernel: Kernel, role: str, whole: np.ndarray, scale: np.ndarray, old: Integers
) -> ir.Value:
    """A constant in integers, and its Dequantize."""
    name = f"{kernel.name}/unsaturated_{role}"
    scale = np.broadcast_to(scale, old.scale.shape).astype(np.float32)
    arrays = {name: whole, f"{name}_scale": scale, f"{name}_zero_point": np.zeros(scale.shape, whole.dtype)}
    inputs = [tape.initializer(ir.tensor(array, name=key)) for key, array in arrays.items()]
    attributes = {} if old.axis is None else {"axis": old.axis}
    return tape.op("DequantizeLinear", inputs, attributes, name=f"{name}_DequantizeLinear")


def _constant(node: ir.Node | None, index: int) -> np.ndarray | None:
    value = node.inputs[index] if node is not None and len(node.inputs) > index else None
    return None if value is None or value.const_value is None else value.const_value.numpy()
