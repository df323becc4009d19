"""Writes the documents that are made from the code: `make docs`."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from edgeonnx import list_recipes
from edgeonnx.cli import cli
from edgeonnx.doctor import document as doctor
from edgeonnx.optimize import document as optimize
from edgeonnx.pipeline import document as pipeline
from edgeonnx.targets import document as targets
from tests.house.tree import ROOT

WIDTH = 80
SETTINGS = cli.context_settings
_INTRODUCTION = """\
# The command line

Written by `make docs` from what the commands say of themselves; change them there.

Results go to standard output, `--json` makes them data. An error is one line on standard error that says what was
expected, what was got and what mends it; a command line that does not parse is answered with its usage. A file is
written whole or not at all.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check says no |
| 2 | bad input |
| 3 | the accuracy or speed budget was missed; the best that was found is in `NAME.rejected.onnx` |
| 130 | interrupted |
"""
_RECIPES = """\
## Recipes

What `--recipe` takes, besides the path of a file of your own written like those in `calibration/`.

| recipe | what it does |
|---|---|
"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed, groups before what is in them: `edgeonnx targets show`."""
    yield from _below("edgeonnx", cli)


def help_text(typed: str, command: click.Command) -> str:
    """What `--help` prints in a terminal of 80 columns."""
    context = click.Context(command, info_name=typed, terminal_width=WIDTH, max_content_width=WIDTH, **SETTINGS)
    return command.get_help(context)


def documents() -> Mapping[Path, str]:
    """The generated documents: path -> what is to stand there."""
    docs = ROOT / "docs"
    return {
        docs / "cli.md": _command_line(),
        docs / "doctor.md": doctor.generated((docs / "doctor.md").read_text("utf-8")),
        docs / "optimize.md": optimize.generated((docs / "optimize.md").read_text("utf-8")),
        docs / "targets.md": targets.generated((docs / "targets.md").read_text("utf-8")),
        docs / "pipeline.md": pipeline.generated((docs / "pipeline.md").read_text("utf-8")),
        docs / "pipeline.schema.json": pipeline.json_schema(),
    }


def _below(typed: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield typed, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=typed)
        for name in command.list_commands(context):
            yield from _below(f"{typed} {name}", command.get_command(context, name))


def _command_line() -> str:
    sections = [f"## `{typed}`\n\n```text\n{help_text(typed, command)}\n```\n" for typed, command in commands()]
    recipes = "".join(f"| `{recipe.name}` | {recipe.title} |\n" for recipe in list_recipes())
    return "\n".join([_INTRODUCTION, *sections, _RECIPES + recipes])


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, "utf-8")
