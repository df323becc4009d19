"""Samples: the one way data enters edgeonnx, for calibration and for evaluation alike.

What may be given, as `--data` or `data=`:

- an `.npz` whose arrays are named after the model's inputs, samples along the first axis, maybe with `labels`;
- a folder of `.npz` files, or, for a model of one input, of files that are one sample each: `.npy`; pictures, `.wav`
  and `.txt` where the input is declared to be read from them. With one subfolder per class the subfolders' names in
  order give the labels: as numbers where all are numbers, else as text;
- a `.txt` of one text a line, or a `.csv` with a heading, maybe with a column `labels`, where the inputs are declared
  to be read from them; one such file of the kinds above is one sample;
- `FILE.py:FUNC`, a function that yields dicts of arrays, called anew for each pass;
- in Python also a mapping of arrays, a function, or a list of dicts of arrays.

Data is read lazily, one sample in memory at a time, and every sample is checked against the inputs as it is read.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeonnx.calibration._arrays import from_mapping
from edgeonnx.calibration._callable import FeedsSource, ListSource
from edgeonnx.calibration._check import check_values
from edgeonnx.calibration._folder import open_file, open_folder
from edgeonnx.calibration._npz import NpzSource
from edgeonnx.calibration._rows import RowSource
from edgeonnx.calibration._source import Array, Feeds, Record, Source
from edgeonnx.calibration.readers import FileReader, Reader, RowReader, kind_of
from edgeonnx.errors import DataError
from edgeonnx.model import TensorSpec
from edgeonnx.userfile import is_reference, load_function, own_function

__all__ = ["Data", "Record", "Samples", "open_samples"]

Data = (
    str | os.PathLike[str] | Mapping[str, Any] | Callable[[], Iterable[Mapping[str, Any]]] | Sequence[Mapping[str, Any]]
)

_GOLDEN = (5**0.5 - 1) / 2


class Samples:
    """Samples that fit a model's inputs, numbered from 0, readable any number of times.

    Attributes:
        names: of the inputs.
        skipped: what was wrong with each sample that was passed over, by its number.
    """

    def __init__(
        self, source: Source, inputs: Sequence[TensorSpec], skip_bad: bool = False, missing: Collection[str] = ()
    ) -> None:
        self._source, self._skip_bad, self._missing = source, skip_bad, missing
        self.names = tuple(spec.name for spec in inputs)
        self.skipped: dict[int, str] = {}

    @property
    def origin(self) -> str:
        """Where they come from, for messages: a file, a folder, a function, or `data`."""
        return self._source.origin

    @property
    def has_labels(self) -> bool:
        """Whether every sample has a label; a function is run up to its first sample to know."""
        return self._source.has_labels()

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Class names by label, where subfolders gave the labels; else None."""
        return self._source.classes

    def count(self) -> int:
        """Number of samples, at least 1; a function is run through once to know, and the number remembered."""
        return self._source.count()

    def feeds(self, indexes: Collection[int] | None = None) -> Iterator[Feeds]:
        """The samples, one at a time.

        Args:
            indexes: which, in any order; they come in ascending order, each once, since compressed data can only
                be read forward. None: all.

        Yields:
            Input name -> array of the input's dtype, shaped as the model takes it.

        Raises:
            DataError: a sample does not fit the inputs, holds NaN or infinity, or can't be read.
            IndexError: an index below 0 or past the last sample.
        """
        for record in self.records(indexes):
            yield record.feeds

    def labelled(self, indexes: Collection[int] | None = None) -> Iterator[tuple[Feeds, int]]:
        """As `feeds`, each with its label.

        Raises:
            DataError: as `feeds`, and if there are no labels.
        """
        for record in self.records(indexes):
            if record.label is None:
                raise DataError(
                    f"{self.origin}: expected labels, got none; add an integer array 'labels', or one subfolder "
                    "per class"
                )
            yield record.feeds, record.label

    def records(self, indexes: Collection[int] | None = None) -> Iterator[Record]:
        """As `feeds`, each with where it comes from."""
        wanted = None if indexes is None else sorted(set(indexes))
        if wanted and (wanted[0] < 0 or wanted[-1] >= self.count()):
            raise IndexError(
                f"{self.origin}: samples are numbered 0 to {self.count() - 1}, got {wanted[0]}, {wanted[-1]}"
            )
        for record in self._source.read(wanted) if not self._skip_bad else self._readable(wanted):
            check_values(record.feeds, record.where, self._missing)
            yield replace(record, feeds={name: _native(array) for name, array in record.feeds.items()})

    def split(self, calibration: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Indexes to calibrate on and indexes to evaluate on, the same at each call.

        The data is cut into as many stretches as there are samples to calibrate on and one is taken from each, so
        that data sorted by class is covered. Where in its stretch follows the golden ratio: at a fixed place, data
        whose classes take turns would give one class only.

        Args:
            calibration: how many to calibrate on, at least 1; at least half of the data is left to evaluate on.

        Raises:
            DataError: there are fewer than 2 samples.
            ValueError: `calibration` is below 1.
        """
        if calibration < 1:
            raise ValueError(f"expected at least 1 calibration sample, got {calibration}")
        count = self.count()
        if count < 2:
            raise DataError(f"{self.origin}: expected at least 2 samples, one to calibrate and one to evaluate, got 1")
        share = min(calibration, count // 2)
        chosen = set()
        for place in range(share):
            start, stop = place * count // share, (place + 1) * count // share
            chosen.add(start + int((place * _GOLDEN % 1.0) * (stop - start)))
        return tuple(sorted(chosen)), tuple(index for index in range(count) if index not in chosen)

    def fingerprint(self) -> str | None:
        """SHA-256 over the files' bytes, hexadecimal; None for what comes from a function or from memory."""
        return self._source.fingerprint()

    def _readable(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples that can be read and used; reading begins anew behind each that can't."""
        left = [i for i in (range(self.count()) if wanted is None else wanted) if i not in self.skipped]
        while left:
            done = 0
            try:
                for record in self._source.read(left):
                    check_values(record.feeds, record.where, self._missing)
                    done += 1
                    yield record
                return
            except DataError as error:
                self.skipped[left[done]] = str(error)
            left = left[done + 1 :]


def open_samples(
    data: Data,
    inputs: Sequence[TensorSpec],
    readers: Sequence[Reader] = (),
    skip_bad: bool = False,
    missing: Collection[str] = (),
) -> Samples:
    """Open data for a model; of files, only headers are read yet.

    Args:
        data: see the top of this module.
        inputs: what the model takes.
        readers: of files that inputs are declared to be read from.
        skip_bad: pass over samples that can't be read or used, and tell of them in `skipped`; a function's can't be
            told apart, so it is an error there as ever.
        missing: the inputs in which NaN may stand, for what is missing.

    Raises:
        DataError: there is no such data, it is empty, or it does not fit the inputs.
    """
    source = _source(data, inputs, readers)
    return Samples(source, inputs, skip_bad and not isinstance(source, FeedsSource), missing)


def _source(data: Data, inputs: Sequence[TensorSpec], readers: Sequence[Reader]) -> Source:
    if isinstance(data, (str, os.PathLike)):
        return _from_path(os.fspath(data), inputs, readers)
    if isinstance(data, Mapping):
        return from_mapping(data, inputs)
    if callable(data):
        return FeedsSource(own_function(data, DataError), inputs)
    if isinstance(data, (list, tuple)):
        return ListSource(data, inputs)
    raise DataError(
        f"data: expected a path, a mapping of arrays, a function or a list of dicts, got {type(data).__name__}; "
        "give an array by its input's name, and a function rather than an iterator, which can be read only once"
    )


def _from_path(text: str, inputs: Sequence[TensorSpec], readers: Sequence[Reader]) -> Source:
    path = Path(text)
    if path.is_dir():
        return open_folder(path, inputs, readers)
    if is_reference(text):
        return FeedsSource(load_function(text, DataError), inputs)
    if not path.exists():
        raise DataError(f"{path} does not exist; give an .npz, a folder of samples, or FILE.py:FUNC")
    if path.suffix.lower() == ".npz":
        return NpzSource(path, inputs)
    declared = {type(reader): reader for reader in readers if reader.kind == kind_of(path)}
    match declared.get(RowReader) or declared.get(FileReader):
        case RowReader() as rows:
            return RowSource(path, rows, inputs)
        case FileReader() as file:
            return open_file(path, inputs, file)
    name = inputs[0].name if inputs else "input"
    hint = f'; use np.savez("data.npz", **{{"{name}": array}})' if path.suffix.lower() == ".npy" else ""
    if kind := kind_of(path):
        hint = f"; no input is declared to be read from a {kind}: declare its preprocessing with --pipeline"
    raise DataError(f"{path}: expected an .npz, a folder of samples, or FILE.py:FUNC, got {path.name}{hint}")


def _native(array: Array) -> Array:
    """In this machine's byte order, which dtype names don't tell and onnxruntime takes for granted."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
