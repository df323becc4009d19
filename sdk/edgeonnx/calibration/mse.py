"""Calibration by least squared error: what is cut off against what is rounded more coarsely.

Banner et al., Post training 4-bit quantization of convolutional networks for rapid-deployment, NeurIPS 2019 (ACIQ)
minimizes this for a Gaussian or Laplacian; Nagel et al., A white paper on neural network quantization, 2021, section
3.1, for the tensor itself. Here for its histogram, in closed form.
"""

from functools import partial

import numpy as np

from edgeonnx.calibration.histogram import Doubles
from edgeonnx.calibration.narrowing import narrowed

# Values below this share of the largest are rounded to 0 by any range worth trying, and need no bins of their own.
_NEGLIGIBLE = 2.0**-14


def least_squares(edges: Doubles, counts: Doubles, levels: int, symmetric: bool) -> tuple[float, float]:
    """The range of least expected squared error.

    Args:
        edges: of shape (bins + 1,).
        counts: of shape (bins,).
        levels: how many integers there are.
        symmetric: whether the range must be (-t, t).
    """
    low, high = float(edges[0]), float(edges[-1])
    edges, counts = _coarser(edges, counts, _NEGLIGIBLE * max(-low, high))
    return narrowed(partial(squared_error, edges, counts, levels), low, high, symmetric)


def squared_error(edges: Doubles, counts: Doubles, levels: int, low: float, high: float) -> float:
    """Sum of squared errors of the values in a histogram, each bin's spread evenly over it.

    Args:
        edges: of shape (bins + 1,).
        counts: of shape (bins,).
        levels: how many integers there are.
        low: lower end of the range, at most 0.
        high: upper end, at least 0.
    """
    if low == high:
        return float("inf")
    step = (high - low) / (levels - 1)
    # Antiderivatives of the squared error: cut below, rounded to a multiple of the step, cut above.
    inside = np.clip(edges, low, high)
    cut = _cube(edges - inside)
    places = inside / step
    nearest = np.rint(places)
    rounded = nearest / 12 + _cube(places - nearest) / 3
    widths = np.diff(edges)
    sums = np.diff(cut) / 3 + step**3 * np.diff(rounded)
    spread = np.divide(sums, widths, out=np.zeros_like(sums), where=widths > 0)
    points = edges[:-1]
    kept = np.clip(np.rint(points / step) * step, low, high)
    return float(counts @ np.where(widths > 0, spread, (points - kept) ** 2))


def _cube(values: Doubles) -> Doubles:
    return values * values * values  # many times faster than a power


def _coarser(edges: Doubles, counts: Doubles, negligible: float) -> tuple[Doubles, Doubles]:
    """The histogram with a quarter of its bins, and with those between 0 and `negligible` joined; 0 stays apart."""
    kept = np.flatnonzero(np.abs(edges) >= negligible)[::4]
    kept = np.unique([0, *kept, *np.flatnonzero(edges == 0), len(edges) - 1])
    return edges[kept], np.add.reduceat(counts, kept[:-1])
