"""Operators that only move values about, seen by letting them move the numbers of channels."""

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx
import onnx_ir as ir

from edgeonnx.graph import constant

MOVES = (
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze",
    "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
# A tensor of more elements than this is not followed: the numbers would take more memory than the model's weights.
_LIMIT = 1 << 24


def moved(node: ir.Node, known: Mapping[str, np.ndarray]) -> list[np.ndarray | None] | None:
    """Where channels are after a shape operator.

    The operator runs on tensors filled with the numbers of the channels, twice: with two different sizes for the
    free dimensions. What is the same in both holds for all sizes.

    Args:
        node: one of `MOVES`.
        known: name of an input -> the numbers of its channels, int64, of the input's rank and of size 1 along every
            axis that they do not change along; inputs that are absent count as 0.

    Returns:
        The same for each output, None where all are 0; None as a whole if the result depends on the size of a free
        dimension, or shapes are not known.
    """
    small, large = (_run(node, known, base) for base in (2, 5))
    if small is None or large is None:
        return None
    found: list[np.ndarray | None] = []
    for one, other in zip(map(_shrink, small), map(_shrink, large), strict=True):
        if not np.array_equal(one, other):
            return None
        found.append(one if one.any() else None)
    return found


def _run(node: ir.Node, known: Mapping[str, np.ndarray], base: int) -> list[np.ndarray] | None:
    """The operator's outputs for inputs filled with numbers; the k-th free dimension is of size `base + k`."""
    sizes: dict[str, int] = {}
    feeds = {}
    for index, value in enumerate(node.inputs):
        if value is None:
            continue
        array = constant(value)
        if value.dtype == ir.DataType.FLOAT:
            shape = _shape(value, sizes, base)
            if shape is None or prod(shape) > _LIMIT:
                return None
            array = _filled(shape, known.get(value.name or ""))
        elif array is None and node.op_type == "Reshape" and index == 1:
            array = _target(node, sizes, base)
        if array is None:
            return None
        feeds[value.name or ""] = array
    return _evaluate(node, feeds)


def _filled(shape: tuple[int, ...], numbers: np.ndarray | None) -> np.ndarray | None:
    if numbers is None:
        return np.zeros(shape, np.int64)
    fits = numbers.ndim == len(shape) and all(
        mine in (1, size) for mine, size in zip(numbers.shape, shape, strict=True)
    )
    return np.broadcast_to(numbers, shape) if fits else None


def _target(node: ir.Node, sizes: dict[str, int], base: int) -> np.ndarray | None:
    """A computed shape, as shape inference understood it."""
    shape = _shape(node.outputs[0], sizes, base)
    return None if shape is None else np.array(shape, np.int64)


def _shape(value: ir.Value, sizes: dict[str, int], base: int) -> tuple[int, ...] | None:
    if value.shape is None:
        return None
    found = []
    for size in value.shape:
        if isinstance(size, int):
            found.append(size)
        elif size.value is None:
            return None
        else:
            found.append(sizes.setdefault(str(size.value), base + len(sizes)))
    return tuple(found)


def _evaluate(node: ir.Node, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    # Here because it takes half a second, and few models need it.
    from onnx.reference import ReferenceEvaluator

    version = node.graph.opset_imports.get("", 0) if node.graph is not None else 0
    kinds = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in feeds]
    outputs = [onnx.helper.make_tensor_value_info(v.name or "", onnx.TensorProto.INT64, None) for v in node.outputs]
    graph = onnx.helper.make_graph([ir.to_proto(node)], "move", kinds, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
    try:
        return list(ReferenceEvaluator(model).run(None, dict(feeds)))
    except Exception:  # it raises whatever numpy does for a shape that does not fit; then nothing is known
        return None


def _shrink(array: np.ndarray) -> np.ndarray:
    """The array with size 1 along every axis that it does not change along."""
    for axis in range(array.ndim):
        first = array.take([0], axis) if array.shape[axis] else array
        if (array == first).all():
            array = first
    return array
