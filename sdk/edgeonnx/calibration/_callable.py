"""Samples that a function of the user's yields, or that stand in a list: one dict of arrays each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edgeonnx.calibration._check import as_array, check_names, check_shape, check_type
from edgeonnx.calibration._source import LABELS, Record, takes_labels
from edgeonnx.errors import DataError
from edgeonnx.model import TensorSpec
from edgeonnx.userfile import UserFunction


class FeedsSource:
    """What a function yields, called anew for each pass.

    Each item is a dict of input name -> array shaped as the model takes it, batch axis included; a key `labels`
    with one integer gives the label. Lists and Python numbers become arrays of the input's dtype.
    """

    classes: tuple[str, ...] | None = None

    def __init__(self, function: UserFunction, inputs: Sequence[TensorSpec]) -> None:
        self.origin = function.label
        self._function, self._inputs = function, inputs
        self._count: int | None = None
        self._labelled: bool | None = None

    def has_labels(self) -> bool:
        """Whether the first sample has a label; one that differs from it is an error when it is read."""
        if self._labelled is None:
            for _ in self.read([0]):
                pass
        return bool(self._labelled)

    def count(self) -> int:
        """Number of samples; the first call makes a pass to know."""
        if self._count is None:
            self._count = sum(1 for _ in self._function.iterate())
            if not self._count:
                raise self._too_few(0, 1)
        return self._count

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples of these indexes; the function stops being iterated after the last of them.

        Raises:
            DataError: the function raised, yields fewer samples, or something other than dicts of fitting arrays.
        """
        if wanted is not None and not wanted:
            return
        chosen, last = (None, (self._count or 1) - 1) if wanted is None else (set(wanted), max(wanted))
        index = -1
        for index, item in enumerate(self._function.iterate()):
            if chosen is None or index in chosen:
                yield self._record(item, f"{self.origin}, sample {index}")
            if chosen is not None and index == last:
                return
        if index < last:
            raise self._too_few(index + 1, last + 1)

    def fingerprint(self) -> str | None:
        """None: what a function yields has no bytes to know it by."""
        return None

    def _record(self, item: object, where: str) -> Record:
        record = as_record(item, self._inputs, where)
        if self._labelled is None:
            self._labelled = record.label is not None
        if self._labelled != (record.label is not None):
            raise DataError(f"{where}: expected labels with all samples or with none; some have none")
        return record

    def _too_few(self, got: int, wanted: int) -> DataError:
        if got:
            return DataError(
                f"{self.origin} gave {got} samples where it gave {wanted} or more before; "
                "it should yield the same samples at each call"
            )
        return DataError(f"{self.origin}: expected at least one sample, got none; yield them anew at each call")


class ListSource(FeedsSource):
    """Dicts of arrays in a list."""

    def __init__(self, items: Sequence[Mapping[str, Any]], inputs: Sequence[TensorSpec]) -> None:
        if not items:
            raise DataError("data: expected at least one sample, got an empty list")
        super().__init__(UserFunction(lambda: items, "data", None, DataError), inputs)
        self._count = len(items)


def as_record(item: object, inputs: Sequence[TensorSpec], where: str) -> Record:
    """A dict of input name -> array, and maybe a label, as a sample.

    Raises:
        DataError: it is none, or an array does not fit its input.
    """
    if not isinstance(item, Mapping):
        kind, example = type(item).__name__, ", ".join(f'"{spec.name}": ...' for spec in inputs)
        raise DataError(f"{where}: expected a dict of input name -> array, got {kind}; yield {{{example}}}")
    values = dict(item)
    label = values.pop(LABELS, None) if takes_labels(inputs) else None
    check_names(map(str, values), inputs, where)
    feeds = {spec.name: as_array(values[spec.name], spec, where) for spec in inputs}
    for spec in inputs:
        check_type(feeds[spec.name].dtype, spec, where)
        check_shape(feeds[spec.name].shape, spec, where)
    return Record(feeds, None if label is None else _label(label, where), where)


def _label(value: object, where: str) -> int:
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected one integer under '{LABELS}', got {array.dtype.name} of {array.size} values; "
            "yield one sample at a time, with its class index"
        )
    return int(array.item())
