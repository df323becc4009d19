"""What a channel is worth, by several measures; the least worthy of a group goes first.

norm            squares of the weights that make and read it; needs no data
activation      variance of what it gives to its readers, on calibration data
sensitivity     how far the outputs move when it is taken out, measured by running the model without it, one channel
                after another: the change that a Taylor expansion would estimate (P. Molchanov et al., Importance
                Estimation for Neural Network Pruning, 2019)
reconstruction  what its readers lose that the others can't stand in for: `eliminate` itself, the default
"""

from collections.abc import Mapping, Sequence

import numpy as np

from edgeonnx.prune.channels import Channels, Group
from edgeonnx.prune.draft import Bench, Draft, distance
from edgeonnx.prune.eliminate import readers_of
from edgeonnx.prune.layers import Layer
from edgeonnx.prune.rows import Moments

METHODS = ("reconstruction", "activation", "sensitivity", "norm")


def norm(group: Group, channels: Channels, draft: Draft) -> dict[int, float]:
    """Squares of the weights that make and read each channel, as shares of the group's, summed over the weights.

    H. Li et al., Pruning Filters for Efficient ConvNets, 2017.
    """
    total = np.zeros(len(group.channels))
    for axis in (*group.makers, *group.readers):
        weight, labels = draft.array(axis.weight), channels.weights[axis.weight, axis.axis]
        rows = np.moveaxis(weight, axis.axis, 0).reshape(len(labels), -1)
        squares = np.square(rows, dtype=np.float64).sum(1)
        found = np.array([squares[labels == channel].sum() for channel in group.channels])
        total += found / max(float(found.sum()), 1e-30)
    return dict(zip(group.channels, total.tolist(), strict=True))


def activation(
    group: Group, channels: Channels, layers: Sequence[Layer], draft: Draft, seen: Mapping[str, Moments]
) -> dict[int, float]:
    """Variance of what each channel gives to its readers, as a share of their outputs'."""
    by_node = {layer.node: layer for layer in layers}
    total = np.zeros(len(group.channels))
    for axis in group.readers:
        layer = by_node.get(axis.node)
        if layer is None:
            continue
        solution = draft.solution(layer)
        matrices = layer.matrices(solution.weight)
        covariance = seen[axis.node].covariance(centred=solution.bias is not None)
        labels = np.repeat(channels.weights[axis.weight, axis.axis], layer.taps)
        given = []
        for channel in group.channels:
            place = np.flatnonzero(labels == channel)
            rows, block = matrices[:, place], covariance[:, place][:, :, place]
            given.append(float((rows * (block @ rows)).sum()))
        total += np.array(given) / max(sum(given), 1e-30)
    return dict(zip(group.channels, total.tolist(), strict=True))


def sensitivity(
    group: Group,
    channels: Channels,
    layers: Sequence[Layer],
    draft: Draft,
    seen: Mapping[str, Moments],
    bench: Bench,
    expected: Sequence[np.ndarray],
) -> dict[int, float]:
    """How far outputs are from those expected when one channel after another gives its mean in place of itself."""
    found = {}
    for channel in group.channels:
        arrays: dict[str, np.ndarray] = {}
        for axis in group.readers:
            arrays |= _without(axis.node, channel, channels, layers, draft, seen)
        for reader in readers_of([a for a in group.readers if a.weight not in arrays], channels, (), draft, {}):
            reader.give_up([channel])
            arrays |= reader.arrays()
        found[channel] = distance(expected, bench.outputs(arrays))
    return found


def _without(
    node: str, channel: int, channels: Channels, layers: Sequence[Layer], draft: Draft, seen: Mapping[str, Moments]
) -> dict[str, np.ndarray]:
    """Weights of a layer that takes a channel's mean for the channel; nothing where it has no bias to put it into."""
    layer = next((one for one in layers if one.node == node), None)
    axis = None if layer is None else channels.read_axis(node, layer.weight)
    if layer is None or layer.bias is None or axis is None:
        return {}
    place = np.repeat(channels.weights[axis.weight, axis.axis], layer.taps) == channel
    matrices = layer.matrices(draft.array(layer.weight)).copy()
    mean = np.einsum("gf,gfo->go", seen[node].mean[:, place], matrices[:, place]).reshape(-1)
    matrices[:, place] = 0
    return {layer.weight: layer.weight_of(matrices), layer.bias: draft.array(layer.bias) + mean}
