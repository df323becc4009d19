"""What nodes say of sizes, put right for fewer channels: one correction an operator, in the table below."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, free_name, operand, set_constant
from edgeonnx.prune.attention import HEADS
from edgeonnx.prune.channels import Channels, Mask, stays
from edgeonnx.prune.recurrent import STATES, starts_at_zero


class Cut:
    """What goes.

    Args:
        channels: all of a model.
        gone: those that go.
    """

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


Correction = Callable[[ir.Node, Cut], None]


def _grouped(node: ir.Node, cut: Cut) -> None:
    data, weight = node.inputs[0], constant(operand(node, 1))
    groups = node.attributes.get_int("group", 1)
    mask = cut.along(data, 1)
    if mask is not None and weight is not None and groups == len(mask) and weight.shape[1] == 1:
        node.attributes["group"] = ir.AttrInt64("group", int(mask.sum()))


def _counted(attributes: Sequence[str], axis: int) -> Correction:
    """A correction of attributes, each the number of groups or heads along an axis of the input in its place."""

    def correct(node: ir.Node, cut: Cut) -> None:
        for name, value in zip(attributes, node.inputs, strict=False):
            mask = cut.along(value, axis) if name in node.attributes else None
            if mask is not None:
                count = node.attributes.get_int(name) * int(mask.sum()) // len(mask)
                node.attributes[name] = ir.AttrInt64(name, count)

    return correct


def _recurrent(node: ir.Node, cut: Cut) -> None:
    found = (cut.along(value, -1) for value in node.outputs)
    mask = next((mask for mask in found if mask is not None), None)
    if mask is None:
        return
    node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", int(mask.sum()))
    for index in STATES:
        if starts_at_zero(operand(node, index)):
            node.replace_input_with(index, None)


def _sizes(index: int) -> Correction:
    """A correction of an operand that holds sizes of the output."""

    def correct(node: ir.Node, cut: Cut) -> None:
        value, changed = operand(node, index), cut.changed(node.outputs[0])
        maker = None if value is None else value.producer()
        if maker is None:
            _written(node, index, changed)
        elif maker.op_type == "Concat" and changed:
            _joined(node, index, maker, changed, cut)

    return correct


def _written(node: ir.Node, index: int, sizes: Mapping[int, int]) -> None:
    """Put other sizes into a constant, by axis from the end; 0 and -1 among them stay."""
    old = constant(operand(node, index))
    if old is None or not old.size:
        return
    new = old.copy()
    for axis, size in sizes.items():
        if -len(new) <= axis < 0 and new[axis] > 1:
            new[axis] = size
    if not np.array_equal(new, old):
        set_constant(node, index, new)


def _joined(node: ir.Node, index: int, maker: ir.Node, sizes: Mapping[int, int], cut: Cut) -> None:
    """Give a node a Concat of its own where some of the sizes that one joins are written down."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    own = ir.Node("", "Concat", maker.inputs, maker.attributes.values(), name=free_name(graph, f"{node.name}.{index}"))
    own.outputs[0].name, own.outputs[0].type = own.name, maker.outputs[0].type
    graph.insert_before(node, own)
    behind = 0
    for place, value in reversed(list(enumerate(maker.inputs))):
        _written(own, place, {axis + behind: size for axis, size in sizes.items()})
        array = constant(value)
        behind += len(array) if array is not None else cut.size(value, 0) if value is not None else 0
    if own.inputs == maker.inputs:
        graph.remove(own, safe=True)
    else:
        node.replace_input_with(index, own.outputs[0])


def _split(node: ir.Node, cut: Cut) -> None:
    axis = node.attributes.get_int("axis", 0)
    if cut.along(node.inputs[0], axis) is not None:
        node.attributes.pop("num_outputs", None)
        set_constant(node, 1, np.array([cut.size(output, axis) for output in node.outputs], np.int64))


def _slice(node: ir.Node, cut: Cut) -> None:
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


def _gather(node: ir.Node, cut: Cut) -> None:
    axis, indexes = node.attributes.get_int("axis", 0), constant(operand(node, 1))
    mask = cut.along(node.inputs[0], axis)
    if mask is not None and indexes is not None and indexes.ndim == 1:
        indexes = indexes % len(mask)
        set_constant(node, 1, (np.cumsum(mask) - 1)[indexes[mask[indexes]]].astype(np.int64))


CORRECTIONS: Mapping[str, Correction] = {
    "Attention": _counted(HEADS[:2], -1),
    "Conv": _grouped,
    "ConvTranspose": _grouped,
    "Expand": _sizes(1),
    "GRU": _recurrent,
    "Gather": _gather,
    "GroupNormalization": _counted(("num_groups",), 1),
    "LSTM": _recurrent,
    "RNN": _recurrent,
    "Reshape": _sizes(1),
    "Resize": _sizes(3),
    "Slice": _slice,
    "Split": _split,
}
