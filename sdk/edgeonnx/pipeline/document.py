"""Writes the generated part of `docs/pipeline.md`, every kind with every field, and the JSON Schema beside it.

The generated part stands between `<!-- kinds: generated -->` and `<!-- kinds: end -->`; the rest is written by hand.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edgeonnx.pipeline.inputs import InputKind
from edgeonnx.pipeline.outputs import OutputKind, TensorOutput
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.pipeline.step import Step
from edgeonnx.schema import meanings, parts, summary, tag

_BEGIN, _END = "<!-- kinds: generated -->", "<!-- kinds: end -->"
_STEPS = 'In `steps`, in order: a name, `"softmax"`, or a table of one entry, `{clip = [0, 1]}`.'
_WORDS = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path of a file"}


def json_schema() -> str:
    """The JSON Schema of specs, as text."""
    return json.dumps(PipelineSpec.model_json_schema(), indent=2) + "\n"


def generated(text: str) -> str:
    """The document with its generated part made anew from the schema.

    Raises:
        ValueError: the pair of markers is missing.
    """
    begin, end = text.find(_BEGIN), text.find(_END)
    if not 0 <= begin < end:
        raise ValueError(f"expected {_BEGIN} and {_END} in the document, got neither or one; put them back")
    return f"{text[:begin]}{_BEGIN}\n{_kinds()}\n{text[end:]}"


def _kinds() -> str:
    sections = []
    for title, union in (("Inputs", InputKind), ("Outputs", OutputKind)):
        sections.append(f"## {title}")
        for part in parts(union):
            place = f"[{'input.NAME' if title == 'Inputs' else 'output'}]"
            sections += [f'### `type = "{tag(part)}"` in `{place}`', summary(part), *_tables(part)]
    sections += ["## Steps", _STEPS, _steps(), "## State", f"`[state]`: {meanings(PipelineSpec)['state']}"]
    return "\n\n".join(sections)


def _steps() -> str:
    """A table of the steps."""
    rows = ["| step | value | default | meaning |", "|---|---|---|---|"]
    for step in _held(TensorOutput.model_fields["steps"].annotation):
        ((name, field),) = step.model_fields.items()
        rows.append(f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {_cell(summary(step))} |")
    return "\n".join(rows)


def _tables(part: type[BaseModel]) -> Iterator[str]:
    """The fields of a part, then of each part that they hold."""
    yield _table(part)
    for inner in _inside(part):
        kind = f', `type = "{tag(inner)}"`' if tag(inner) else ""
        yield f"**`{inner.__name__}`**{kind}: {summary(inner)}"
        if meanings(inner):
            yield _table(inner)


def _inside(part: type[BaseModel]) -> list[type[BaseModel]]:
    """The parts that a part's fields hold, however deep, each once."""
    found: dict[type[BaseModel], None] = {}
    for field in part.model_fields.values():
        for inner in (held for held in _held(field.annotation) if not issubclass(held, Step)):
            found |= {inner: None} | dict.fromkeys(_inside(inner))
    return list(found)


def _held(annotation: Any) -> list[type[BaseModel]]:
    found = parts(annotation)
    return found or [held for argument in get_args(annotation) for held in _held(argument)]


def _table(part: type[BaseModel]) -> str:
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    said = meanings(part)
    rows += [
        f"| `{name}` | {_cell(_type(field.annotation))} | {_cell(_default(field))} | {_cell(said.get(name, ''))} |"
        for name, field in part.model_fields.items()
        if name != "type"
    ]
    return "\n".join(rows)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        if parts(annotation) and all(issubclass(part, Step) for part in parts(annotation)):
            return "[steps](#steps)"
        return " or ".join(dict.fromkeys(_type(argument) for argument in arguments if argument is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{_toml(argument)}`" for argument in arguments)
    if origin is tuple:
        many = "list of" if arguments[-1] is Ellipsis else f"{len(arguments)} in a list, each"
        return f"{many} {_type(arguments[0])}"
    return f"`{annotation.__name__}`" if parts(annotation) else _WORDS.get(annotation, "table")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    return "" if value in (None, (), [], {}) else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, default=str)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
