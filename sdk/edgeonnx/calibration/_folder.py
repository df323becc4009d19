"""Folders of samples: `.npz`, `.npy`, pictures, sound or texts; one subfolder per class makes labels."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeonnx.calibration._check import check_shape, check_type, quoted, shown
from edgeonnx.calibration._npz import NpzSource
from edgeonnx.calibration._source import Array, Record
from edgeonnx.calibration.readers import FileReader, Reader, kind_of
from edgeonnx.errors import DataError
from edgeonnx.files import sha256
from edgeonnx.model import TensorSpec

_KINDS = ("npz", "npy", "picture", "sound", "text")
_EXPECTED = ".npz, .npy, picture, .wav or .txt files"


@dataclass(frozen=True)
class Listing:
    """The files of a folder, in the order of their samples.

    Attributes:
        folder: the folder.
        files: each file with its class, None where there are no subfolders; sorted by class, then by name.
        classes: names of the subfolders in order; None if there are none.
        kind: `npz`, `npy`, or one of `readers.SUFFIXES`.
    """

    folder: Path
    files: tuple[tuple[Path, int | None], ...]
    classes: tuple[str, ...] | None
    kind: str


def listing(folder: Path) -> Listing:
    """What a folder holds; hidden files and folders are passed over.

    Classes come in the order of their names: as numbers where all are numbers, so that 2 comes before 10, else as text.

    Raises:
        DataError: nothing, files of several kinds, files beside subfolders, or folders two deep.
    """
    files, folders = _entries(folder)
    if files and folders:
        raise DataError(
            f"{folder}: expected files or one subfolder per class, got both, such as {files[0].name} and "
            f"{folders[0].name}/; move the files into the folders of their classes"
        )
    if all(subfolder.name.isdecimal() for subfolder in folders):
        folders.sort(key=lambda subfolder: int(subfolder.name))
    labelled: list[tuple[Path, int | None]] = [(file, None) for file in files]
    for label, subfolder in enumerate(folders):
        inside, deeper = _entries(subfolder)
        if deeper:
            raise DataError(f"{deeper[0]}: a folder inside a class's folder; put its files into {subfolder}")
        labelled += [(file, label) for file in inside]
    if not labelled:
        raise DataError(f"{folder}: expected {_EXPECTED}, got an empty folder; put samples there")
    classes = tuple(subfolder.name for subfolder in folders) or None
    return Listing(folder, tuple(labelled), classes, _kind(folder, [file for file, _ in labelled]))


def open_folder(folder: Path, inputs: Sequence[TensorSpec], readers: Sequence[Reader] = ()) -> "NpzFolder | FileFolder":
    """The source for what a folder holds.

    Raises:
        DataError: see `listing`; or files of one input for a model of several, or of a kind that no input is declared
            to be read from.
    """
    found = listing(folder)
    if found.kind == "npz":
        return NpzFolder(found, inputs)
    return FileFolder(found, inputs[0], _one_input(found, inputs, readers))


def open_file(path: Path, inputs: Sequence[TensorSpec], reader: FileReader) -> "FileFolder":
    """The source for one file that is one sample.

    Raises:
        DataError: the model has several inputs.
    """
    found = Listing(path.parent, ((path, None),), None, reader.kind)
    return FileFolder(found, inputs[0], _one_input(found, inputs, [reader]))


def _one_input(found: Listing, inputs: Sequence[TensorSpec], readers: Sequence[Reader]) -> Callable[[Path], Array]:
    """What reads the files into the only input.

    Raises:
        DataError: there are several inputs, or the only one is not declared to be read from such files.
    """
    if len(inputs) != 1:
        raise DataError(
            f"{found.folder}: {found.kind} files hold one input, the model has {len(inputs)}, "
            f"{quoted(spec.name for spec in inputs)}; give .npz files with an array for each"
        )
    if found.kind == "npy":
        return _load
    for reader in readers:
        if isinstance(reader, FileReader) and reader.kind == found.kind and reader.input == inputs[0].name:
            return reader
    raise DataError(
        f"{found.folder}: holds {found.kind} files, but input '{inputs[0].name}' is not declared to be read from such; "
        "declare its preprocessing with --pipeline"
    )


class NpzFolder:
    """A folder of `.npz` files, one sample or several in each.

    Raises:
        DataError: a file does not fit the inputs, or only some have labels.
    """

    def __init__(self, found: Listing, inputs: Sequence[TensorSpec]) -> None:
        self.origin, self.classes = str(found.folder), found.classes
        self._listing = found
        self._parts = [NpzSource(file, inputs) for file, _ in found.files]
        inner = {part.has_labels() for part in self._parts}
        if len(inner) > 1:
            bare = next(part.origin for part in self._parts if not part.has_labels())
            raise DataError(f"{self.origin}: expected labels in all files or in none; {bare} has none")
        if inner == {True} and found.classes:
            raise DataError(f"{self.origin}: labels come from the subfolders; remove 'labels' from the .npz files")
        self._labelled = inner == {True} or found.classes is not None

    def has_labels(self) -> bool:
        """Whether the files hold labels, or stand in folders of classes."""
        return self._labelled

    def count(self) -> int:
        """Samples in all files together."""
        return sum(part.count() for part in self._parts)

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples of these indexes, counted through the files in order."""
        start = 0
        for part, (_, label) in zip(self._parts, self._listing.files, strict=True):
            stop = start + part.count()
            inside = None if wanted is None else [index - start for index in wanted if start <= index < stop]
            if inside is None or inside:
                for record in part.read(inside):
                    yield record if label is None else replace(record, label=label)
            start = stop

    def fingerprint(self) -> str | None:
        """SHA-256 over the files' names and bytes."""
        return _fingerprint(self._listing)


