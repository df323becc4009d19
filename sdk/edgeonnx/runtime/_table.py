"""Rows of tables as inputs: from a dict, a JSON object, or a CSV file with a header."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import InputError
from ._text import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ._manifest import InputSpec

_DELIMITERS = (",", ";", "\t")


def columns(specs: Sequence[InputSpec]) -> list[str]:
    """Names of the columns that the inputs take, those of numbers first."""
    return [name for spec in specs if spec.media and spec.media.type == "table" for name in spec.media.columns]


def row(specs: Sequence[InputSpec], values: Mapping[str, Any], where: str = "the row") -> dict[str, NDArray[Any]]:
    """One row as a model's inputs.

    Args:
        specs: the manifest's inputs; those that take no table are left alone.
        values: column -> a number (None, NaN and an empty string: missing) or a category.
        where: begins the errors.

    Returns:
        Input name -> array, shape (1, columns): float32, NaN for what is missing; or objects of Python's `str`.

    Raises:
        InputError: a column is missing or unknown, with the near ones; or holds no number where one is taken.
    """
    known = columns(specs)
    for name in values:
        if name not in known:
            raise InputError(f"{where}: there is no column {name!r}{_near(str(name), known)}")
    return _arrays(specs, values, where)


def read_row(path: str | os.PathLike[str], specs: Sequence[InputSpec]) -> dict[str, NDArray[Any]]:
    """The one row of a file: a JSON object (`.json`), else a CSV file with a header and a row.

    Raises:
        InputError: the file can't be read, holds another number of rows, or as `row`.
    """
    path = os.fspath(path)
    if path.lower().endswith(".json"):
        import json

        try:
            value = json.loads(_read(path))
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"{path}: expected one object, column to value, got {type(value).__name__}")
        return row(specs, value, path)
    rows = list(read_rows(path, specs))
    if len(rows) != 1:
        raise InputError(f"{path}: expected one row, got {len(rows)}; give a file for each")
    return rows[0][0]


def read_rows(
    path: str | os.PathLike[str], specs: Sequence[InputSpec], label: str | None = None
) -> Iterator[tuple[dict[str, NDArray[Any]], str | None]]:
    """The rows of a CSV file with a header, one after another; commas, semicolons or tabs between values.

    Args:
        path: the file, UTF-8. Columns that are not asked for are passed over.
        specs: the inputs that take them.
        label: the column that holds what the answer should be.

    Yields:
        The inputs of a row, as `row` gives them, and its label, None without `label`.

    Raises:
        InputError: the file can't be read, lacks a column, or as `row`; with the line.
    """
    wanted = [*columns(specs), *([label] if label is not None else [])]
    for where, values in read_records(path, wanted):
        yield _arrays(specs, values, where), None if label is None else values[label]


def read_records(
    path: str | os.PathLike[str], wanted: Sequence[str], maybe: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file as they stand there.

    Args:
        path: as of `read_rows`.
        wanted: the columns to read.
        maybe: columns to read where there are such.

    Yields:
        File and line, and column -> text.

    Raises:
        InputError: the file can't be read, or lacks a column; with the line.
    """
    import csv

    path = os.fspath(path)
    lines = _read(path).splitlines(keepends=True)
    delimiter = max(_DELIMITERS, key=(lines[0] if lines else "").count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in wanted:
            if header.count(name) != 1:
                got = "twice" if name in header else f"none{_near(name, header)}"
                raise InputError(f"{path}: expected a column {name!r} in the header, got {got}")
        for record in reader:
            where = f"{path}, line {reader.line_num}"
            if not record:
                continue
            if len(record) != len(header):
                raise InputError(f"{where}: expected {len(header)} values, as the header has, got {len(record)}")
            yield where, {name: value for name, value in zip(header, record) if name in wanted or name in maybe}
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num} is not CSV: {error}") from error


def _arrays(specs: Sequence[InputSpec], values: Mapping[str, Any], where: str) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for spec in specs:
        if not spec.media or spec.media.type != "table":
            continue
        cells = []
        for name in spec.media.columns:
            if name not in values:
                raise InputError(f"{where}: expected a value for {name!r}, got none{_near(name, list(values))}")
            cell = values[name]
            cells.append(_category(cell, name, where) if spec.dtype == "str" else _number(cell, name, where))
        found[spec.name] = np.array([cells], dtype=object if spec.dtype == "str" else spec.dtype)
    return found


def _number(value: Any, name: str, where: str) -> float:
    """A cell as a float; NaN where it is missing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {name}: expected a number, or nothing, got {value!r}") from error


def _category(value: Any, name: str, where: str) -> str:
    """A cell as a string; nothing is an empty one."""
    if isinstance(value, float) and value.is_integer():  # what JSON or a data frame made of a category's number
        value = int(value)
    return str(as_text("" if value is None else str(value), f"{where}: {name}")[0])


def _near(name: str, known: Sequence[str]) -> str:
    """`; near: …`, or which there are."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; near: {', '.join(close)}" if close else f"; there are: {', '.join(known) or 'none'}"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8, got another byte at {error.start}; save it as UTF-8") from error
