"""What can be pruned: channels in groups, and where each of them is found."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeonnx.prune.follow import follow
from edgeonnx.prune.labels import Array
from edgeonnx.prune.probe import Probe
from edgeonnx.prune.trace import Axis, Role, Trace

Mask = NDArray[np.bool_]
_FOLLOWS = 3


@dataclass(frozen=True)
class Group:
    """Channels that are alike: found in the same places, so that any number of them but all may go.

    Attributes:
        name: the nodes that make them.
        channels: a number for each, as in the labels of `Channels`; one may be several positions of a weight.
        makers: axes whose positions make them.
        readers: axes that are summed over them.
    """

    name: str
    channels: tuple[int, ...]
    makers: tuple[Axis, ...]
    readers: tuple[Axis, ...]


@dataclass(frozen=True)
class Stuck:
    """A weight whose output channels can't go.

    Attributes:
        node: that uses it.
        why: they can't.
    """

    node: str
    why: str


@dataclass(frozen=True)
class Channels:
    """The channels of a model.

    Attributes:
        groups: of those that may go.
        stuck: those that may not.
        axes: what weights' axes have to do with channels, node by node.
        weights: (initializer, axis) -> its channels, shape (size of the axis,).
        values: name of a tensor -> its channels, of size 1 along axes where they do not differ.
        shapes: name of a tensor -> its shape on a sample.
    """

    groups: tuple[Group, ...]
    stuck: tuple[Stuck, ...]
    axes: tuple[Axis, ...]
    weights: Mapping[tuple[str, int], Array]
    values: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]]

    def read_axis(self, node: str, weight: str) -> Axis | None:
        """The axis of its weight that a node sums channels over; None if it does not."""
        found = (a for a in self.axes if (a.node, a.weight, a.role) == (node, weight, Role.READS))
        return next(found, None)

    def kept(self, axis: Axis, gone: Collection[int]) -> Mask:
        """Which positions of a weight's axis stay, shape (size of the axis,)."""
        return stays(self.weights[axis.weight, axis.axis], gone)


def stays(labels: Array, gone: Collection[int]) -> Mask:
    """Where the channels are not among those that go; of the labels' shape."""
    return ~np.isin(labels, np.fromiter(gone, np.int64))


def find_channels(model: ir.Model, probe: Probe) -> Channels:
    """Follow channels through a model, see `edgeonnx.prune.follow`, and put them into groups."""
    trace = follow(model, probe.shapes, probe.known)
    weights = {key: trace.labels.roots(labels) for key, labels in trace.weights.items()}
    values = {name: trace.labels.compact(labels) for name, labels in trace.values.items()}
    return Channels(_groups(trace, weights, values), _stuck(trace), tuple(trace.axes), weights, values, probe.shapes)


def _groups(trace: Trace, weights: Mapping[tuple[str, int], Array], values: Mapping[str, Array]) -> tuple[Group, ...]:
    places: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for place, labels in [*weights.items(), *(((name, -1), labels) for name, labels in values.items())]:
        for root in np.unique(labels):
            places[int(root)].append(place)
    alike: dict[frozenset[tuple[str, int]], list[int]] = defaultdict(list)
    for root, found in places.items():
        if trace.labels.why_fixed(root) is None:
            alike[frozenset(found)].append(root)
    groups: list[Group] = []
    for where, channels in alike.items():
        axes = [axis for axis in dict.fromkeys(trace.axes) if (axis.weight, axis.axis) in where]
        makers, readers = (tuple(a for a in axes if a.role is role) for role in (Role.MAKES, Role.READS))
        if len(channels) > 1 and makers:
            name = _named(makers)
            number = sum(group.name.partition(" #")[0] == name for group in groups) + 1
            name += f" #{number}" if number > 1 else ""
            groups.append(Group(name, tuple(sorted(channels)), makers, readers))
    return tuple(groups)


def _named(makers: tuple[Axis, ...]) -> str:
    names = list(dict.fromkeys(axis.node for axis in makers))
    more = f" and {len(names) - _FOLLOWS} more" if len(names) > _FOLLOWS else ""
    return " + ".join(names[:_FOLLOWS]) + more


def _stuck(trace: Trace) -> tuple[Stuck, ...]:
    found = []
    for axis in trace.axes:
        reasons = [trace.labels.why_fixed(int(root)) for root in np.unique(trace.weights[axis.weight, axis.axis])]
        if axis.role is Role.MAKES and reasons and all(reasons):
            found.append(Stuck(axis.node, reasons[0] or ""))
    return tuple(dict.fromkeys(found))
