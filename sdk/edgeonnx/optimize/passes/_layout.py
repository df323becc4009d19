"""How an operator is said on data whose axes are in another order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import sizes_of
from edgeonnx.optimize.passes._edit import constant, integers, standard

# What is done to each element by itself.
_ELEMENTWISE = {
    *("Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"),
    *("HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu"),
    *("Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu"),
}
_BROADCAST = {
    *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod"),
    *("Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
}
_REDUCE = {f"Reduce{kind}" for kind in ("L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum")}
_REDUCE |= {"ArgMax", "ArgMin", "Squeeze", "Unsqueeze"}
# Before it, Softmax joined axes.
_OPSET_OF_SOFTMAX = 13


@dataclass(frozen=True)
class Turned:
    """A node on data in another order.

    Attributes:
        moved: positions of the inputs that are then in that order, and with them the outputs.
        ends: outputs are as they were: what is left of the axes is in the same order.
        attributes: those that change.
        constants: inputs that change, by position.
    """

    moved: tuple[int, ...]
    ends: bool = False
    attributes: dict[str, int | list[int]] = field(default_factory=dict)
    constants: dict[int, np.ndarray] = field(default_factory=dict)


def turned(node: ir.Node, order: Sequence[int], opset: int) -> Turned | None:
    """How a node is said where axis `order[i]` of its data comes at place `i`; None where that is not known.

    Args:
        node: any.
        order: a permutation; data of another rank is not meant.
        opset: of the model.
    """
    rank, kind = len(order), node.op_type
    if not standard(node) or (len(node.outputs) > 1 and kind != "Split"):
        return None
    if kind in _BROADCAST or not _of_rank(node.outputs if kind == "Unsqueeze" else node.inputs[:1], rank):
        return _broadcast(node, rank) if kind in _BROADCAST else None
    # Of axes, counted from the begin or the end.
    where = {axis: place for place, axis in enumerate(order)} | {axis - rank: p for p, axis in enumerate(order)}
    if kind in _ELEMENTWISE:
        return Turned((0,))
    if kind in _REDUCE:
        return _reduced(node, where)
    if kind in ("Pad", "Slice"):
        return _padded(node, order, where) if kind == "Pad" else _sliced(node, where)
    return _along(node, where, opset)


def relaid(array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """A constant that is broadcast against data, as it is broadcast against the same in another order."""
    if array.size == 1 and array.ndim <= len(order):
        return array
    return array.reshape((1,) * (len(order) - array.ndim) + array.shape).transpose(order)


def _along(node: ir.Node, where: dict[int, int], opset: int) -> Turned | None:
    """An operator that works along one axis."""
    moved: tuple[int, ...] = (0,)
    last = len(where) // 2 - 1
    softmax = node.op_type in ("LogSoftmax", "Softmax")
    axis = where[node.attributes.get_int("axis", -1 if softmax else 0)]
    match node.op_type:
        case "Concat" if _of_rank(node.inputs, last + 1):
            moved = tuple(range(len(node.inputs)))
        case "Gather" if _of_rank(node.inputs[1:2], 1):
            pass
        case "Split":
            pass
        # onnxruntime transposes, where it is another axis.
        case _ if softmax and opset >= _OPSET_OF_SOFTMAX and axis == last:
            pass
        case _:
            return None
    return Turned(moved, attributes={"axis": axis})


def _of_rank(values: Sequence[ir.Value | None], rank: int) -> bool:
    return all(value is not None and value.shape is not None and len(value.shape) == rank for value in values)


def _broadcast(node: ir.Node, rank: int) -> Turned | None:
    moved = []
    for place, value in enumerate(node.inputs):
        if value is None or value.shape is None or len(value.shape) > rank:
            return None
        known = sizes_of(value)
        if len(value.shape) == rank or constant(value) is not None:
            moved.append(place)
        elif known is None or any(size != 1 for size in known):
            return None
    fits = _of_rank(node.outputs, rank) and any(constant(node.inputs[place]) is None for place in moved)
    return Turned(tuple(moved)) if fits else None


def _reduced(node: ir.Node, where: dict[int, int]) -> Turned | None:
    """An operator that takes axes out, leaves 1 of them, or puts them in."""
    starts = node.op_type == "Unsqueeze"
    moved: tuple[int, ...] = () if starts else (0,)
    attribute = "axis" if node.op_type.startswith("Arg") else "axes"
    given = [node.attributes.get_int("axis", 0)] if attribute == "axis" else integers(node, "axes", 1)
    if given is None or not given or any(axis not in where for axis in given):
        return None
    axes = [where[axis] for axis in given]
    ends = node.op_type == "Squeeze" or not node.attributes.get_int("keepdims", 1)
    left = [place for axis, place in sorted(where.items()) if axis >= 0 and place not in axes]
    if (ends or starts) and left != sorted(left):
        return None
    if attribute in node.attributes or attribute == "axis":
        return Turned(moved, ends, {attribute: axes if attribute == "axes" else axes[0]})
    return Turned(moved, ends, constants={1: np.array(axes)})


def _padded(node: ir.Node, order: Sequence[int], where: dict[int, int]) -> Turned | None:
    pads = integers(node, "pads", 1)
    if pads is None:
        return None
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = constant(node.inputs[3])
        return None if axes is None else Turned((0,), constants={3: np.array([where[int(axis)] for axis in axes])})
    if len(pads) != 2 * len(order):
        return None
    relaid_pads = [pads[axis] for axis in order] + [pads[len(order) + axis] for axis in order]
    if "pads" in node.attributes:
        return Turned((0,), attributes={"pads": relaid_pads})
    return Turned((0,), constants={1: np.array(relaid_pads)})


def _sliced(node: ir.Node, where: dict[int, int]) -> Turned | None:
    starts = sizes_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if starts is None or len(starts) != 1:
        return None
    given = node.inputs[3] if len(node.inputs) > 3 else None
    axes = np.arange(starts[0]) if given is None else constant(given)
    if axes is None:
        return None
    # Of the type that the other inputs have.
    kind = np.int64 if node.inputs[1] is None or node.inputs[1].dtype != ir.DataType.INT32 else np.int32
    return Turned((0,), constants={3: np.array([where[int(axis)] for axis in axes], kind)})
