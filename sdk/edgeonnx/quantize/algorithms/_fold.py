"""Scale the last axis of a tensor by scaling constants of the operators that make it, without new operators."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, constant, operand, set_constant
from edgeonnx.quantize.algorithms._linear import linear

Edit = Callable[[], None]


def fold(value: ir.Value, factor: np.ndarray, inside: set[str]) -> list[Edit] | None:
    """Edits that multiply `value`, and nothing else that is read, by `factor` along its last axis.

    Rules, each for a producer whose result has no other reader than those to be scaled:
        LayerNormalization over the last axis: its scale and bias.
        Gemm, MatMul with constant weights: rows of the weights, and the bias.
        Mul, Div with a constant: the constant.
        Add, Sub with a constant: the constant, and whatever makes the other side.
        Relu, LeakyRelu, Identity: whatever makes their input.

    Args:
        value: read by nothing that must not see it scaled; that is the caller's to know.
        factor: float64, positive, shape (channels,).
        inside: names of values that subgraphs read.

    Returns:
        The edits, none of them done yet; None if the chain ends at something else.
    """
    node = value.producer()
    if node is None or node.domain not in STANDARD or value.is_graph_output() or value.name in inside:
        return None
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node, factor, inside)


def _through(node: ir.Node, factor: np.ndarray, inside: set[str]) -> list[Edit] | None:
    return _further(node.inputs[0], factor, inside)


def _further(value: ir.Value | None, factor: np.ndarray, inside: set[str]) -> list[Edit] | None:
    return fold(value, factor, inside) if value is not None and len(value.uses()) == 1 else None


def _layer_norm(node: ir.Node, factor: np.ndarray, _inside: set[str]) -> list[Edit] | None:
    last = _rank(node.inputs[0]) - 1
    axis: int = node.attributes.get_int("axis", -1)
    if axis not in (-1, last) or any(output.uses() for output in node.outputs[1:]):
        return None
    return _scaled_all(node, (1, 2), factor)


def _linear(node: ir.Node, factor: np.ndarray, _inside: set[str]) -> list[Edit] | None:
    found = linear(node)
    if found is None or found.shape[1] != len(factor):
        return None
    transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    edits = _scaled(node, 1, factor[:, None] if transposed else factor)
    bias = _scaled_all(node, (2,), factor)
    return None if edits is None or bias is None else edits + bias


def _mul(node: ir.Node, factor: np.ndarray, _inside: set[str]) -> list[Edit] | None:
    for index in (1, 0) if node.op_type == "Mul" else (1,):
        edits = _scaled(node, index, 1 / factor if node.op_type == "Div" else factor)
        if edits is not None and _narrower(node, index):
            return edits
    return None


def _add(node: ir.Node, factor: np.ndarray, inside: set[str]) -> list[Edit] | None:
    for index in (1, 0):
        edits = _scaled(node, index, factor)
        if edits is not None and _narrower(node, index):
            rest = _further(node.inputs[1 - index], factor, inside)
            return None if rest is None else edits + rest
    return None


def _narrower(node: ir.Node, index: int) -> bool:
    """Whether the constant does not widen the other input, whose last axis then is the result's."""
    added, other = node.inputs[index], node.inputs[1 - index]
    if added is None or other is None or added.shape is None or other.shape is None or not other.shape:
        return False
    return len(added.shape) <= len(other.shape) and other.shape[-1] == node.outputs[0].shape[-1]  # type: ignore[index]


def _scaled_all(node: ir.Node, indexes: tuple[int, ...], factor: np.ndarray) -> list[Edit] | None:
    edits: list[Edit] = []
    for index in indexes:
        if operand(node, index) is None:
            continue
        found = _scaled(node, index, factor)
        if found is None:
            return None
        edits += found
    return edits


def _scaled(node: ir.Node, index: int, factor: np.ndarray) -> list[Edit] | None:
    array = constant(operand(node, index))
    if array is None or array.dtype != np.float32:
        return None
    scaled = (array * factor).astype(np.float32)
    return [lambda: _ignore(set_constant(node, index, scaled))]


def _ignore(_value: object) -> None:
    """An edit returns nothing."""


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


_RULES: dict[str, Callable[[ir.Node, np.ndarray, set[str]], list[Edit] | None]] = {
    "LayerNormalization": _layer_norm,
    **dict.fromkeys(("Gemm", "MatMul"), _linear),
    **dict.fromkeys(("Mul", "Div"), _mul),
    **dict.fromkeys(("Add", "Sub"), _add),
    **dict.fromkeys(("Relu", "LeakyRelu", "Identity"), _through),
}
