"""Zeros among the weights: as many as are asked for, or two in every four, the others set right for them.

It makes files that compress better. It makes nothing faster on CPUs: their kernels multiply with zeros as with any
number.

Layer by layer, each column of the weights in turn: the weights whose going costs least become zero, and those behind
them make up for it, by the inverse of the covariance of what the layer sees on calibration data. E. Frantar, D.
Alistarh, SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot, 2023.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.errors import InputError
from edgeonnx.prune.draft import Draft, Solution, arrays_of
from edgeonnx.prune.frontier import Frontier
from edgeonnx.prune.layers import Floats, Layer
from edgeonnx.prune.rows import Feeds, moments_of

_RIDGE = 1e-2
# Columns between two choices of what becomes zero, where that is free.
_BLOCK = 64
# Depthwise filters have too few weights to lose any.
_FEWEST = 16


@dataclass(frozen=True)
class Share:
    """Any weights.

    Attributes:
        zeros: share of a layer's weights that become zero, 0 to 1.
    """

    zeros: float

    def __str__(self) -> str:
        return f"{self.zeros:g}"


@dataclass(frozen=True)
class Pattern:
    """N of M.

    Attributes:
        zeros: of every `among` neighbours along what is summed over.
        among: how many.
    """

    zeros: int
    among: int

    def __str__(self) -> str:
        return f"{self.zeros}:{self.among}"


def parse_sparsity(text: str) -> Share | Pattern:
    """`0.5`: half of the weights; `2:4`: two of every four neighbours.

    Raises:
        InputError: it is neither, or leaves no weight, or takes none.
    """
    zeros, colon, among = text.partition(":")
    try:
        pattern = Pattern(int(zeros), int(among)) if colon else Share(float(zeros))
    except ValueError:
        pattern = Share(0.0)
    most = pattern.among if isinstance(pattern, Pattern) else 1
    if not 0 < pattern.zeros < most:
        raise InputError(f"sparsity: expected a share as 0.5, or zeros of neighbours as 2:4; got {text}")
    return pattern


def sparsify(
    draft: Draft,
    layers: Sequence[Layer],
    feeds: Sequence[Feeds],
    sparsity: Share | Pattern,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Draft, tuple[str, ...]]:
    """Set weights to zero, layer after layer, each with what it sees behind the ones before.

    Args:
        draft: of a float model.
        layers: its linear layers, in order.
        feeds: calibration samples.
        sparsity: how many, and where.
        progress: told (layers done, layers in all).

    Returns:
        The draft with zeros, and the names of the nodes that have them.
    """
    chosen = [layer for layer in layers if layer.features >= _FEWEST]
    frontier = Frontier(draft.model.ir.graph, chosen, [[layer.data] for layer in chosen], feeds)
    for number, layer in enumerate(chosen):
        progress(number, len(chosen))
        seen = moments_of([layer], frontier.before(number, draft.model), len(feeds))[layer.node]
        matrices = layer.matrices(draft.array(layer.weight))
        covariance = seen.covariance(centred=False)
        sparse = np.stack([_sparse(m, c, sparsity) for m, c in zip(matrices, covariance, strict=True)])
        bias = None
        if layer.bias is not None:
            shift = np.einsum("gf,gfo->go", seen.mean, matrices - sparse).reshape(-1)
            bias = draft.array(layer.bias) + shift
        draft = draft.changed(arrays_of(layer, Solution(layer.weight_of(sparse), bias)))
    return draft, tuple(layer.node for layer in chosen)


def _sparse(matrix: Floats, covariance: Floats, sparsity: Share | Pattern) -> Floats:
    """One matrix, shape (features, outputs), with zeros."""
    features = len(matrix)
    weights, left = matrix.copy(), np.ones(matrix.shape, bool)
    ridge = _RIDGE * np.trace(covariance) / features + 1e-12
    # Row i of the upper factor tells how the features behind i make up for it.
    factor = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(features))).T
    block = sparsity.among if isinstance(sparsity, Pattern) else _BLOCK
    for start in range(0, features, block):
        end = min(start + block, features)
        costs = np.square(weights[start:end] / np.diag(factor)[start:end, None])
        left[start:end] = _kept(costs, sparsity, block)
        for row in range(start, end):
            lost = np.where(left[row], 0, weights[row]) / factor[row, row]
            weights[row:] -= factor[row, row:, None] * lost
            weights[row] = np.where(left[row], weights[row], 0)
    return weights * left


def _kept(costs: Floats, sparsity: Share | Pattern, block: int) -> np.ndarray:
    """Which weights of a block stay, by what their going costs; shape (features of the block, outputs)."""
    if isinstance(sparsity, Pattern):
        zeros = sparsity.zeros if len(costs) == block else sparsity.zeros * len(costs) // block
        order = np.argsort(np.argsort(costs, axis=0, kind="stable"), axis=0)
        return np.asarray(order >= zeros)
    order = np.argsort(np.argsort(costs, axis=None, kind="stable")).reshape(costs.shape)
    return np.asarray(order >= round(sparsity.zeros * costs.size))
