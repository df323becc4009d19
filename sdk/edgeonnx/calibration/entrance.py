"""What a model does first with an input: what that tells of the values and the layout it expects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant
from edgeonnx.model import Model

_PASSING = ("Cast", "Identity", "Pad", "Transpose")
_ARITHMETIC = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True)
class Entrance:
    """The way of an input to the first Conv.

    Attributes:
        name: of the input.
        rescaled: whether the model does arithmetic on it before the Conv.
        means: what it subtracts from each channel first, of shape (channels,); None if it does not.
        transposed: whether it moves the last axis to the second place: it takes NHWC.
        weight: of the Conv, of shape (outputs, channels per group, ...); None if there is no Conv on the way.
        bias: of the Conv, of shape (outputs,); zeros if it has none.
    """

    name: str
    rescaled: bool
    means: np.ndarray | None
    transposed: bool
    weight: np.ndarray | None
    bias: np.ndarray | None

    def response(self, magnitude: float) -> tuple[float, float] | None:
        """How strongly the Conv answers to values of a root mean square of `magnitude`.

        Returns:
            Median over its outputs, and the same relative to the bias; None if that can't be told.
        """
        if self.weight is None or self.bias is None or self.rescaled:
            return None
        strength = np.sqrt((self.weight.reshape(len(self.weight), -1) ** 2).sum(axis=1)) * magnitude
        bias = np.abs(self.bias)
        relative = float(np.median(strength) / np.median(bias)) if np.median(bias) > 0 else 1.0
        return float(np.median(strength)), relative


def entrances(model: Model) -> list[Entrance]:
    """The entrances of all inputs of rank 4."""
    inputs = {spec.name for spec in model.inputs if spec.shape is not None and len(spec.shape) == 4}
    return [_entrance(value) for value in model.ir.graph.inputs if value.name in inputs]


def _entrance(value: ir.Value) -> Entrance:
    name, rescaled, transposed = value.name or "", False, False
    means: np.ndarray | None = None
    while (node := _only_reader(value)) is not None:
        if node.op_type == "Conv":
            weight = constant(node.inputs[1])
            bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
            bias = np.zeros(len(weight)) if bias is None and weight is not None else bias
            return Entrance(name, rescaled, means, transposed, weight, bias)
        if node.op_type in _ARITHMETIC:
            means = _subtracted(node) if means is None and not rescaled else means
            rescaled = True
        elif node.op_type not in _PASSING:
            break
        transposed |= node.op_type == "Transpose" and _perm(node) == [0, 3, 1, 2]
        value = node.outputs[0]
    return Entrance(name, rescaled, means, transposed, None, None)


def _only_reader(value: ir.Value) -> ir.Node | None:
    readers = value.consumers()
    return readers[0] if len(readers) == 1 and readers[0].domain in ("", "ai.onnx") else None


def _perm(node: ir.Node) -> Sequence[int]:
    attribute = node.attributes.get("perm")
    return [] if attribute is None else list(attribute.as_ints())


def _subtracted(node: ir.Node) -> np.ndarray | None:
    amount = constant(node.inputs[1]) if node.op_type == "Sub" else None
    return amount.ravel().astype(np.float64) if amount is not None and amount.size > 1 else None
