"""Follow channels through a graph: which of them may be scaled by factors of their own, and which must share one.

A *slot* is a number that stands for one scale factor. Every layer with weights gives each of its output channels a
new slot; operators that commute with positive scaling hand slots on; operators that join tensors tie slots
together; anything else pins the slots it reads to slot 0, whose factor is 1. A channel that occurs in several
places (after Flatten, Concat, channel shuffles) has the same slot in all of them.
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, axes_of, constant, operand, read_by_subgraphs
from edgeonnx.quantize.algorithms._linear import linear
from edgeonnx.quantize.algorithms._moves import MOVES, moved
from edgeonnx.quantize.algorithms._slots import Channels, Layout, Shift


def follow(graph: ir.Graph, highest: Mapping[str, float]) -> Channels:
    """Follow the channels of the main graph.

    Args:
        graph: of a normalized model, in topological order, shapes inferred as far as they go.
        highest: name of a tensor -> the largest value that calibration saw.
    """
    channels = Channels(highest)
    for node in graph:
        rule = _rule(node)
        shuffled = rule is not _move and any(v is not None and v.name in channels.grids for v in node.inputs)
        if rule is None or shuffled or not rule(channels, node):
            for value in node.inputs:
                channels.pin(value)
    inside = read_by_subgraphs(graph)
    for value in [*graph.outputs, *(o for node in graph for o in node.outputs if o.name in inside)]:
        channels.pin(value)
    return channels


_Rule = Callable[[Channels, ir.Node], bool]


def _rule(node: ir.Node) -> _Rule | None:
    return _RULES.get(node.op_type) if node.domain in STANDARD else None


def _layer(channels: Channels, node: ir.Node) -> bool:
    """Rows get new slots; columns are those of the input's channels."""
    found = linear(node)
    if found is None or len(node.inputs[1].uses()) > 1:  # type: ignore[union-attr]  # linear() saw a weight there
        return False
    source, result = node.inputs[0], node.outputs[0]
    groups, rows, columns = found.shape
    layout = channels.layouts.get(source.name or "") if source is not None else None
    slots = np.zeros(groups * columns, np.int64)
    if layout is not None:
        if len(layout.slots) == 1:
            slots = slots + layout.slots
        elif layout.axis == found.input_axis and len(layout.slots) == len(slots):
            slots = layout.slots
        else:
            channels.pin(source)
    new = channels.fresh(groups * rows)
    channels.layouts[result.name or ""] = Layout(found.output_axis, new)
    channels.layers.append((found, new, slots))
    return True


def _same(channels: Channels, node: ir.Node) -> bool:
    """Element by element, f(s x) = s f(x) for s > 0; further inputs are not scaled."""
    layout = channels.layouts.get(node.inputs[0].name or "") if node.inputs[0] is not None else None
    for value in node.inputs[1:]:
        channels.pin(value)
    if layout is not None:
        channels.layouts[node.outputs[0].name or ""] = layout
    return True


def _spatial(channels: Channels, node: ir.Node) -> bool:
    """As `_same`, over the axes after the second: channels must be the second and stay as many."""
    layout = channels.layouts.get(node.inputs[0].name or "") if node.inputs[0] is not None else None
    if layout is None:
        return True
    sizes = node.outputs[0].shape
    if layout.axis != 1 or any(output.uses() for output in node.outputs[1:]):
        return False
    if node.op_type in ("Resize", "Pad") and (sizes is None or sizes[1] != len(layout.slots) or not _keeps_zero(node)):
        return False
    return _same(channels, node)


