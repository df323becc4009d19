"""Join operators that follow each other and undo or repeat one another.

Rules:
    Transpose after Transpose is one Transpose.
    Squeeze after Unsqueeze of the same axes, and the other way round, undo each other.
    Reshape, Flatten, Squeeze or Unsqueeze before a Reshape: the Reshape alone, unless a 0 in its shape copies a size.
    Any of these after another, where the shape in the end is known but for one size: one Reshape.
    A Transpose that moves axes of size 1 alone is one of these.
    Cast after Cast: one Cast, where the first loses nothing (widens floats, or whole numbers).
    Relu and Clip after each other: the one whose bounds lie within the other's.
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import (
    add_weight,
    bypass,
    constant,
    drop,
    each,
    edited,
    integers,
    only_reader,
    replaced,
    scalar,
    standard,
)

_RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
# Type -> types that hold each of its values.
_HOLDS = {
    "BOOL": "UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 FLOAT16 BFLOAT16 FLOAT DOUBLE",
    "UINT8": "UINT16 INT16 UINT32 INT32 UINT64 INT64 FLOAT16 BFLOAT16 FLOAT DOUBLE",
    "INT8": "INT16 INT32 INT64 FLOAT16 BFLOAT16 FLOAT DOUBLE",
    "UINT16": "UINT32 INT32 UINT64 INT64 FLOAT DOUBLE",
    "INT16": "INT32 INT64 FLOAT DOUBLE",
    "UINT32": "UINT64 INT64 DOUBLE",
    "INT32": "INT64 DOUBLE",
    "FLOAT16": "FLOAT DOUBLE",
    "BFLOAT16": "FLOAT DOUBLE",
    "FLOAT": "DOUBLE",
}


def cancel_pairs(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, _cancel)


def _cancel(model: ir.Model) -> int:
    done = sum(_join_transposes(node) for node in each(model, "Transpose"))
    done += sum(_join_reshapes(node) for node in each(model, *_RESHAPES, "Transpose"))
    done += sum(_join_casts(node) for node in each(model, "Cast"))
    return done + sum(_join_clips(node) for node in each(model, "Relu", "Clip"))


def _before(node: ir.Node, *operators: str) -> ir.Node | None:
    """The node whose result is a node's first input, if it is of these operators and of the same graph."""
    maker = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    fits = maker is not None and standard(maker) and maker.op_type in operators and maker.graph is node.graph
    return maker if fits else None


def _join_transposes(node: ir.Node) -> bool:
    before = _before(node, "Transpose")
    if before is None or "perm" not in before.attributes or "perm" not in node.attributes:
        return False
    first, second = before.attributes["perm"].as_ints(), node.attributes["perm"].as_ints()
    node.attributes["perm"] = ir.AttrInt64s("perm", [first[axis] for axis in second])
    node.replace_input_with(0, before.inputs[0])
    drop([before])
    return True


def _join_reshapes(node: ir.Node) -> bool:
    before = _before(node, *_RESHAPES, "Transpose")
    if before is None or before.inputs[0] is None or not _keeps_order(node) or not _keeps_order(before):
        return False
    if {node.op_type, before.op_type} == {"Squeeze", "Unsqueeze"}:
        axes = integers(node, "axes", 1)
        if axes is not None and axes == integers(before, "axes", 1) and bypass(node, before.inputs[0]):
            return True
    if node.op_type == "Reshape" and not _copies_sizes(node):
        node.replace_input_with(0, before.inputs[0])
        drop([before])
        return True
    shape = _told(node.outputs[0])
    if shape is None or only_reader(before.outputs[0]) is not node or node.graph is None:
        return False
    weight = add_weight(node.graph, np.array(shape, np.int64), f"{node.outputs[0].name}.shape")
    replaced(node, "Reshape", [before.inputs[0], weight])
    return True


def _keeps_order(node: ir.Node) -> bool:
    """Whether elements stay in order."""
    if node.op_type != "Transpose":
        return True
    shape = None if node.inputs[0] is None else node.inputs[0].shape
    if shape is None or "perm" not in node.attributes:
        return False
    moved = [axis for axis in node.attributes["perm"].as_ints() if shape[axis] != 1]
    return moved == sorted(moved)


def _told(value: ir.Value) -> list[int] | None:
    """A shape as Reshape takes it, with -1 for a size that is not known; None where it can't be said so."""
    if value.shape is None:
        return None
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return shape if shape.count(-1) <= 1 and 0 not in shape else None


def _copies_sizes(node: ir.Node) -> bool:
    """Whether a 0 in a Reshape's shape means a size of its input, or its shape is not known."""
    shape = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return shape is None or (bool((shape == 0).any()) and not node.attributes.get_int("allowzero", 0))


def _join_casts(node: ir.Node) -> bool:
    before = _before(node, "Cast")
    if before is None or before.inputs[0] is None or before.inputs[0].dtype is None:
        return False
    source, middle = before.inputs[0].dtype, ir.DataType(before.attributes.get_int("to", 0))
    if middle.name not in _HOLDS.get(source.name, "").split():
        return False
    node.replace_input_with(0, before.inputs[0])
    drop([before])
    return True


def _join_clips(node: ir.Node) -> bool:
    before = _before(node, "Relu", "Clip")
    first, second = (None, None) if before is None else (_bounds(before), _bounds(node))
    if before is None or first is None or second is None:
        return False
    if second[0] <= first[0] and first[1] <= second[1]:
        return bypass(node, before.outputs[0])
    if first[0] <= second[0] and second[1] <= first[1] and only_reader(before.outputs[0]) is node:
        node.replace_input_with(0, before.inputs[0])
        drop([before])
        return True
    return False


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """What a Relu or a Clip keeps values within; None where it is not known."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    ends = []
    for position, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        given = node.inputs[position] if len(node.inputs) > position else None
        ends.append(node.attributes.get_float(name, default) if given is None else scalar(given))
    low, high = ends
    return None if low is None or high is None or low > high else (low, high)
