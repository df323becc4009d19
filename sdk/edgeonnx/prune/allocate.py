"""How much of each group goes: what costs most for each unit of accuracy that its going costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.prune.cost import Cost
from edgeonnx.prune.layers import Floats

Errors = Mapping[str, Sequence[float]]
Removed = Mapping[str, Sequence[Floats]]

# An error below which one is as good as none; keeps ratios finite.
_NOISE = 1e-6


@dataclass(frozen=True)
class Level:
    """One number of a group's channels given up.

    Attributes:
        gone: which.
        error: how far the outputs then are from the whole model's; see `draft.distance`.
    """

    gone: tuple[int, ...]
    error: float


def on_grid(levels: Mapping[str, Sequence[Level]], sizes: Mapping[str, int], align: int) -> dict[str, list[Level]]:
    """Those levels that leave a multiple of `align`, where a group is large enough: see `counts`."""
    return {
        name: [level for level in found if len(level.gone) in counts(sizes[name], align)]
        for name, found in levels.items()
    }


def counts(size: int, align: int, steps: int = 8) -> list[int]:
    """How many channels of a group may go: those numbers that leave a multiple of `align`, about `steps` of them.

    Args:
        size: of the group.
        align: kernels work in blocks of so many channels.
        steps: how many numbers.
    """
    while align > 1 and size < 2 * align:
        align //= 2
    stride = max(align, size // steps // align * align)
    first = size - (size - 1) // align * align
    return list(range(first, size - max(align, size // 16) + 1, stride)) if size > 1 else []


def allocate(levels: Mapping[str, Sequence[Level]], cost: Cost, target: float) -> dict[str, int]:
    """Go up levels, group by group, until the cost is `target` or less.

    Each step takes the group and the level that save most for each unit of error; errors of groups add up.

    Args:
        levels: of each group, ascending.
        cost: of what is left.
        target: cost to come down to.

    Returns:
        Group -> number of levels taken; the highest of all where `target` can't be reached.
    """
    none = [cost.removed(())]
    removed = {name: [*none, *(cost.removed(level.gone) for level in found)] for name, found in levels.items()}
    errors = {name: [0.0, *(level.error for level in found)] for name, found in levels.items()}
    taken, gone = dict.fromkeys(levels, 0), none[0]
    while cost.total(gone) > target:
        best = _best(errors, removed, taken, gone, cost)
        if best is None:
            return taken
        name, level = best
        gone = gone + removed[name][level] - removed[name][taken[name]]
        taken[name] = level
    return _given_back(errors, removed, taken, cost, target)


def _given_back(
    errors: Errors, removed: Removed, taken: Mapping[str, int], cost: Cost, target: float
) -> dict[str, int]:
    """Go down levels again that were not needed, those first whose error is largest."""
    taken = dict(taken)
    gone = np.sum([removed[name][level] for name, level in taken.items()], axis=0)
    while True:
        found = []
        for name, level in taken.items():
            for lower in range(level):
                less = gone + removed[name][lower] - removed[name][level]
                if cost.total(less) <= target:
                    found.append((errors[name][level] - errors[name][lower], name, lower))
        if not found or max(found)[0] <= 0:
            return taken
        _, name, lower = max(found)
        gone = gone + removed[name][lower] - removed[name][taken[name]]
        taken[name] = lower


def _best(
    errors: Errors, removed: Removed, taken: Mapping[str, int], gone: Floats, cost: Cost
) -> tuple[str, int] | None:
    now, found = cost.total(gone), []
    for name, at in taken.items():
        for level in range(at + 1, len(errors[name])):
            saved = now - cost.total(gone + removed[name][level] - removed[name][at])
            if saved > 0 and np.isfinite(errors[name][level]):
                found.append((saved / max(errors[name][level] - errors[name][at], _NOISE), name, level))
    if not found:
        return None
    _, name, level = max(found)
    return name, level
