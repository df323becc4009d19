"""Writes the generated parts of `docs/doctor.md`: the errors that are explained, and what is known to fail."""

import re

from edgeonnx.doctor.known_bad import KnownBad, known_bad
from edgeonnx.explain import known_errors


def generated(text: str) -> str:
    """The document with its generated parts made anew from the facts.

    Raises:
        ValueError: a part's pair of markers is missing.
    """
    for name, part in (("errors", _errors()), ("known-bad", _known_bad())):
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"expected {begin} and {end} in the document, got neither or one; put them back")
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text


def _errors() -> str:
    """Cause and fix of each error; what its message fills in stands in braces."""
    rows = ["| error | cause | fix |", "|---|---|---|"]
    for known in known_errors():
        one = known.explanation
        rows.append(f"| [{one.name}]({one.source}) | {_cell(one.cause)} | {_cell(one.fix)} |")
    return "\n".join(rows)


def _known_bad() -> str:
    rows = ["| what | with | becomes | mended by |", "|---|---|---|---|"]
    rows += [
        f"| [{row.name}]({row.source}) | {_with(row)} | {_cell(row.message)} | {_cell(row.mend)} |"
        for row in known_bad()
    ]
    return "\n".join(rows)


def _with(row: KnownBad) -> str:
    parts = [f"{name} {bounds}" for name, bounds in row.versions.items()]
    parts += [", ".join(words) for words in (row.installed, row.os, row.machine, row.operators) if words]
    parts += [f"opset {row.opset}"] if row.opset else []
    parts += [f"no {row.lacks}"] if row.lacks else []
    return _cell("; ".join(parts))


def _cell(text: str) -> str:
    return re.sub(r"([|<>*_])", r"\\\1", text)
