"""What an observer is.

It is told what leaves the graph in each run, keeps a summary of fixed size, and in the end says which range each tensor
is to be quantized to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
State = Mapping[str, NDArray[np.generic]]

# What is larger than this is no value to be resolved but stands for infinity, as the -3.4e38 of many masks.
INFINITE = float(2**100)


@dataclass(frozen=True)
class Seen:
    """What left the graph in one run, for `tensors` tensors.

    Attributes:
        low: smallest value of each tensor, float32 of shape (tensors,); of one that can't be below 0 maybe just 0;
            +inf of an empty one.
        high: largest value, alike; -inf of an empty one.
        values: some of each tensor's values, float32 of shape (any,), where the observer asks for them; else empty.
    """

    low: Floats
    high: Floats
    values: Sequence[Floats] = ()


class Observer(Protocol):
    """An estimator of ranges, of all tensors at once.

    Its memory does not grow with the number of samples, and its result depends on the samples and their order alone.
    """

    @property
    def name(self) -> str:
        """The method with its parameters: results of the same name on the same data are the same."""

    @property
    def wants_values(self) -> bool:
        """Whether some values of each tensor are to leave the graph, besides its extremes."""

    @property
    def takes_batches(self) -> bool:
        """Whether several samples may come as one; False where each sample counts on its own."""

    def begin(self, tensors: int) -> None:
        """Forget all; there will be so many tensors."""

    def update(self, seen: Seen) -> None:
        """Take in one run."""

    def ranges(self) -> tuple[Floats, Floats]:
        """Low and high, each of shape (tensors,); low > high for a tensor that was always empty."""

    def state(self) -> State:
        """All it has seen, as arrays, so that it can go on later."""

    def restore(self, state: State) -> None:
        """Go on from `state`, as if it had seen that."""