def _keeps_zero(node: ir.Node) -> bool:
    """Whether what Pad or Resize adds at the border is scaled too, or is zero."""
    if node.op_type == "Resize":
        return node.attributes.get_string("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize"
    pads, filler = constant(operand(node, 1)), operand(node, 2)
    if pads is None or operand(node, 3) is not None or pads[1] or pads[len(pads) // 2 + 1]:
        return False
    if node.attributes.get_string("mode", "constant") != "constant" or filler is None:
        return True
    number = constant(filler)
    return number is not None and not np.any(number)


def _reduce(channels: Channels, node: ir.Node) -> bool:
    """Reduced over axes other than the channels'."""
    source = node.inputs[0]
    layout = channels.layouts.get(source.name or "") if source is not None else None
    if layout is None:
        return True
    axes = axes_of(node)
    if axes is None or source is None or source.shape is None:
        return False
    axes = [axis % len(source.shape) for axis in axes]
    if layout.axis in axes:
        return False
    gone = 0 if node.attributes.get_int("keepdims", 1) else sum(axis < layout.axis for axis in axes)
    channels.layouts[node.outputs[0].name or ""] = Layout(layout.axis - gone, layout.slots)
    return True


def _clip(channels: Channels, node: ir.Node) -> bool:
    """Clip(0, none) is Relu; so is Clip(0, high) whose input was seen to stay below `high`."""
    low, high = constant(operand(node, 1)), operand(node, 2)
    if operand(node, 1) is None or low is None or np.any(low != 0):
        return False
    layout = channels.layouts.get(node.inputs[0].name or "") if node.inputs[0] is not None else None
    if layout is not None and high is not None:
        bound = constant(high)
        if bound is None or not channels.highest.get(node.inputs[0].name or "", np.inf) <= float(np.ravel(bound)[0]):  # type: ignore[union-attr]
            return False
        channels.ceilings.append((node, layout.slots))
    if layout is not None:
        channels.layouts[node.outputs[0].name or ""] = layout
    return True


def _add(channels: Channels, node: ir.Node) -> bool:
    """A constant is scaled with the channels; two tensors must share their factors."""
    for index, value in enumerate(node.inputs):
        if constant(value) is not None and len(node.inputs) == 2:
            return _add_constant(channels, node, index)
    aligned = [_from_the_end(channels, value) for value in node.inputs]
    found = [layout for layout in aligned if layout is not None]
    if not found:
        return True
    axis, slots = max(found, key=lambda layout: len(layout[1]))
    shape = node.outputs[0].shape
    if len(found) < len(aligned) or any(layout[0] != axis for layout in found) or shape is None:
        return False
    if any(len(layout[1]) not in (1, len(slots)) for layout in found):
        return False
    for _, other in found:
        channels.tie(slots, other)
    channels.layouts[node.outputs[0].name or ""] = Layout(len(shape) + axis, slots)
    return True


def _add_constant(channels: Channels, node: ir.Node, index: int) -> bool:
    source, added = node.inputs[1 - index], node.inputs[index]
    found = _from_the_end(channels, source)
    if found is None:
        return True
    if not _keeps_shape(source, added) or added is None or added.dtype != ir.DataType.FLOAT:
        return False
    channels.shifts.append(Shift(node, index, found[1], -found[0] - 1))
    channels.layouts[node.outputs[0].name or ""] = channels.layouts[source.name or ""]  # type: ignore[union-attr]
    return True


def _mul(channels: Channels, node: ir.Node) -> bool:
    """One factor carries the scale; the other, which must not widen it, is left unscaled."""
    left, right = node.inputs
    if left is right:
        return False
    carrier, other = (left, right) if _from_the_end(channels, left) or node.op_type == "Div" else (right, left)
    if node.op_type == "Mul" and not _keeps_shape(carrier, other):
        carrier, other = other, carrier
    channels.pin(other)
    found = channels.layouts.get(carrier.name or "") if carrier is not None else None
    if found is None:
        return True
    if not _keeps_shape(carrier, other):
        return False
    channels.layouts[node.outputs[0].name or ""] = found
    return True


def _keeps_shape(value: ir.Value | None, other: ir.Value | None) -> bool:
    """Whether broadcasting `other` against `value` leaves the latter's shape as it is."""
    if value is None or other is None or value.shape is None or other.shape is None:
        return False
    if len(other.shape) > len(value.shape):
        return False
    pairs = zip(reversed(other.shape), reversed(value.shape), strict=False)
    return all(mine in (1, theirs) for mine, theirs in pairs)


def _from_the_end(channels: Channels, value: ir.Value | None) -> tuple[int, np.ndarray] | None:
    """The channel axis counted from the end, as broadcasting does, and the slots."""
    layout = channels.layouts.get(value.name or "") if value is not None else None
    if layout is None or value is None or value.shape is None:
        return None
    return layout.axis - len(value.shape), layout.slots


def _move(channels: Channels, node: ir.Node) -> bool:
    """Shape operators: seen by moving the slots themselves."""
    grids = {value.name or "": _grid(channels, value) for value in node.inputs if value is not None}
    known = {name: grid for name, grid in grids.items() if grid is not None}
    results = moved(node, known) if known else [None] * len(node.outputs)
    if results is None:
        return False
    for output, grid in zip(node.outputs, results, strict=True):
        if grid is None:
            continue
        wide = [axis for axis, size in enumerate(grid.shape) if size > 1]
        if len(wide) > 1:
            channels.grids[output.name or ""] = grid
        else:
            axis = wide[0] if wide else min(1, grid.ndim - 1)
            channels.layouts[output.name or ""] = Layout(axis, grid.ravel())
    return True


def _grid(channels: Channels, value: ir.Value) -> np.ndarray | None:
    """The slots of a tensor, of its rank, of size 1 along every axis but those of its channels."""
    name = value.name or ""
    layout = channels.layouts.get(name)
    if layout is None or value.shape is None:
        return channels.grids.get(name)
    return layout.slots.reshape([-1 if axis == layout.axis else 1 for axis in range(len(value.shape))])


_SAME = ("Relu", "LeakyRelu", "PRelu", "Abs", "Neg", "Identity", "Dropout")
_SPATIAL = ("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "Resize", "Pad")
_REDUCE = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2")
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), _layer),
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_SPATIAL, _spatial),
    **dict.fromkeys(_REDUCE, _reduce),
    **dict.fromkeys(("Add", "Sub", "Sum", "Max", "Min"), _add),
    **dict.fromkeys(("Mul", "Div"), _mul),
    **dict.fromkeys(MOVES, _move),
    "Clip": _clip,
}
