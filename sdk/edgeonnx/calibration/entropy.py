"""Calibration by relative entropy: the range whose quantized distribution tells most about the real one.

S. Migacz, 8-bit inference with TensorRT, GTC 2017. Four things differ from it, and from what onnxruntime makes of it:

- The distribution is compared at eight bins a level, whatever the range. At a fixed number of bins a narrow range has
  as few bins as levels, its rounding looks like no loss at all, and the narrowest range wins.
- Levels cover the range itself, whose two ends move on their own: what a Relu leaves uses all of them.
- Values that are exactly 0 are left out, since they are exact in any range; after a Relu they would outweigh all
  others.
- The divergence that mere chance leaves in a histogram of finitely many values is taken off.
"""

from functools import partial

import numpy as np

from edgeonnx.calibration.histogram import Doubles
from edgeonnx.calibration.narrowing import narrowed

_BINS_A_LEVEL = 8
# A share of all values that counts as none, so that what is not expected costs much but not infinitely much.
_TRACE = 1e-9


def least_divergence(edges: Doubles, counts: Doubles, levels: int, symmetric: bool) -> tuple[float, float]:
    """The range of least divergence of the quantized from the real distribution.

    Args:
        edges: of shape (bins + 1,).
        counts: of shape (bins,).
        levels: how many integers there are.
        symmetric: whether the range must be (-t, t).
    """
    low, high = float(edges[0]), float(edges[-1])
    counts = np.where((edges[:-1] == 0) & (edges[1:] == 0), 0.0, counts)
    if not counts.any() or low == high:
        return low, high
    below = np.concatenate([[0.0], np.cumsum(counts)])
    return narrowed(partial(divergence, edges, below, levels), low, high, symmetric)


def divergence(edges: Doubles, below: Doubles, levels: int, low: float, high: float) -> float:
    """Kullback-Leibler divergence of the quantized distribution from the real one cut to [low, high].

    The real one keeps what is cut off in its first and last bin. The quantized one has it nowhere, and what falls
    into a level spread evenly over the bins of that level that are in use. What is expected of the chance in which of
    its bins a value falls, `(bins - 1) / 2` a level relative to the number of values, is taken off: it would otherwise
    be the larger part where values are few, and less in wide ranges.

    Args:
        edges: of shape (bins + 1,).
        below: number of values below each edge, of shape (bins + 1,).
        levels: how many integers there are.
        low: lower end of the range.
        high: upper end.
    """
    values = float(below[-1])
    grid = np.linspace(low, high, levels * _BINS_A_LEVEL + 1)
    share = np.interp(grid, edges, below) / values
    inside = np.diff(share)
    real = inside.copy()
    real[0] += share[0]
    real[-1] += 1 - share[-1]
    used = (real > 0).reshape(levels, _BINS_A_LEVEL)
    level = inside.reshape(levels, _BINS_A_LEVEL).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    quantized = np.where(used, level[:, None], 0.0).ravel() + _TRACE
    real += _TRACE
    found = real @ np.log(real / quantized) / real.sum() + np.log(quantized.sum() / real.sum())
    # Bins of the histogram that are wider than these hold no chance within them.
    cells = np.minimum(np.diff(np.searchsorted(edges, grid[::_BINS_A_LEVEL])), used.sum(axis=1))
    return float(found - np.maximum(cells - 1, 0).sum() / (2 * values))
