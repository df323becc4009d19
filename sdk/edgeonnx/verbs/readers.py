"""Which files a declared input can be read from: each kind is read as a device reads it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.calibration.readers import FileReader, Reader, RowReader
from edgeonnx.errors import DataError
from edgeonnx.pipeline.part import Entry
from edgeonnx.pipeline.pictures import read_image
from edgeonnx.runtime._manifest import InputSpec
from edgeonnx.runtime._table import columns, read_records, row
from edgeonnx.runtime._text import as_text, read_text
from edgeonnx.runtime._wav import read_audio

# Columns of a table that give the class, the first that is there.
_LABELS = ("labels", "label")


def readers(declared: Sequence[Entry]) -> list[Reader]:
    """Readers for what a pipeline takes."""
    found: list[Reader] = []
    specs = [_spec(entry) for entry in declared]
    for spec, media in ((spec, spec.media) for spec in specs if spec.media):
        if media.type == "image":
            found.append(FileReader("picture", spec.name, partial(read_image, media=media)))
        elif media.type == "audio":
            found.append(FileReader("sound", spec.name, partial(read_audio, spec=spec)))
        elif media.type == "text":
            found.append(FileReader("text", spec.name, partial(read_text, spec=spec)))
            found.append(RowReader("text", _lines, partial(_line, name=spec.name)))
    if names := columns(specs):
        records = partial(read_records, wanted=names, maybe=[name for name in _LABELS if name not in names])
        found.append(RowReader("table", records, partial(_record, specs=specs, names=names)))
    return found


def _spec(entry: Entry) -> InputSpec:
    """An entry as a device's manifest tells it."""
    spec = entry.spec
    shape = tuple(f"{spec.name}_{axis}" if size is None else size for axis, size in enumerate(spec.shape or ()))
    return InputSpec(spec.name, spec.dtype, shape, entry.media)


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text that are not empty."""
    with path.open(encoding="utf-8-sig") as file:
        yield from filter(None, (line.rstrip("\n") for line in file))


def _line(text: str, name: str) -> Mapping[str, np.ndarray]:
    return {name: as_text(text, name)}


def _record(record: tuple[str, dict[str, str]], specs: Sequence[InputSpec], names: Sequence[str]) -> Mapping[str, Any]:
    where, values = record
    feeds: dict[str, Any] = dict(row(specs, {name: values[name] for name in names}, where))
    for name in _LABELS:
        if name in values and name not in names:
            return feeds | {"labels": _class(values[name], name, where)}
    return feeds


def _class(text: str, column: str, where: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise DataError(
            f"{where}: {column}: expected a class's number, got {text!r}; number the classes as the model's outputs are"
        ) from error