class FileFolder:
    """A folder where each file is one sample of a model's only input.

    An array of the input's rank is taken as it is; one of a rank less gets the batch axis in front.
    """

    def __init__(self, found: Listing, spec: TensorSpec, load: Callable[[Path], Array]) -> None:
        self.origin, self.classes = str(found.folder), found.classes
        self._listing, self._spec, self._load = found, spec, load

    def has_labels(self) -> bool:
        """Whether the files stand in folders of classes."""
        return self.classes is not None

    def count(self) -> int:
        """Number of files."""
        return len(self._listing.files)

    def read(self, wanted: Sequence[int] | None) -> Iterator[Record]:
        """The samples of these indexes."""
        for index in range(self.count()) if wanted is None else wanted:
            path, label = self._listing.files[index]
            feeds = {self._spec.name: self._fitted(self._load(path), path)}
            yield Record(feeds, label, f"{path}, sample {index}", None if self._listing.kind == "npy" else path)

    def fingerprint(self) -> str | None:
        """SHA-256 over the files' names and bytes."""
        return _fingerprint(self._listing)

    def _fitted(self, array: Array, path: Path) -> Array:
        check_type(array.dtype, self._spec, str(path))
        wanted = self._spec.shape
        if wanted is not None and array.ndim not in (len(wanted), len(wanted) - 1):
            raise DataError(
                f"{path}, input '{self._spec.name}': expected one sample, shaped {shown(wanted)} or without its "
                f"first axis, got {shown(array.shape)}; several samples go into an .npz"
            )
        fitted = array[np.newaxis] if wanted is not None and array.ndim == len(wanted) - 1 else array
        check_shape(fitted.shape, self._spec, str(path))
        return fitted


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    try:
        entries = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda p: p.name)
    except OSError as error:
        raise DataError(f"{folder} can't be listed: {error.strerror or error}") from error
    return [path for path in entries if not path.is_dir()], [path for path in entries if path.is_dir()]


def _kind(folder: Path, files: Sequence[Path]) -> str:
    examples: dict[str, Path] = {}
    for file in files:
        suffix = file.suffix.lower()
        kind = kind_of(file) or suffix.removeprefix(".") or "files without a suffix"
        examples.setdefault(kind, file)
    if len(examples) > 1:
        told = " and ".join(f"{kind} ({file.name})" for kind, file in examples.items())
        raise DataError(f"{folder}: expected files of one kind, got {told}; keep one kind there")
    (kind, example), *_ = examples.items()
    if kind not in _KINDS:
        raise DataError(f"{folder}: expected {_EXPECTED}, got {example.name}")
    return kind


def _load(path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        told = "it holds pickled Python objects" if "allow_pickle" in str(error) else error
        raise DataError(f"{path} can't be read as .npy: {told}; write it with np.save") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise DataError(f"{path} is an .npz by its content; rename it")
    return array


def _fingerprint(found: Listing) -> str:
    digest = hashlib.sha256()
    for path, _ in found.files:
        name = path.relative_to(found.folder).as_posix()
        digest.update(f"{name}\0{sha256(path)}\n".encode())
    return digest.hexdigest()
