"""What is known while channels are followed through a graph: the labels of each tensor and of each weight's axes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import onnx_ir as ir

from edgeonnx.prune.labels import Array, Labels, varying

Shape = tuple[int, ...]


class Role(Enum):
    """What a weight's axis does with channels."""

    MAKES = "makes"  # each position makes a channel
    READS = "reads"  # channels are summed over it
    FOLLOWS = "follows"  # each position belongs to a channel: a bias, a scale, a filter of a depthwise convolution


@dataclass(frozen=True)
class Axis:
    """An axis of a weight as one node uses it.

    Attributes:
        weight: the initializer's name.
        axis: of it.
        role: what the node does with it.
        node: name of the node.
    """

    weight: str
    axis: int
    role: Role
    node: str


@dataclass
class Trace:
    """The state of one walk over a graph.

    Attributes:
        labels: all of them.
        shapes: name of a tensor of the main graph -> its shape on a sample.
        known: name -> value on a sample, of the small tensors that say how others are moved.
        static: names of tensors that depend on weights and shapes alone.
        values: name of a tensor -> its labels.
        weights: (initializer, axis) -> its labels, shape (size of the axis,).
        axes: the uses of weights' axes, in order.
        summed: labels that tensors are summed over with each other, and the node that does.
    """

    labels: Labels
    shapes: Mapping[str, Shape]
    known: Mapping[str, np.ndarray]
    static: set[str] = field(default_factory=set)
    values: dict[str, Array] = field(default_factory=dict)
    weights: dict[tuple[str, int], Array] = field(default_factory=dict)
    axes: list[Axis] = field(default_factory=list)
    summed: list[tuple[Array, str]] = field(default_factory=list)

    def shape(self, value: ir.Value) -> Shape:
        """Shape of a tensor or initializer on the sample.

        Raises:
            KeyError: it is no tensor.
        """
        if value.const_value is not None and value.is_initializer():
            return tuple(value.const_value.shape.numpy())
        return self.shapes[value.name or ""]

    def of(self, value: ir.Value) -> Array:
        """A tensor's labels, compacted; zeros for what is not labelled."""
        found = self.values.get(value.name or "")
        return self.labels.compact(np.zeros((1,) * len(self.shape(value)), np.int64) if found is None else found)

    def put(self, value: ir.Value, labels: Array) -> None:
        """Label a tensor."""
        if value.name:
            self.values[value.name] = self.labels.compact(labels)

    def along(self, value: ir.Value, axis: int) -> Array:
        """Labels of a tensor along one axis, shape (size,), after they were made the same along all others."""
        found, axis = self.of(value), axis % len(self.shape(value))
        for other in varying(found):
            if other != axis:
                found = self.labels.level(found, other)
        return np.broadcast_to(found.reshape(-1), (self.shape(value)[axis],))

    def bind(self, value: ir.Value, axis: int, labels: Array, role: Role, node: ir.Node) -> None:
        """Say what an axis of a weight has to do with channels.

        Args:
            value: an initializer.
            axis: of it; may count from the end.
            labels: of the channels, shape (size of the axis,).
            role: what the node does with them.
            node: that uses the weight.
        """
        axis %= len(self.shape(value))
        key = (value.name or "", axis)
        if key in self.weights:
            self.labels.unite(self.weights[key], labels)
        else:
            self.weights[key] = np.array(labels)
        if value.is_graph_output() or value.is_graph_input():
            self.labels.fix(labels, f"{value.name} is an input or output of the model")
        self.axes.append(Axis(*key, role, node.name or ""))

    def give_up(self, node: ir.Node, why: str | None = None) -> None:
        """Fix all that a node reads; what it makes has no labels."""
        why = why or f"{node.name} ({node.op_type}) takes channels as they are"
        for value in node.inputs:
            if value is not None and value.name in self.values:
                self.labels.fix(self.of(value), why)


def is_weight(value: ir.Value | None) -> bool:
    """Whether a value is an initializer."""
    return value is not None and value.is_initializer()


def more_used(node: ir.Node) -> bool:
    """Whether something reads more of what a node gives than its first output."""
    return any(value.uses() or value.is_graph_output() for value in node.outputs[1:])


def spread(labels: Array, rank: int, axis: int) -> Array:
    """Labels of shape (size,) as those of a tensor of `rank` axes, along one of them."""
    shape = [1] * rank
    shape[axis] = labels.size
    return labels.reshape(shape)
