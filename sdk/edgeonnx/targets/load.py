"""Finding a target's profile, reading it, and saying in one line what is wrong with it."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgeonnx import data
from edgeonnx.errors import TargetError
from edgeonnx.targets.profile import Target

_DOCS = "docs/targets.md lists every field"


def load_target(name_or_path: str) -> Target:
    """A shipped target (`raspberrypi`), a family's member (`raspberrypi-5`), or a `.toml` file of the user's.

    Raises:
        TargetError: no such target or file, or a profile that breaks the schema.
    """
    path = data.find("targets", name_or_path)
    if path is not None:
        return read(path)
    for family in list_targets():
        short = name_or_path.removeprefix(f"{family.name}-")
        if short in family.members and short != name_or_path:
            return family.member(short)
    if name_or_path.endswith(".toml"):
        raise TargetError(f"target {name_or_path!r}: expected a file, found none; check the path")
    raise TargetError(
        f"target {name_or_path!r}: no such target. {data.near(name_or_path, target_names())}. "
        "Or give the path of a .toml file of your own"
    )


def list_targets() -> list[Target]:
    """The shipped targets, families as one each, in order of their names.

    Raises:
        TargetError: a shipped profile that breaks the schema: the installation is damaged.
    """
    folder = data.folder("targets")
    return [read(folder / f"{name}.toml") for name in data.names("targets")]


def target_names() -> list[str]:
    """Every name `load_target` takes besides a path: families, and their members after them."""
    return [
        name
        for target in list_targets()
        for name in (target.name, *(f"{target.name}-{member}" for member in target.members))
    ]


def read(path: Path) -> Target:
    """The profile in a file.

    Raises:
        TargetError: not readable, not TOML, or it breaks the schema.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TargetError(f"{path}: can't be read: {error.strerror}; check the file's permissions") from error
    except UnicodeDecodeError as error:
        raise TargetError(
            f"{path}: expected UTF-8 text, got byte {error.start} of another encoding; save it as UTF-8"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{path}: expected TOML, got: {error}; mend that line") from error
    try:
        return Target.model_validate(content)
    except ValidationError as error:
        raise TargetError(_first(path, error)) from error


def _first(path: Path, error: ValidationError) -> str:
    """The first thing a profile got wrong: file, field, expected, got, and what mends it."""
    first: Any = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "missing":
            expected, got = "a value", "none; add it"
        case "extra_forbidden":
            expected, got = "a field of the schema", "an unknown one; correct its spelling or remove it"
        case _:
            said = str(first["msg"]).removeprefix("Value error, ")
            expected, got = said.removeprefix("Input should be "), f"{first['input']!r}; correct it"
    return f"{path}: {field}: expected {expected}, got {got} ({_DOCS})"
