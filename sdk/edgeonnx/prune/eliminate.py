"""Give up a group's channels one after another, those first that the rest can best stand in for.

Each layer that reads the channels is a linear map of features x with covariance C: y = W'x. Without the features B, the
least squares map from those left errs by tr(W_B' S W_B) more, where S is the inverse of the block B of the inverse of
C; and what is left of W changes by -C^-1[:, B] S W_B. So the cost of a channel, and the weights without it, are known
in closed form, other channels' stand-in included.

B. Hassibi, D. Stork, Second Order Derivatives for Network Pruning: Optimal Brain Surgeon, 1992, on each layer by
itself; in blocks as E. Frantar, S. P. Singh, D. Alistarh, Optimal Brain Compression, 2022.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgeonnx.errors import DataError
from edgeonnx.prune.channels import Channels, Group
from edgeonnx.prune.draft import Draft, Solution, arrays_of
from edgeonnx.prune.layers import Floats, Layer
from edgeonnx.prune.rows import Moments
from edgeonnx.prune.trace import Axis, Role

# Added to the diagonal of a covariance, as a share of its mean: what keeps it invertible.
_RIDGE = 1e-3
# Costs are computed again after so large a share of a group is gone.
_SHARE = 1 / 32


@dataclass(frozen=True)
class Step:
    """Some channels given up.

    Attributes:
        gone: all that were, in order.
        arrays: other weights of what read them, by name.
    """

    gone: tuple[int, ...]
    arrays: Mapping[str, np.ndarray]


class Reader(Protocol):
    """What reads a group's channels, as it changes while they go."""

    def costs(self, channels: Sequence[int]) -> Floats:
        """What each channel's going would cost, as a share of what is made of all; shape (channels,)."""

    def give_up(self, channels: Sequence[int]) -> None:
        """Let channels go."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights now, by name."""


class PlainReader:
    """A weight of whose layer least squares knows nothing: channels cost what their weights' squares come to.

    Args:
        name: of the weight.
        weight: its array.
        axis: that is summed over the channels.
        labels: the channel of each position along it.
    """

    def __init__(self, name: str, weight: np.ndarray, axis: int, labels: np.ndarray) -> None:
        self._name, self._axis, self._labels, self._weight = name, axis, labels, np.array(weight)

    def costs(self, channels: Sequence[int]) -> Floats:
        """See `Reader`."""
        rows = np.moveaxis(self._weight, self._axis, 0).reshape(len(self._labels), -1)
        squares = np.square(rows, dtype=np.float64).sum(1)
        found = [squares[self._labels == channel].sum() for channel in channels]
        return np.array(found) / max(float(squares.sum()), 1e-30)

    def give_up(self, channels: Sequence[int]) -> None:
        """See `Reader`."""
        np.moveaxis(self._weight, self._axis, 0)[np.isin(self._labels, channels)] = 0

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Reader`."""
        return {self._name: self._weight}


class LayerReader:
    """A linear layer that reads channels, the others of which stand in for those that go.

    Args:
        layer: that reads.
        solution: its weights.
        moments: of what it sees.
        labels: the channel of each position of its weight's inner axis.

    Raises:
        DataError: what it sees can't be squared.
    """

    def __init__(self, layer: Layer, solution: Solution, moments: Moments, labels: np.ndarray) -> None:
        self._layer, self._start, self._moments = layer, solution, moments
        self._matrices = np.array(layer.matrices(solution.weight))
        self._labels = np.repeat(labels, layer.taps)
        covariance = moments.covariance(centred=solution.bias is not None)
        if not np.isfinite(covariance).all():
            raise DataError(
                f"{layer.node} ({layer.kind}) reads numbers on the samples that are not finite once they are squared "
                "in float32; give samples of the magnitude that the model was trained on"
            )
        self._energy = float(np.einsum("gfo,gfk,gko->", self._matrices, covariance, self._matrices, optimize=True))
        ridge = _RIDGE * np.trace(covariance, axis1=1, axis2=2) / layer.features + 1e-12
        self._inverse = np.linalg.inv(covariance + ridge[:, None, None] * np.eye(layer.features))

    def costs(self, channels: Sequence[int]) -> Floats:
        """See `Reader`."""
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
        """See `Reader`."""
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

    def arrays(self) -> dict[str, np.ndarray]:
        """See `Reader`."""
        weight = self._layer.weight_of(self._matrices)
        if self._start.bias is None:
            return arrays_of(self._layer, Solution(weight, None))
        before = self._layer.matrices(self._start.weight)
        shift = np.einsum("gf,gfo->go", self._moments.mean, before - self._matrices).reshape(-1)
        return arrays_of(self._layer, Solution(weight, self._start.bias + shift))

    def _cost(self, place: np.ndarray) -> float:
        cost = 0.0
        for inverse, matrix in zip(self._inverse, self._matrices, strict=True):
            rows = matrix[place]
            cost += float((np.linalg.solve(inverse[np.ix_(place, place)], rows) * rows).sum())
        return cost / max(self._energy, 1e-30)


def readers_of(
    axes: Sequence[Axis], channels: Channels, layers: Sequence[Layer], draft: Draft, seen: Mapping[str, Moments]
) -> list[Reader]:
    """What reads channels over these axes of weights."""
    by_node = {layer.node: layer for layer in layers}
    found: list[Reader] = []
    for axis in axes:
        layer, labels = by_node.get(axis.node), channels.weights[axis.weight, axis.axis]
        if layer is not None and layer.weight == axis.weight and axis.node in seen:
            found.append(LayerReader(layer, draft.solution(layer), seen[axis.node], labels))
        else:
            found.append(PlainReader(axis.weight, draft.array(axis.weight), axis.axis, labels))
    return found


def eliminate(
    group: Group, readers: Sequence[Reader], counts: Sequence[int], scores: Mapping[int, float] | None = None
) -> Iterator[Step]:
    """Give up channels until these numbers are gone.

    Args:
        group: whose channels.
        readers: of them; they are changed.
        counts: how many are to be gone at each step, ascending.
        scores: what each channel is worth, the least goes first; None: what its going costs the readers.

    Yields:
        A step for each count.
    """
    left = list(group.channels)
    gone: list[int] = []
    for count in counts:
        while len(gone) < count:
            some = min(count - len(gone), max(1, int(len(group.channels) * _SHARE)))
            worth = _costs(readers, left) if scores is None else np.array([scores[channel] for channel in left])
            least = [left[index] for index in np.argsort(worth, kind="stable")[:some]]
            for reader in readers:
                reader.give_up(least)
            gone += least
            left = [channel for channel in left if channel not in set(least)]
        yield Step(tuple(gone), {name: array for reader in readers for name, array in reader.arrays().items()})


def stood_in(
    draft: Draft, channels: Channels, layers: Sequence[Layer], seen: Mapping[str, Moments], gone: Collection[int]
) -> Draft:
    """The draft without some channels, those left standing in for them in every layer at once."""
    reading = [a for a in channels.axes if a.role is Role.READS and not channels.kept(a, gone).all()]
    readers = readers_of(list(dict.fromkeys(reading)), channels, layers, draft, seen)
    for reader in readers:
        reader.give_up(list(gone))
    return draft.changed({name: array for reader in readers for name, array in reader.arrays().items()}, gone)


def _costs(readers: Sequence[Reader], channels: Sequence[int]) -> Floats:
    return np.asarray(np.sum([np.zeros(len(channels)), *(reader.costs(channels) for reader in readers)], axis=0))
