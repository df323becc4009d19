"""Give up a group's channels one after another, those first that the rest can best stand in for.

Each layer that reads the channels is a linear map of features x with covariance C: y = W'x. Without the features B, the
least squares map from those left errs by tr(W_B' S W_B) more, where S is the inverse of the block B of the inverse of
C; and what is left of W changes by -C^-1[:, B] S W_B. So the cost of a channel, and the weights without it, are known
in closed form, other channels' stand-in included.

B. Hassibi, D. Stork, Second Order Derivatives for Network Pruning: Optimal Brain Surgeon, 1992, on each layer by
itself; in blocks as E. Frantar, S. P. Singh, D. Alistarh, Optimal Brain Compression, 2022.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.prune.channels import Channels, Group
from edgeonnx.prune.draft import Draft, Solution
from edgeonnx.prune.layers import Floats, Layer
from edgeonnx.prune.rows import Moments

# Added to the diagonal of a covariance, as a share of its mean: what keeps it invertible.
_RIDGE = 1e-3
# Costs are computed again after so large a share of a group is gone.
_SHARE = 1 / 32


@dataclass(frozen=True)
class Step:
    """Some channels given up.

    Attributes:
        gone: all that were, in order.
        solutions: the weights of the layers that read them, by node.
    """

    gone: tuple[int, ...]
    solutions: Mapping[str, Solution]


class Reader:
    """A layer that reads a group's channels, as it changes while they go.

    Args:
        layer: that reads.
        solution: its weights.
        moments: of what it sees.
        labels: the channel of each position of its weight's inner axis.
    """

    def __init__(self, layer: Layer, solution: Solution, moments: Moments, labels: np.ndarray) -> None:
        self._layer, self._start, self._moments = layer, solution, moments
        self._matrices = np.array(layer.matrices(solution.weight))
        self._labels = np.repeat(labels, layer.taps)
        covariance = moments.covariance(centred=solution.bias is not None)
        self._energy = float(np.einsum("gfo,gfk,gko->", self._matrices, covariance, self._matrices, optimize=True))
        ridge = _RIDGE * np.trace(covariance, axis1=1, axis2=2) / layer.features + 1e-12
        self._inverse = np.linalg.inv(covariance + ridge[:, None, None] * np.eye(layer.features))

    def costs(self, channels: Sequence[int]) -> Floats:
        """What each channel's going would cost, as a share of the layer's output; shape (channels,)."""
        places = [np.flatnonzero(self._labels == channel) for channel in channels]
        total = np.zeros(len(channels))
        if not places or len({len(place) for place in places}) > 1:
            return np.array([self._cost(place) for place in places])
        block = np.array(places)
        for inverse, matrix in zip(self._inverse, self._matrices, strict=True):
            rows = matrix[block]
            total += (np.linalg.solve(inverse[block[:, :, None], block[:, None, :]], rows) * rows).sum((1, 2))
        return total / max(self._energy, 1e-30)

    def give_up(self, channels: Sequence[int]) -> None:
        """Let channels go."""
        block = np.flatnonzero(np.isin(self._labels, channels))
        matrices, inverses = self._matrices, self._inverse
        for group in range(len(matrices)):
            inverse = inverses[group]
            stand_in = np.linalg.solve(inverse[np.ix_(block, block)], inverse[block]).T
            matrices[group] -= stand_in @ matrices[group][block]
            inverses[group] -= stand_in @ inverse[block]
        matrices[:, block] = 0
        inverses[:, block], inverses[:, :, block] = 0, 0
        inverses[:, block, block] = 1  # what is gone stands alone, so that blocks stay invertible

    def solution(self) -> Solution:
        """The weights now."""
        weight = self._layer.weight_of(self._matrices)
        if self._start.bias is None:
            return Solution(weight, None)
        before = self._layer.matrices(self._start.weight)
        shift = np.einsum("gf,gfo->go", self._moments.mean, before - self._matrices).reshape(-1)
        return Solution(weight, self._start.bias + shift)

    def _cost(self, place: np.ndarray) -> float:
        cost = 0.0
        for inverse, matrix in zip(self._inverse, self._matrices, strict=True):
            rows = matrix[place]
            cost += float((np.linalg.solve(inverse[np.ix_(place, place)], rows) * rows).sum())
        return cost / max(self._energy, 1e-30)


def readers_of(
    group: Group, channels: Channels, layers: Sequence[Layer], draft: Draft, seen: Mapping[str, Moments]
) -> list[Reader]:
    """The layers that read a group's channels and can be refitted."""
    by_node = {layer.node: layer for layer in layers}
    return [
        Reader(by_node[a.node], draft.solution(by_node[a.node]), seen[a.node], channels.weights[a.weight, a.axis])
        for a in group.readers
        if a.node in by_node and by_node[a.node].weight == a.weight
    ]


def eliminate(group: Group, readers: Sequence[Reader], nodes: Sequence[str], counts: Sequence[int]) -> Iterator[Step]:
    """Give up channels until these numbers are gone.

    Args:
        group: whose channels, those that are not gone yet.
        readers: that read them; they are changed.
        nodes: of the readers.
        counts: how many are to be gone at each step, ascending.

    Yields:
        A step for each count.
    """
    left = list(group.channels)
    gone: list[int] = []
    for count in counts:
        while len(gone) < count:
            costs = sum(reader.costs(left) for reader in readers) if readers else np.zeros(len(left))
            some = min(count - len(gone), max(1, int(len(group.channels) * _SHARE)))
            least = [left[index] for index in np.argsort(costs, kind="stable")[:some]]
            for reader in readers:
                reader.give_up(least)
            gone += least
            left = [channel for channel in left if channel not in set(least)]
        yield Step(tuple(gone), {n: reader.solution() for n, reader in zip(nodes, readers, strict=True)})
