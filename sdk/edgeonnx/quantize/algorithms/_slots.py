"""The bookkeeping of `_channels`: slots, and which of them share one factor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgeonnx.quantize.algorithms._linear import Linear

PINNED = 0


@dataclass(frozen=True)
class Layout:
    """Where the channels of a tensor are.

    Attributes:
        axis: not negative.
        slots: one a channel, int64; or a single one for all channels.
    """

    axis: int
    slots: np.ndarray


@dataclass(frozen=True)
class Shift:
    """A constant added to scaled channels, which must be scaled with them: `node.inputs[index]`.

    Attributes:
        behind: number of axes behind the channels' own.
    """

    node: ir.Node
    index: int
    slots: np.ndarray
    behind: int


@dataclass
class Channels:
    """What was found in a graph.

    Attributes:
        highest: name of a tensor -> the largest value that calibration saw.
        layouts: name of a tensor -> its channels; tensors whose channels are all pinned are absent.
        grids: the same for tensors amid a channel shuffle, whose slots change along several axes: the slots, of the
            tensor's rank.
        layers: layers with weights, in topological order, with the slots of their rows and columns.
        shifts: constants to scale.
        ceilings: Clip nodes taken for a Relu, because calibration never saw their upper bound at work.
    """

    highest: Mapping[str, float]
    layouts: dict[str, Layout] = field(default_factory=dict)
    grids: dict[str, np.ndarray] = field(default_factory=dict)
    layers: list[tuple[Linear, np.ndarray, np.ndarray]] = field(default_factory=list)
    shifts: list[Shift] = field(default_factory=list)
    ceilings: list[tuple[ir.Node, np.ndarray]] = field(default_factory=list)
    _parent: list[int] = field(default_factory=lambda: [PINNED])

    def fresh(self, count: int) -> np.ndarray:
        """New slots."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def tie(self, left: np.ndarray, right: np.ndarray | int) -> None:
        """Make slots share one factor, pair by pair; the lowest stands for all, so pinned ones stay pinned."""
        for one, other in np.broadcast(left, right):
            low, high = sorted((self._root(int(one)), self._root(int(other))))
            self._parent[high] = low

    def roots(self, slots: np.ndarray) -> np.ndarray:
        """The slots that stand for these."""
        return np.fromiter((self._root(int(slot)) for slot in slots.flat), np.int64, slots.size).reshape(slots.shape)

    @property
    def count(self) -> int:
        """Number of slots."""
        return len(self._parent)

    def pin(self, value: ir.Value | None) -> None:
        """Let no channel of a value be scaled."""
        name = "" if value is None else value.name or ""
        if name in self.layouts:
            self.tie(self.layouts[name].slots, PINNED)
        if name in self.grids:
            self.tie(self.grids[name], PINNED)

    def _root(self, slot: int) -> int:
        while self._parent[slot] != slot:
            self._parent[slot] = self._parent[self._parent[slot]]
            slot = self._parent[slot]
        return slot
