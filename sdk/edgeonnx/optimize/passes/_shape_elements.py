"""Elements of integer tensors as far as they are known: numbers, free dimensions by a name, None for the rest."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD

# An array of int, str and None, of the tensor's shape.
Elements = np.ndarray
Known = Mapping[ir.Value, Elements]
Shapes = Mapping[str, tuple[int | str | None, ...]]

_INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)
# Shapes are short; what is longer is data.
_MOST = 256


def constant_elements(tensor: ir.TensorProtocol | None) -> Elements | None:
    """Those of a constant; None if it is not of integers, or too large to be a shape."""
    if tensor is None or tensor.dtype not in _INTEGERS or tensor.size > _MOST:
        return None
    return _objects(tensor.numpy())


def elements_of(node: ir.Node, known: Known, shapes: Shapes) -> Elements | None:
    """Those of a node's only output; None if nothing is known of it, not even its size."""
    if node.domain not in STANDARD:
        return None
    if node.op_type == "Constant":
        return constant_elements(ir.convenience.get_const_tensor(node.outputs[0]))
    if node.op_type in ("Shape", "Size"):
        return _measured(node, shapes)
    operands = [None if value is None else known.get(value) for value in node.inputs]
    if operands and operands[0] is not None and (found := _moved(node, operands, shapes)) is not None:
        return found
    return _unknown(node, shapes)


def numbers_of(elements: Elements | None) -> np.ndarray | None:
    """Them as int64; None unless all are numbers."""
    if elements is None or not all(isinstance(element, int) for element in elements.flat):
        return None
    return elements.astype(np.int64)


def _objects(array: np.ndarray) -> Elements:
    # Not astype: the elements are to be Python's integers.
    return _array(array.flatten().tolist(), array.shape)


def _array(elements: Sequence[int | str | None], shape: Sequence[int]) -> Elements:
    made = np.empty(len(elements), object)
    made[:] = elements
    return made.reshape(shape)


def _unknown(node: ir.Node, shapes: Shapes) -> Elements | None:
    """A vector or scalar of which only the size is known."""
    shape = shapes.get(node.outputs[0].name or "")
    if shape is None or len(shape) > 1:
        return None
    sizes = [size for size in shape if isinstance(size, int)]
    return np.full(sizes, None, object) if len(sizes) == len(shape) and sum(sizes) <= _MOST else None


def _measured(node: ir.Node, shapes: Shapes) -> Elements | None:
    """What Shape and Size make."""
    value = node.inputs[0]
    shape = shapes.get((value.name if value else None) or "")
    if shape is None:
        return None
    if node.op_type == "Shape":
        cut = shape[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(shape))]
        return _array(cut, [len(cut)])
    sizes = [size for size in shape if isinstance(size, int)]
    return _array([math.prod(sizes)], ()) if len(sizes) == len(shape) else None


def _moved(node: ir.Node, operands: Sequence[Elements | None], shapes: Shapes) -> Elements | None:
    """What a node makes that moves elements of its inputs and computes nothing; None for any other."""
    data = operands[0]
    if data is None:
        return None
    made: Elements | None = None
    match node.op_type:
        case "Identity":
            made = data
        case "Cast" if node.attributes.get_int("to", 0) in _INTEGERS:
            made = data
        case "Gather" if data.ndim == 1:
            made = _gathered(data, operands[1])
        case "Concat" if data.ndim == 1:
            parts = [part for part in operands if part is not None]
            made = np.concatenate(parts) if len(parts) == len(operands) else None
        case "Slice" if data.ndim == 1:
            made = _sliced(node, data, operands[1:])
        case "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten":
            shape = shapes.get(node.outputs[0].name or "", (None,))
            sizes = [size for size in shape if isinstance(size, int)]
            made = data.reshape(sizes) if len(sizes) == len(shape) and math.prod(sizes) == data.size else None
    return made


def _gathered(data: Elements, places: Elements | None) -> Elements | None:
    numbers = numbers_of(places)
    if numbers is None or not all(-len(data) <= number < len(data) for number in numbers.flat):
        return None
    return _array([data[number] for number in numbers.flat], numbers.shape)


def _sliced(node: ir.Node, data: Elements, operands: Sequence[Elements | None]) -> Elements | None:
    """A part of a vector. Up to opset 9 where it starts and ends are attributes."""
    if "starts" in node.attributes:
        (start,), (end,) = node.attributes["starts"].as_ints(), node.attributes["ends"].as_ints()
        return data[start:end]
    numbers = [numbers_of(operand) for operand in operands]
    if any(number is None or number.size != 1 for number in numbers):
        return None  # an operand that is left out, too, which is rare
    start, end, *more = [int(number.item()) for number in numbers if number is not None]
    return data[start : end : more[1] if len(more) > 1 else 1]
