"""Writes the generated parts of `docs/targets.md`: `python -m edgeonnx.targets.document docs/targets.md`.

A generated part stands between `<!-- NAME: generated -->` and `<!-- NAME: end -->`; the rest is written by hand.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edgeonnx.targets.load import list_targets
from edgeonnx.targets.profile import Target


def generated(text: str) -> str:
    """The document with its generated parts made anew from the schema and the shipped profiles.

    Raises:
        ValueError: a part's pair of markers is missing.
    """
    for name, part in (("targets", _targets()), ("fields", _fields())):
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"expected {begin} and {end} in the document, got neither or one; put them back")
        whole = f"{begin}\n{part}\n{end}"
        text = pattern.sub(lambda _, whole=whole: whole, text)  # type: ignore[misc]
    return text


def _targets() -> str:
    """Table of the shipped targets, members under their families, then what is proven of each."""
    rows = ["| target | board | tier | uint8 x int8 | INT8 kernels | opset |", "|---|---|---|---|---|---|"]
    proofs = []
    for family in list_targets():
        for target in (family, *(family.member(name) for name in family.members)):
            arithmetic = target.arithmetic
            rows.append(
                f"| `{target.name}` | {target.title} | {target.tier} | {arithmetic.u8s8} | {arithmetic.isa} "
                f"| {target.caps.opset} |"
            )
        proofs.append(f"- `{family.name}`, {family.tier}: {family.proof}")
    return "\n".join([*rows, "", *proofs])


def _fields() -> str:
    """Table of every field of a profile, nested tables by their dotted names."""
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{path}` | {_type(field.annotation)} | {_default(field)} | {field.description} |"
        for path, field in _walk(Target)
    ]
    return "\n".join(rows)


def _walk(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        path = prefix + name
        if field.description:
            yield path, field
        part = _part(field.annotation)
        if part is not None and not prefix:  # a member's tables are the family's, listed already
            key = {"members": ".NAME", "providers": "[]", "sources": "[]"}.get(path, "")
            yield from _walk(part, f"{path}{key}.")


def _part(annotation: Any) -> type[BaseModel] | None:
    """The table a field holds, be it one, optional, a list of them or by name; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, (_part(argument) for argument in get_args(annotation))), None)


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "table" if _part(annotation) is None else "tables by name"
    if origin in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        return _type(arguments[0] if arguments else annotation.__origin__)
    return {str: "string", int: "integer", float: "number", bool: "boolean"}.get(annotation, "table")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default is None or default in ((), {}):
        return ""
    if isinstance(default, tuple):
        return ", ".join(f'`"{item}"`' for item in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(generated(document.read_text("utf-8")), "utf-8")
