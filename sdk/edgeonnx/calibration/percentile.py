"""Percentile calibration: cut a fixed share of the values at each end.

McKinstry et al., Discovering low-precision networks close to full-precision networks for efficient embedded inference,
2018, section 3; here at both ends, each on its own.
"""

import numpy as np

from edgeonnx.calibration.histogram import Doubles


def percentile(edges: Doubles, counts: Doubles, percent: float) -> tuple[float, float]:
    """The range that leaves `100 - percent` % of the values below it and as many above it.

    Args:
        edges: of shape (bins + 1,).
        counts: of shape (bins,).
        percent: above 50, at most 100.
    """
    share = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    high = percent / 100
    return float(np.interp(1 - high, share, edges)), float(np.interp(high, share, edges))
