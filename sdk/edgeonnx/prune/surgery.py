"""Take channels out of a model: cut weights, and correct what nodes say of sizes.

Rules:
    Weights are cut along every axis that has channels which go.
    A depthwise convolution's `group` is the number of channels left; any other's stays.
    Sizes written down (Reshape, Expand, Resize, Split) are counted again, positions (Slice, Gather) found again, where
    they are weights; where the graph computes them from shapes it keeps doing so.
    Shapes that the model states of inner tensors are taken out.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, operand, set_constant
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, Mask, stays

Correction = Callable[[ir.Node, "_Cut"], None]


class _Cut:
    """What goes."""

    def __init__(self, channels: Channels, gone: Collection[int]) -> None:
        self._channels, self._gone = channels, gone

    def along(self, value: ir.Value | None, axis: int) -> Mask | None:
        """Which positions of a tensor stay along an axis, shape (size,); None if all do."""
        labels = self._channels.values.get("" if value is None else value.name or "")
        if labels is None or labels.shape[axis] == 1:
            return None
        mask = stays(labels.reshape(-1), self._gone)
        return None if mask.all() else mask

    def changed(self, value: ir.Value) -> dict[int, int]:
        """Axis of a tensor, from the end -> its size now, of those that become shorter."""
        labels = self._channels.values.get(value.name or "")
        masks = {axis: self.along(value, axis) for axis in range(-labels.ndim, 0)} if labels is not None else {}
        return {axis: int(mask.sum()) for axis, mask in masks.items() if mask is not None}

    def size(self, value: ir.Value, axis: int) -> int:
        """Size of a tensor along an axis now."""
        mask = self.along(value, axis)
        return self._channels.shapes[value.name or ""][axis] if mask is None else int(mask.sum())

    def rank(self, value: ir.Value | None) -> int:
        """Number of a labelled tensor's axes."""
        return self._channels.values["" if value is None else value.name or ""].ndim


def remove(model: Model, channels: Channels, gone: Collection[int]) -> Model:
    """The model without some channels.

    Args:
        model: the one that `channels` were found in.
        channels: all of them.
        gone: those to take out; at least one of each group must stay.
    """
    if not gone:
        return model
    copy = model.copy()
    graph, cut = copy.ir.graph, _Cut(channels, gone)
    for node in graph:
        correct = _CORRECTIONS.get(node.op_type)
        if correct is not None and node.domain in ("", "ai.onnx"):
            correct(node, cut)
    for (name, axis), labels in channels.weights.items():
        mask = stays(labels, gone)
        if not mask.all():
            value = graph.initializers[name]
            array = constant(value)
            assert array is not None
            set_weight(value, np.compress(mask, array, axis))
    for value in (output for node in graph for output in node.outputs):
        if not value.is_graph_output():
            value.shape = None
    return Model(copy.ir)


def set_weight(value: ir.Value, array: np.ndarray) -> None:
    """Give an initializer another array, in place, for all its readers."""
    tensor = ir.tensor(np.ascontiguousarray(array), name=value.name)
    value.const_value, value.shape = tensor, ir.Shape(array.shape)


def _grouped(node: ir.Node, cut: _Cut) -> None:
    data, weight = node.inputs[0], constant(operand(node, 1))
    groups = node.attributes.get_int("group", 1)
    mask = cut.along(data, 1)
    if mask is not None and weight is not None and groups == len(mask) and weight.shape[1] == 1:
        node.attributes["group"] = ir.AttrInt64("group", int(mask.sum()))


def _sizes(index: int) -> Correction:
    """A correction of an operand that holds sizes of the output; 0 and -1 among them stay."""

    def correct(node: ir.Node, cut: _Cut) -> None:
        sizes = constant(operand(node, index))
        if sizes is None or not sizes.size:
            return
        new = sizes.copy()
        for axis, size in cut.changed(node.outputs[0]).items():
            if len(new) + axis >= 0 and new[axis] > 1:
                new[axis] = size
        if not np.array_equal(new, sizes):
            set_constant(node, index, new)

    return correct


def _split(node: ir.Node, cut: _Cut) -> None:
    axis = node.attributes.get_int("axis", 0)
    if cut.along(node.inputs[0], axis) is not None:
        node.attributes.pop("num_outputs", None)
        set_constant(node, 1, np.array([cut.size(output, axis) for output in node.outputs], np.int64))


def _slice(node: ir.Node, cut: _Cut) -> None:
    starts, ends, axes = (constant(operand(node, index)) for index in (1, 2, 3))
    for axis in cut.changed(node.inputs[0]) if node.inputs[0] is not None else ():
        mask = cut.along(node.inputs[0], axis)
        if starts is None or ends is None or mask is None:
            continue
        rank = cut.rank(node.inputs[0])
        places = [i for i, own in enumerate(range(len(starts)) if axes is None else axes) if (own - axis) % rank == 0]
        for place in places:
            start, end, _ = slice(int(starts[place]), int(ends[place])).indices(len(mask))
            starts, ends = starts.copy(), ends.copy()
            starts[place], ends[place] = mask[:start].sum(), mask[:end].sum()
        set_constant(node, 1, starts)
        set_constant(node, 2, ends)


def _gather(node: ir.Node, cut: _Cut) -> None:
    axis, indexes = node.attributes.get_int("axis", 0), constant(operand(node, 1))
    mask = cut.along(node.inputs[0], axis)
    if mask is not None and indexes is not None and indexes.ndim == 1:
        indexes = indexes % len(mask)
        set_constant(node, 1, (np.cumsum(mask) - 1)[indexes[mask[indexes]]].astype(np.int64))


_CORRECTIONS: Mapping[str, Correction] = {
    "Conv": _grouped,
    "ConvTranspose": _grouped,
    "Expand": _sizes(1),
    "Gather": _gather,
    "Reshape": _sizes(1),
    "Resize": _sizes(3),
    "Slice": _slice,
    "Split": _split,
}
