"""The quantized layers of a QDQ model: where their integers stand, and what they mean."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model

_ARITHMETIC = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Integers:
    """A tensor kept in integers: `real = (stored - zero_point) * scale`.

    Attributes:
        dequantize: its DequantizeLinear node.
        stored: what that node reads: an initializer for weights, a QuantizeLinear's output for activations.
        scale: float32, shape () or (channels,).
        zero_point: of the integers' dtype, the same shape.
        axis: the axis of the channels; None where one scale serves the whole tensor.
    """

    dequantize: ir.Node
    stored: ir.Value
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None

    @property
    def constant(self) -> np.ndarray | None:
        """The integers of a weight; None for an activation."""
        return None if self.stored.const_value is None else self.stored.const_value.numpy()

    def real(self) -> np.ndarray:
        """The real values of a weight, float32.

        Raises:
            ValueError: an activation has no values of its own.
        """
        if self.constant is None:
            raise ValueError(f"{self.stored.name} is not constant")
        shape = [1] * self.constant.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        centred = self.constant.astype(np.int64) - self.zero_point.astype(np.int64).reshape(shape)
        return (centred * self.scale.reshape(shape).astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul whose input and constant weight are integers.

    Attributes:
        node: the operator between Dequantize and Quantize.
        input: its first input.
        weight: its second input, constant.
        bias: its third input, constant int32; None if it has none, or one in float.
        output: its result, or that of the Relu or Clip after it, where it is quantized; None where it leaves in float.
    """

    node: ir.Node
    input: Integers
    weight: Integers
    bias: Integers | None
    output: Integers | None


def quantized_layers(model: ir.Model) -> Iterator[Layer]:
    """The quantized layers of the main graph, in topological order."""
    for node in model.graph:
        if node.op_type not in _ARITHMETIC or node.domain not in ("", "ai.onnx"):
            continue
        operands = [integers(value) for value in node.inputs[:3]]
        if len(operands) < 2 or operands[0] is None or operands[1] is None or operands[1].constant is None:
            continue
        yield Layer(node, operands[0], operands[1], operands[2] if len(operands) > 2 else None, _output(node))


def integers(value: ir.Value | None) -> Integers | None:
    """The integers that a value is dequantized from; None for a value that is not."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return None
    scale = _constant(node, 1)
    if scale is None:
        return None
    zero_point = _constant(node, 2)
    if zero_point is None:
        dtype = node.inputs[0].dtype
        zero_point = np.zeros(scale.shape, np.uint8 if dtype is None else dtype.numpy())
    axis = node.attributes.get_int("axis", 1) if scale.size > 1 else None
    return Integers(node, node.inputs[0], scale, zero_point, axis)


def _constant(node: ir.Node, index: int) -> np.ndarray | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _output(node: ir.Node) -> Integers | None:
    """Follow the result through an activation that fuses to its QuantizeLinear and the DequantizeLinear after it."""
    value = node.outputs[0]
    while len(readers := value.consumers()) == 1:
        reader = readers[0]
        if reader.op_type == "QuantizeLinear":
            after = reader.outputs[0].consumers()
            return integers(after[0].outputs[0]) if after else None
        if reader.op_type not in ("Relu", "Clip"):
            return None
        value = reader.outputs[0]
    return None


def with_integers(model: Model, weights: Mapping[str, np.ndarray]) -> Model:
    """A copy in which layers have other integers for weights, at the scales they have.

    Args:
        model: QDQ.
        weights: name of a layer -> its integers, of the dtype and shape it has; unknown layers are passed over.
    """
    copy = model.copy()
    for layer in quantized_layers(copy.ir):
        array = weights.get(layer.node.name or "")
        if array is not None:
            layer.weight.stored.const_value = ir.tensor(array)
    return Model(copy.ir)
