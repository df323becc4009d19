"""The search that estimators share: how far to draw in the two ends of a range, by whatever they call better."""

from collections.abc import Callable
from functools import cache

import numpy as np

# Ends are tried at these shares of what was seen, then in steps nearer and nearer to the best of them.
_SHARES = tuple(float(share) for share in np.geomspace(1.0, 2.0**-8, 17))
_TURNS = 3
_STEPS = (1.2, 1.1, 1.05, 1.02, 1.01)

Shares = tuple[float, float]


def narrowed(
    badness: Callable[[float, float], float], low: float, high: float, symmetric: bool = False
) -> tuple[float, float]:
    """The range inside [low, high] of least badness; 0 is always in it, since it must have an integer of its own.

    The ends are drawn in by turns until neither moves: the larger first, since while an outlier is there, it hides what
    the other end costs. Then both in small steps.

    Args:
        badness: (low, high) -> what is to be small.
        low: smallest value seen.
        high: largest value seen.
        symmetric: whether the range must be (-t, t).
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)

    @cache
    def at(shares: Shares) -> float:
        return badness(low * shares[0], high * shares[1])

    def moved(shares: Shares, side: int, share: float) -> Shares:
        share = min(share, 1.0)
        if symmetric:
            return share, share
        return (share, shares[1]) if side == 0 else (shares[0], share)

    order = (0, 1) if -low > high else (1, 0)
    sides = [0] if symmetric else [side for side in order if (low, high)[side]]
    best: Shares = (1.0, 1.0)
    for _ in range(_TURNS):
        before = best
        for side in sides:
            best = min([best, *(moved(best, side, share) for share in _SHARES)], key=at)
        if best == before or len(sides) < 2:
            break
    for step in _STEPS:
        for side in sides:
            best = min([best, *(moved(best, side, best[side] * factor) for factor in (step, 1 / step))], key=at)
    return low * best[0], high * best[1]
