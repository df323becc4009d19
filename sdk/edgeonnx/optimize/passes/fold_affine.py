"""Scale and shift channels by the weights of the layer before or after.

Rules, where the scales and shifts are constants (BatchNormalization, Mul, Div, Add, Sub), the layer's weights too, and
nothing else reads what lies between the two:
    After Conv, ConvTranspose or Gemm they go into weights and bias; after MatMul, which has no bias, scales alone do.
    Before a Conv or a Gemm they go into weights and bias, shifts only where the Conv pads nothing: padding adds zeros.
    Weights that other layers share stay, and so do those that would leave the range of their type.
Computed in float64.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._affine import affine
from edgeonnx.optimize.passes._edit import add_weight, bypass, constant, drop, each, edited, only_reader, standard

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Layer:
    """A layer with constant weights.

    Attributes:
        node: Conv, ConvTranspose, Gemm or MatMul.
        weight: as the node has it.
        bias: in float64, shape (outputs,); zeros where there is none.
        outputs, inputs: numbers of channels.
    """

    node: ir.Node
    weight: np.ndarray
    bias: np.ndarray
    outputs: int
    inputs: int

    @property
    def axis(self) -> int:
        """Of the channels, from the end."""
        return 1 - self.weight.ndim if self.node.op_type.startswith("Conv") else -1

    @property
    def rank(self) -> int | None:
        """Of what goes in and comes out; None where any."""
        return None if self.node.op_type == "MatMul" else self.weight.ndim

    def by_outputs(self, vector: np.ndarray) -> np.ndarray:
        """The weight, each element times its output channel's; float64."""
        if not self.node.op_type.startswith("Conv"):
            return _times(self.weight, vector if not _transposed(self.node) else vector[:, None])
        kernel = (1,) * (self.weight.ndim - 2)
        if self.node.op_type == "Conv":
            return _times(self.weight, vector.reshape(-1, 1, *kernel))
        return _times(self._grouped(), vector.reshape(self._groups, 1, -1, *kernel)).reshape(self.weight.shape)

    def by_inputs(self, vector: np.ndarray) -> np.ndarray:
        """The weight of a Conv or a Gemm, each element times its input channel's; float64."""
        if self.node.op_type == "Gemm":
            return _times(self.weight, vector if _transposed(self.node) else vector[:, None])
        kernel = (1,) * (self.weight.ndim - 2)
        return _times(self._grouped(), vector.reshape(self._groups, 1, -1, *kernel)).reshape(self.weight.shape)

    def summed(self, weight: np.ndarray) -> np.ndarray:
        """What a Conv or a Gemm with such a weight gives for inputs of all ones, shape (outputs,)."""
        if self.node.op_type == "Conv":
            return np.asarray(weight.reshape(self.outputs, -1).sum(1))
        return np.asarray(weight.sum(1 if _transposed(self.node) else 0) * self.node.attributes.get_float("alpha", 1.0))

    @property
    def _groups(self) -> int:
        return int(self.node.attributes.get_int("group", 1))

    def _grouped(self) -> np.ndarray:
        """The weight with its groups on an axis of their own, shape (groups, channels a group, ...)."""
        return self.weight.reshape(self._groups, -1, *self.weight.shape[1:])


