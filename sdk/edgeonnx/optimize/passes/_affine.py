"""Operators that scale and shift each channel by constants."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.optimize.passes._edit import constant

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Affine:
    """`scale * x + shift`, in float64, shape (channels,) each."""

    scale: np.ndarray
    shift: np.ndarray


def affine(node: ir.Node, data: ir.Value, channels: int, axis: int, rank: int | None) -> Affine | None:
    """What a node does to each channel of `data`, one of its inputs; None where it does anything else.

    Args:
        node: BatchNormalization, or Mul, Div, Add, Sub by a constant.
        data: the input that is scaled and shifted.
        channels: how many there are.
        axis: of the channels, counted from the end (negative).
        rank: of the data; None where only the last axis is known to be the channels'.
    """
    if node.op_type == "BatchNormalization":
        return _normalization(node) if rank is not None and axis == 1 - rank else None
    if node.op_type not in ("Add", "Div", "Mul", "Sub") or len(node.inputs) != 2:
        return None
    first = node.inputs[0] is data
    array = constant(node.inputs[1 if first else 0])
    if array is None or node.inputs[0] is node.inputs[1] or data.dtype not in (None, *_FLOATS):
        return None
    vector = _by_channel(array, channels, axis, rank)
    return None if vector is None else _arithmetic(node.op_type, vector, first)


def _arithmetic(operator: str, vector: np.ndarray, first: bool) -> Affine | None:
    """What an operator and a constant do to data; `first`: the data is the first operand."""
    ones, zeros = np.ones_like(vector), np.zeros_like(vector)
    match operator, first:
        case "Mul", _:
            return Affine(vector, zeros)
        case "Add", _:
            return Affine(ones, vector)
        case "Sub", True:
            return Affine(ones, -vector)
        case "Sub", False:
            return Affine(-ones, vector)
        case "Div", True if vector.all():
            return Affine(1 / vector, zeros)
    return None


def _by_channel(array: np.ndarray, channels: int, axis: int, rank: int | None) -> np.ndarray | None:
    """A constant that is broadcast along all axes but the channels', as a vector in float64."""
    wide = array.ndim > -axis if rank is None else array.ndim > rank
    if wide and array.size > 1:
        return None
    if rank is not None and array.ndim > rank:
        return None
    if array.size == 1 and (array.ndim <= -axis or rank is not None):
        return np.full(channels, array.reshape(-1)[0], np.float64)
    if array.ndim < -axis or array.shape[axis] != channels or array.size != channels:
        return None
    return array.reshape(-1).astype(np.float64)


def _normalization(node: ir.Node) -> Affine | None:
    parts = [constant(value) for value in node.inputs[1:5]]
    plain = node.attributes.get_int("training_mode", 0) == 0 and node.attributes.get_int("spatial", 1) == 1
    read = any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
    if any(part is None for part in parts) or not plain or read:
        return None
    scale, bias, mean, variance = (part.astype(np.float64) for part in parts if part is not None)
    factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return Affine(factor, bias - mean * factor) if np.isfinite(factor).all() else None
