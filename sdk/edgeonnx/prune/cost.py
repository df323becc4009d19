"""What a model costs with some channels gone, node by node: multiply-accumulates, or time.

A node's work is in proportion to the share of its channels that are left, of those it reads times of those it makes.
Its time is a line over that share, through two measurements: with all channels, and with part of them. Kernels work in
blocks of channels, and a block that is filled in part takes the time of a whole one: shares are counted in blocks.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.prune.channels import Channels
from edgeonnx.prune.labels import Array
from edgeonnx.prune.layers import Floats
from edgeonnx.prune.trace import Role

_LINEAR = ("Conv", "ConvTranspose", "Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN")
_WHOLE = 0  # the place of which nothing ever goes


class Cost:
    """Cost as a function of what is gone.

    Args:
        graph: that channels were found in.
        channels: of it.
        whole: cost of each node with all channels, by name; a node that is not named costs nothing.
        part: the same with some channels gone; None: in proportion to the work that is left.
        gone: those that were gone for `part`.
        block: channels that are counted as one.
    """

    def __init__(
        self,
        graph: ir.Graph,
        channels: Channels,
        whole: Mapping[str, float],
        part: Mapping[str, float] | None = None,
        gone: Sequence[int] = (),
        block: int = 1,
    ) -> None:
        self._block = block
        self._sizes: list[int] = [1]
        self._places: dict[int, list[int]] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        nodes = [node for node in graph if node.name in whole]
        pairs = [self._of(node, channels) for node in nodes]
        self._first, self._second = (np.array([pair[side] for pair in pairs], int) for side in (0, 1))
        self._fixed = np.zeros(len(nodes))
        self._slopes = np.array([whole[node.name or ""] for node in nodes])
        if part is not None:
            self._draw_lines(np.array([part.get(node.name or "", whole[node.name or ""]) for node in nodes]), gone)

    def removed(self, gone: Sequence[int]) -> Floats:
        """How many positions go at each place when these channels do; sums over disjoint sets of channels."""
        places = [place for channel in gone for place in self._places.get(channel, ())]
        return np.bincount(np.array(places, int), minlength=len(self._sizes)).astype(np.float64)

    def total(self, removed: Floats) -> float:
        """Cost of the model; see `removed`."""
        return float((self._fixed + self._slopes * self._shares(removed)).sum())

    def _shares(self, removed: Floats) -> Floats:
        sizes = np.array(self._sizes)
        left = np.ceil((sizes - removed) / self._block) / np.ceil(sizes / self._block)
        return np.asarray(left[self._first] * left[self._second])

    def _draw_lines(self, part: Floats, gone: Sequence[int]) -> None:
        whole, shares = self._slopes, self._shares(self.removed(gone))
        moved = shares < 1 - 1e-9
        slopes = np.where(moved, (whole - part) / np.where(moved, 1 - shares, 1), 0)
        # A node neither gains from more work nor gives back more than it takes.
        self._slopes = np.clip(slopes, 0, whole)
        self._fixed = whole - self._slopes

    def _of(self, node: ir.Node, channels: Channels) -> tuple[int, int]:
        """The places whose shares multiply to a node's work: all that it sums over, and what it makes."""
        axes = [a for a in channels.axes if a.node == node.name]
        if axes and node.op_type in _LINEAR:
            read = list(dict.fromkeys((a.weight, a.axis) for a in axes if a.role is Role.READS))
            made = [(a.weight, a.axis) for a in axes if a.role is not Role.READS]
            numbers = [self._number(key, channels.weights[key]) for key in made[:1]]
            if read:
                key = (" + ".join(name for name, _ in read), read[0][1])
                numbers.append(self._number(key, np.concatenate([channels.weights[one] for one in read])))
            return (numbers[0], numbers[1] if len(numbers) > 1 else _WHOLE)
        name = node.outputs[0].name or ""
        labels = channels.values.get(name)
        return (_WHOLE if labels is None else self._number((name, -1), labels), _WHOLE)

    def _number(self, key: tuple[str, int], labels: Array) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._sizes)
            self._sizes.append(labels.size)
            for channel in labels.reshape(-1):
                self._places.setdefault(int(channel), []).append(self._numbers[key])
        return self._numbers[key]
