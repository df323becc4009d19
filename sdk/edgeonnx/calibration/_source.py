"""What a source of samples is: files, folders, arrays and callables all look like this to `Samples`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgeonnx.model import TensorSpec

Array = NDArray[Any]
Feeds = dict[str, Array]

LABELS = "labels"


@dataclass(frozen=True)
class Record:
    """One sample as it was read, not checked yet.

    Attributes:
        feeds: input name -> array, shaped as the model takes it.
        label: the class it belongs to, None if the source gives none.
        where: file and place, for messages.
        file: the picture, recording or text that is this sample and no other; None where there is none.
    """

    feeds: Feeds
    label: int | None
    where: str
    file: Path | None = None


class Source(Protocol):
    """Samples that can be read in order, any number of times, one in memory at a time."""

    @property
    def origin(self) -> str:
        """File, folder or function, for messages."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names by label, if the source has names."""

    def has_labels(self) -> bool:
        """Whether every sample has a label."""

    def count(self) -> int:
        """Number of samples; a callable is run through once to know."""

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples of these indexes, ascending without repeats; None: all."""

    def fingerprint(self) -> str | None:
        """SHA-256 over the files' bytes, None where there are no files."""


def takes_labels(inputs: Sequence[TensorSpec]) -> bool:
    """Whether an array named `labels` means labels: not if the model has an input of that name."""
    return all(spec.name != LABELS for spec in inputs)
