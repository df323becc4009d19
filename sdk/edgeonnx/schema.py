"""Schemas of files: what a file that breaks its schema is told, and what a field means, read from the docstrings."""

import inspect
import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edgeonnx.data import near

# What pydantic's types of errors mean in the words of TOML.
_KINDS = {
    "table": ("model_type", "model_attributes_type", "dict_type"),
    "list": ("tuple_type", "list_type"),
    "number": ("float_type", "float_parsing"),
    "integer": ("int_type", "int_parsing", "int_from_float"),
    "text": ("string_type",),
    "true or false": ("bool_type", "bool_parsing"),
}
_NOWHERE = object()


def first_problem(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first problem pydantic found in a file, as one line: field, what is wrong, and what was got.

    Args:
        error: pydantic's.
        schema: what the file was held against; tells which names are known there.
    """
    problem = error.errors()[0]
    path, holder, allowed = _follow(schema, problem["loc"])
    types = [name for part in parts(allowed) if (name := tag(part))]
    field = ".".join(path) or "the file"
    match problem["type"]:
        case "missing":
            return f"{field} is missing"
        case "extra_forbidden":
            known = list(holder.model_fields) if holder else []
            return f"{field} is not a known field. {near(path[-1], known)}"
        case "union_tag_not_found":
            return f"{field}.type is missing. Known: {', '.join(types)}"
        case "union_tag_invalid":
            got = problem["ctx"]["tag"]
            return f"{field}.type: {got!r} is not a known type. {near(got, types)}"
        case "value_error":
            return f"{field}: {problem['ctx']['error']}"
    same = [other for other in error.errors() if _follow(schema, other["loc"])[0] == path]
    wanted = " or ".join(dict.fromkeys(_wanted(other) for other in same))
    return f"{field}: {wanted}, got {problem['input']!r}"


def summary(part: type[BaseModel]) -> str:
    """What a docstring says before its first section."""
    text = inspect.cleandoc(part.__doc__ or "")
    return " ".join(re.split(r"\n\n(?=[A-Z][a-z]+:\n)", text)[0].split())


def meanings(part: type[BaseModel]) -> dict[str, str]:
    """Field -> what the docstring's `Attributes` says of it; a class inherits what it does not say itself."""
    found: dict[str, str] = {}
    for base in reversed(part.__mro__):
        text = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        section = re.split(r"\n\n(?=\S)", text)[0]
        for entry in re.split(r"\n(?= {4}\S)", "\n" + section):
            names, _, meaning = entry.strip().partition(":")
            found |= {name: " ".join(meaning.split()) for name in names.split(", ") if name in part.model_fields}
    return found


def parts(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold: itself, or those of its union."""
    return [member for member in _members(annotation) if isinstance(member, type) and issubclass(member, BaseModel)]


def tag(part: type[BaseModel]) -> str | None:
    """The `type` that tells a model from the others of its union."""
    field = part.model_fields.get("type")
    return field.default if field is not None and isinstance(field.default, str) else None


def _members(annotation: Any) -> list[Any]:
    """What an annotation allows, without None: of a union its members, of anything else itself."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for argument in get_args(annotation) for member in _members(argument)]
    return [] if annotation is type(None) else [annotation]


def _follow(schema: type[BaseModel], place: Sequence[int | str]) -> tuple[list[str], type[BaseModel] | None, Any]:
    """A place in the schema: its path as the file spells it, the model that holds it, and what is allowed there.

    pydantic's own also names the member of a union that it tried, which stands in no file.
    """
    path: list[str] = []
    holder: type[BaseModel] | None = None
    here: Any = schema
    for step in place:
        members, models = _members(here), parts(here)
        tried = next((model for model in models if len(members) > 1 and step in (tag(model), model.__name__)), None)
        if tried is not None:
            here = tried
            continue
        holder = next((model for model in models if step in model.model_fields), models[0] if models else None)
        inside = _inside(members, holder, step)
        if inside is not _NOWHERE:
            path.append(str(step))
            here = inside
    return path, holder, here


def _inside(members: Sequence[Any], holder: type[BaseModel] | None, step: int | str) -> Any:
    """What is allowed at a field, key or index; None at a field that is not known."""
    if holder is not None and isinstance(step, str):
        return holder.model_fields[step].annotation if step in holder.model_fields else None
    for member in members:
        if get_origin(member) in (tuple, list) and isinstance(step, int):
            return get_args(member)[0]
        if get_origin(member) is dict and len(members) == 1:
            return get_args(member)[1]
    return _NOWHERE


def _wanted(problem: ErrorDetails) -> str:
    kind = next((kind for kind, types in _KINDS.items() if problem["type"] in types), None)
    if problem["type"] == "too_short":
        count = problem["ctx"]["min_length"]
        return f"expected at least {count} item{'' if count == 1 else 's'}"
    return f"expected {kind or problem['msg'].removeprefix('Input should be ')}"
