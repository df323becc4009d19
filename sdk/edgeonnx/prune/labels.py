"""Which channels must go together: a name for every channel, and names that turn out to mean the same are united.

A label is an integer. Labels that were united have one root (union-find: R. Tarjan, Efficiency of a Good But Not Linear
Set Union Algorithm, 1975). A root is fixed where something needs its channel, and the reason is remembered.

The labels of a tensor are an array that broadcasts to the tensor's shape: of size 1 along an axis whose positions all
have the same labels. 0 is the label of what is no channel; it is fixed from the start.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]

_JOINED = "it goes together with what no weight makes"


class Labels:
    """All labels of one model."""

    def __init__(self) -> None:
        self._parents = np.zeros(1, np.int64)
        self._fixed: dict[int, str] = {0: "it is the only channel"}

    def fresh(self, count: int) -> Array:
        """New labels, shape (count,); for a single channel, which can't go, the label 0."""
        if count == 1:
            return np.zeros(1, np.int64)
        found = np.arange(len(self._parents), len(self._parents) + count)
        self._parents = np.concatenate([self._parents, found])
        return found

    def stuck(self, why: str) -> Array:
        """A new label that is fixed, shape (1,)."""
        self._parents = np.append(self._parents, len(self._parents))
        self._fixed[len(self._parents) - 1] = why
        return self._parents[-1:].copy()

    def roots(self, labels: Array) -> Array:
        """The roots of labels, same shape."""
        found = self._parents[labels]
        while not np.array_equal(found, above := self._parents[found]):
            found = above
        return found

    def unite(self, one: Array, other: Array, why: str = _JOINED) -> None:
        """Have labels at like positions mean the same; the arrays broadcast to each other.

        Args:
            one: labels.
            other: labels.
            why: a channel can't go that meets the label 0.
        """
        first, second = np.broadcast_arrays(self.roots(one), self.roots(other))
        pairs = np.unique(np.stack([first.ravel(), second.ravel()]), axis=1)
        for a, b in pairs[:, pairs[0] != pairs[1]].T:
            left, right = (int(root) for root in self.roots(np.array([a, b])))
            if not left or not right:
                self._parents[left or right] = 0
                self._fixed.setdefault(left or right, why)
            elif left != right:
                self._parents[right] = left
                if right in self._fixed:
                    self._fixed.setdefault(left, self._fixed[right])

    def fix(self, labels: Array, why: str) -> None:
        """Say that channels can't go; the first reason that is given for one stays."""
        for root in np.unique(self.roots(labels)):
            self._fixed.setdefault(int(root), why)

    def why_fixed(self, label: int) -> str | None:
        """Why a channel can't go; None if it can."""
        while (parent := int(self._parents[label])) not in (0, label):
            label = parent
        return self._fixed.get(label)

    def level(self, labels: Array, axis: int, why: str = _JOINED) -> Array:
        """Have all positions along an axis mean the same, see `unite`; the labels, of size 1 there."""
        self.unite(labels, labels.take([0], axis), why)
        return self.compact(labels)

    def compact(self, labels: Array) -> Array:
        """The roots, of size 1 along each axis where they do not differ."""
        found = self.roots(labels)
        for axis in range(found.ndim):
            if found.shape[axis] > 1 and (found == (first := found.take([0], axis))).all():
                found = first
        return found


def varying(labels: Array) -> tuple[int, ...]:
    """Axes along which compacted labels differ."""
    return tuple(axis for axis, size in enumerate(labels.shape) if size > 1)