def _times(weight: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return np.asarray(weight.astype(np.float64) * factors)


def fold_affine(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, _fold)


def _fold(model: ir.Model) -> int:
    folded = 0
    for node in each(model, *_LAYERS):
        while _fold_after(node) or _fold_before(node):
            folded += 1
    return folded


def _fold_after(node: ir.Node) -> bool:
    layer, reader = _layer(node), only_reader(node.outputs[0])
    if layer is None or reader is None or reader.graph is not node.graph or not standard(reader):
        return False
    if reader.op_type == "BatchNormalization" and reader.inputs[0] is not node.outputs[0]:
        return False
    change = affine(reader, node.outputs[0], layer.outputs, layer.axis, layer.rank)
    if change is None or (node.op_type == "MatMul" and change.shift.any()):
        return False
    weight = None if (change.scale == 1).all() else layer.by_outputs(change.scale)
    bias = layer.bias * change.scale + change.shift
    return _set(layer, weight, bias) and bypass(reader, node.outputs[0])


def _fold_before(node: ir.Node) -> bool:
    layer, data = _layer(node), node.inputs[0]
    maker = None if data is None else data.producer()
    if layer is None or data is None or maker is None or node.op_type not in ("Conv", "Gemm"):
        return False
    if maker.graph is not node.graph or not standard(maker) or only_reader(data) is not node:
        return False
    source = next((value for value in maker.inputs if constant(value) is None), None)
    if source is None or node.attributes.get_int("transA", 0) == 1 or not _as_large(source, data, layer):
        return False
    change = affine(maker, source, layer.inputs, layer.axis, layer.rank)
    if change is None or (change.shift.any() and not _pads_nothing(node)):
        return False
    weight = None if (change.scale == 1).all() else layer.by_inputs(change.scale)
    bias = layer.bias + layer.summed(layer.by_inputs(change.shift))
    if not _set(layer, weight, bias):
        return False
    node.replace_input_with(0, source)
    drop([maker])
    return True


def _set(layer: Layer, weight: np.ndarray | None, bias: np.ndarray) -> bool:
    """Give a layer a new weight and bias, in float64; False where it can't have them."""
    node, kind = layer.node, layer.weight.dtype
    old = node.inputs[1]
    with np.errstate(over="ignore"):
        made = [array.astype(kind) for array in (weight, bias) if array is not None]
    if old is None or node.graph is None or not all(np.isfinite(array).all() for array in made):
        return False
    if weight is not None:
        if len(old.uses()) > 1:
            return False
        node.replace_input_with(1, add_weight(node.graph, made[0], f"{old.name}.folded"))
    if node.op_type != "MatMul" and (bias != layer.bias).any():
        if len(node.inputs) < 3:
            node.resize_inputs(3)
        node.replace_input_with(2, add_weight(node.graph, made[-1], f"{node.outputs[0].name}.bias"))
        node.attributes.pop("beta", None)
    return True


def _layer(node: ir.Node) -> Layer | None:
    """A layer of float weights that can take a change; None for any other."""
    weight = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if weight is None or weight.dtype.kind != "f" or weight.ndim < 2 or (node.op_type == "MatMul" and weight.ndim != 2):
        return None
    group = node.attributes.get_int("group", 1)
    match node.op_type:
        case "Conv":
            outputs, inputs = weight.shape[0], weight.shape[1] * group
        case "ConvTranspose":
            outputs, inputs = weight.shape[1] * group, weight.shape[0]
        case _:
            outputs, inputs = weight.shape[::-1] if not _transposed(node) else weight.shape
    bias = _bias(node, outputs)
    return None if bias is None or not weight.size else Layer(node, weight, bias, outputs, inputs)


def _bias(node: ir.Node, outputs: int) -> np.ndarray | None:
    given = node.inputs[2] if len(node.inputs) > 2 else None
    if given is None:
        return np.zeros(outputs)
    array = constant(given)
    if array is None or array.size not in (1, outputs) or (array.ndim > 1 and array.shape[-1] != array.size):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64) * node.attributes.get_float("beta", 1.0), (outputs,))


def _transposed(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))


def _pads_nothing(node: ir.Node) -> bool:
    if node.op_type != "Conv":
        return True
    pads = node.attributes["pads"].as_ints() if "pads" in node.attributes else ()
    return node.attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID") and not any(pads)


def _as_large(source: ir.Value, data: ir.Value, layer: Layer) -> bool:
    """Whether constants before a layer widen nothing: what they are applied to has all the channels."""
    one, other = source.shape, data.shape
    return one is not None and other is not None and len(one) == len(other) and one[layer.axis] == layer.inputs
