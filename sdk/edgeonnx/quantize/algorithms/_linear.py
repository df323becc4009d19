"""The layers that multiply by constant weights, seen as matrices."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, constant, operand


@dataclass(frozen=True)
class Linear:
    """A Conv, ConvTranspose, Gemm or MatMul with constant float32 weights (and bias).

    Attributes:
        node: the operator; its weight is `node.inputs[1]`, its bias, if it has one, `node.inputs[2]`.
        shape: (groups, rows a group, columns a group): output and input channels.
        input_axis: of the channels in the input, from the front.
        output_axis: of the channels in the output, from the front.
    """

    node: ir.Node
    shape: tuple[int, int, int]
    input_axis: int
    output_axis: int

    def blocks(self) -> np.ndarray:
        """The weights as (groups, rows, columns, taps of the kernel)."""
        weight = self.weight
        groups, rows, columns = self.shape
        match self.node.op_type:
            case "Conv":
                return weight.reshape(groups, rows, columns, -1)
            case "ConvTranspose":
                return weight.reshape(groups, columns, rows, -1).swapaxes(1, 2)
        rows_first = weight if self.node.attributes.get_int("transB", 0) else weight.T
        return rows_first.reshape(groups, rows, columns, 1)

    def scaled(self, factor: np.ndarray) -> np.ndarray:
        """The weights in their own shape, multiplied by a factor of shape (groups, rows, columns)."""
        match self.node.op_type:
            case "Conv":
                spread = factor.reshape(self.weight.shape[:2] + (1,) * (self.weight.ndim - 2))
            case "ConvTranspose":
                spread = factor.swapaxes(1, 2).reshape(self.weight.shape[:2] + (1,) * (self.weight.ndim - 2))
            case _:
                spread = factor[0] if self.node.attributes.get_int("transB", 0) else factor[0].T
        scaled: np.ndarray = (self.weight * spread).astype(np.float32)
        return scaled

    @property
    def weight(self) -> np.ndarray:
        """The weights as they stand in the model."""
        found = constant(self.node.inputs[1])
        assert found is not None
        return found

    @property
    def bias(self) -> np.ndarray | None:
        """The bias as it stands in the model; None if the layer has none."""
        return constant(operand(self.node, 2))


def linear(node: ir.Node) -> Linear | None:
    """The layer that a node is; None if it is none of them, or its weights or bias are not constant float32."""
    weight, bias = constant(operand(node, 1)), operand(node, 2)
    shape_of = _SHAPES.get(node.op_type) if node.domain in STANDARD else None
    if shape_of is None or weight is None or weight.dtype != np.float32 or not weight.size:
        return None
    if bias is not None and (constant(bias) is None or bias.dtype != ir.DataType.FLOAT):
        return None
    return shape_of(node, weight)


def _conv(node: ir.Node, weight: np.ndarray) -> Linear:
    groups = node.attributes.get_int("group", 1)
    return Linear(node, (groups, weight.shape[0] // groups, weight.shape[1]), 1, 1)


def _conv_transpose(node: ir.Node, weight: np.ndarray) -> Linear:
    groups = node.attributes.get_int("group", 1)
    return Linear(node, (groups, weight.shape[1], weight.shape[0] // groups), 1, 1)


def _matmul(node: ir.Node, weight: np.ndarray) -> Linear | None:
    source = node.inputs[0]
    rank = 0 if source is None or source.shape is None else len(source.shape)
    if weight.ndim != 2 or not rank:
        return None
    return Linear(node, (1, weight.shape[1], weight.shape[0]), rank - 1, rank - 1)


def _gemm(node: ir.Node, weight: np.ndarray) -> Linear | None:
    if node.attributes.get_int("transA", 0):
        return None
    rows, columns = weight.shape if node.attributes.get_int("transB", 0) else weight.shape[::-1]
    return Linear(node, (1, rows, columns), 1, 1)


_SHAPES = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul}
