"""Samples along the first axis of arrays: those of an `.npz`, and those handed over in Python."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from edgeonnx.calibration._check import as_array, check_names, check_shape, check_type, shown
from edgeonnx.calibration._source import LABELS, Array, Record, takes_labels
from edgeonnx.errors import DataError
from edgeonnx.model import TensorSpec


class Column(Protocol):
    """An array that is read row by row along its first axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its dtype."""

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """`array[i]` for each of the indexes, which ascend."""


class MemoryColumn:
    """An array in memory."""

    def __init__(self, array: Array) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array = array

    def rows(self, wanted: Sequence[int]) -> Iterator[Array]:
        """`array[i]` for each of the indexes."""
        for index in wanted:
            yield self._array[index, ...]  # the dots keep an array where a scalar would come out


class ArraySource:
    """Arrays of one length, one per input, and maybe labels; a source in its own right or one file of a folder.

    An array of its input's rank is cut keeping the axis: sample i is `a[i:i+1]`. One of a rank more is indexed:
    sample i is `a[i]`, so that inputs of rank 0 and whole fixed batches can be given. If the model does not tell
    an input's rank, the axis is kept.

    Raises:
        DataError: names, dtypes, shapes or lengths don't fit; nothing but headers was read to know.
    """

    classes: tuple[str, ...] | None = None

    def __init__(self, columns: Mapping[str, Column], inputs: Sequence[TensorSpec], origin: str) -> None:
        self.origin = origin
        columns = dict(columns)
        self._labels = columns.pop(LABELS, None) if takes_labels(inputs) else None
        if len(inputs) == 1 and list(columns) == ["arr_0"]:  # what np.savez(file, array) calls it
            columns = {inputs[0].name: columns["arr_0"]}
        check_names(columns, inputs, origin)
        self._columns = {spec.name: columns[spec.name] for spec in inputs}
        self._keeps_axis = {spec.name: _check_column(columns[spec.name], spec, origin) for spec in inputs}
        self._count = self._check_lengths()
        if self._labels is not None:
            _check_labels(self._labels, self._count, origin)

    def has_labels(self) -> bool:
        """Whether there is an array of labels."""
        return self._labels is not None

    def count(self) -> int:
        """Length of the arrays."""
        return self._count

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples of these indexes, the columns read in lockstep."""
        indexes = range(self._count) if wanted is None else wanted
        columns = [column.rows(indexes) for column in self._columns.values()]
        labels = self._labels.rows(indexes) if self._labels is not None else iter([None] * len(indexes))
        for index, label, *row in zip(indexes, labels, *columns, strict=True):
            feeds = {
                name: array[np.newaxis] if self._keeps_axis[name] else array
                for name, array in zip(self._columns, row, strict=True)
            }
            yield Record(feeds, None if label is None else int(label), f"{self.origin}, sample {index}")

    def fingerprint(self) -> str | None:
        """None: what is in memory has no file to know it by."""
        return None

    def _check_lengths(self) -> int:
        lengths = {name: column.shape[0] for name, column in self._columns.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
            raise DataError(f"{self.origin}: expected arrays of one length, got {told}; cut them to the same samples")
        count = next(iter(lengths.values()), 0)
        if not count:
            raise DataError(f"{self.origin}: expected samples along the first axis, got none; give at least one")
        return count


def from_mapping(arrays: Mapping[str, object], inputs: Sequence[TensorSpec]) -> ArraySource:
    """A mapping of arrays, or of lists that make arrays of the inputs' dtypes.

    Raises:
        DataError: they don't fit the inputs.
    """
    origin, specs = "data", {spec.name: spec for spec in inputs}
    if len(inputs) == 1:
        specs["arr_0"] = inputs[0]
    columns: dict[str, Column] = {}
    for name, value in arrays.items():
        try:
            array = as_array(value, specs[name], origin) if name in specs else np.asarray(value)
        except ValueError as error:  # a ragged list under a name that has no dtype of its own
            raise DataError(f"{origin}: '{name}' can't be made an array: {error}") from error
        columns[name] = MemoryColumn(array)
    return ArraySource(columns, inputs, origin)


def _check_column(column: Column, spec: TensorSpec, where: str) -> bool:
    """Check what a header tells; True if samples keep the first axis, False if they are indexed."""
    check_type(column.dtype, spec, where)
    rank, shape = len(column.shape), column.shape
    if rank == 0 or (spec.shape is not None and rank - len(spec.shape) not in (0, 1)):
        wanted = "with an axis of samples" if spec.shape is None else shown(("n", *spec.shape[1:]))
        raise DataError(
            f"{where}, input '{spec.name}': expected an array {wanted}, samples along the first axis, "
            f"got {shown(shape)}; reshape it"
        )
    keeps = spec.shape is None or rank == len(spec.shape)
    check_shape((1, *shape[1:]) if keeps else shape[1:], spec, where)
    return keeps


def _check_labels(labels: Column, count: int, where: str) -> None:
    hint = "use .argmax(axis=1) on one-hot labels" if len(labels.shape) == 2 else "give one class index per sample"
    if labels.shape != (count,):
        got = shown(labels.shape)
        raise DataError(f"{where}: expected labels of shape ({count}), one per sample, got {got}; {hint}")
    if labels.dtype.kind not in "iu":
        raise DataError(f'{where}: expected integer labels, got {labels.dtype.name}; use .astype("int64")')
