"""Take out operators that change nothing.

Rules:
    Identity; Dropout as inference does it; Cast to the type it has; Transpose to the order there is.
    Reshape, Flatten, Squeeze, Unsqueeze, Expand, Tile, Slice, where the shape stays what it was, as far as shapes
        are known; Pad by nothing.
    Concat, Sum, Mean, Max, Min of one.
    Add and Sub of zeros, Mul and Div by ones, Pow to 1, where the constant does not widen the shape. Adding 0 makes
    -0 to 0, which no comparison tells apart.
"""

import onnx_ir as ir

from edgeonnx.graph import sizes_of
from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import (
    bypass,
    constant,
    edited,
    integers,
    nodes,
    same_shape,
    scalar,
)

_OF_ONE = {"Concat", "Max", "Mean", "Min", "Sum"}
_SHAPED = {"Expand", "Flatten", "Reshape", "Squeeze", "Tile", "Unsqueeze"}
_NEUTRAL = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0, "Pow": 1.0}


def remove_identities(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, _remove)


def _remove(model: ir.Model) -> int:
    found = ((node, _kept(node)) for node in nodes(model))
    return sum(bypass(node, source) for node, source in found if source is not None)


def _kept(node: ir.Node) -> ir.Value | None:
    """The input that a node gives back as it is; None where it does not."""
    first = node.inputs[0] if node.inputs else None
    kind = node.op_type
    if first is None:
        return None
    if kind in _NEUTRAL:
        return _neutral(node)
    changes_nothing = (
        kind == "Identity"
        or (kind in _OF_ONE and len(node.inputs) == 1)
        or (kind in _SHAPED and same_shape(first, node.outputs[0]))
        or (kind == "Cast" and first.dtype is not None and node.attributes.get_int("to", 0) == first.dtype)
        or (kind == "CastLike" and first.dtype is not None and node.inputs[1].dtype == first.dtype)  # type: ignore[union-attr]
        or (kind == "Transpose" and _in_order(node))
        or (kind == "Dropout" and _inference(node))
        or (kind == "Pad" and _pads_nothing(node))
        or (kind == "Slice" and same_shape(first, node.outputs[0]) and _forward(node))
    )
    return first if changes_nothing else None


def _in_order(node: ir.Node) -> bool:
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    perm = node.attributes["perm"].as_ints() if "perm" in node.attributes else None
    if perm is None:
        return shape is not None and len(shape) <= 1
    return list(perm) == sorted(perm)


def _inference(node: ir.Node) -> bool:
    """Dropout that drops nothing, and whose mask nothing reads."""
    trains = node.inputs[2] if len(node.inputs) > 2 else None
    said = constant(trains)
    off = trains is None or (said is not None and not said.any())
    masked = any(mask.uses() or mask.is_graph_output() for mask in node.outputs[1:])
    return off and not masked and node.attributes.get_int("is_test", 1) != 0


def _pads_nothing(node: ir.Node) -> bool:
    pads = integers(node, "pads", 1)
    return pads is not None and not any(pads)


def _forward(node: ir.Node) -> bool:
    """A Slice may also turn an axis around."""
    steps = constant(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else None
    return len(node.inputs) < 5 or node.inputs[4] is None or (steps is not None and bool((steps > 0).all()))


def _neutral(node: ir.Node) -> ir.Value | None:
    """The operand beside a 0 or 1 that leaves it as it is."""
    wanted = _NEUTRAL[node.op_type]
    pairs = [(node.inputs[0], node.inputs[1])]
    if node.op_type in ("Add", "Mul"):
        pairs.append((node.inputs[1], node.inputs[0]))
    for kept, other in pairs:
        if kept is not None and scalar(other) == wanted and _same_type(kept, other) and _as_wide(kept, other, node):
            return kept
    return None


def _same_type(kept: ir.Value, other: ir.Value | None) -> bool:
    return other is not None and (kept.dtype is None or kept.dtype == other.dtype)


def _as_wide(kept: ir.Value, other: ir.Value | None, node: ir.Node) -> bool:
    """Whether broadcasting leaves the shape of an operand alone."""
    if same_shape(kept, node.outputs[0]):
        return True
    small = sizes_of(other)
    return small is not None and kept.shape is not None and len(small) <= len(kept.shape) and all(s == 1 for s in small)
