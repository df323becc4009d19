"""Whether a gain is beyond noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

# What a few per cent would gain is not worth a setting of its own, and the order of allocations alone makes one.
MARGIN = 1.02
_CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Where a median lies, 95 % of the time."""

    low: float
    high: float


def interval(ratios: Sequence[float]) -> Interval | None:
    """Where the median of the ratios lies: the sign test's interval, which asks nothing of their distribution.

    Of n values in order, the k-th from either end bound the median with a confidence of 1 - 2 P(B(n, 1/2) < k).
    (W. J. Conover, Practical Nonparametric Statistics.)

    Args:
        ratios: a ratio a round.

    Returns:
        None for fewer than 6, of which no two bound it 95 % of the time.
    """
    n, ordered = len(ratios), sorted(ratios)
    below, k = 0, 0
    while (below + math.comb(n, k)) * 2 <= (1 - _CONFIDENCE) * 2**n:
        below += math.comb(n, k)
        k += 1
    return Interval(ordered[k - 1], ordered[n - k]) if k else None


def better(ratios: Sequence[float], twin: Sequence[float]) -> bool:
    """Whether a contender's advantage is beyond noise.

    Args:
        ratios: the contender's.
        twin: those of a second session with the reference's own settings: what chance alone gives.
    """
    found = interval(ratios)
    return found is not None and found.low > max(MARGIN, float(np.median(twin)) if len(twin) else 1.0)
