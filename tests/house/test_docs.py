"""The documents say what the code does."""

import re
import shlex

import click
import pytest

from edgeonnx import list_recipes
from edgeonnx.cli import cli
from edgeonnx.targets import target_names
from tests.house.tree import ROOT, files
from tests.house.write_docs import commands, documents, help_text

PROSE = [name for name in files() if name.endswith(".md") and not name.startswith("tests/")]
# A command stands on a line of its own in a block, or between backticks in a sentence.
COMMAND = re.compile(r"^(?: {4}|\$ )?(edgeonnx [a-z].*)$|`(edgeonnx [a-z][^`]*)`", re.MULTILINE)


def written_commands() -> list[tuple[str, str]]:
    found = [(name, line or inline) for name in PROSE for line, inline in COMMAND.findall(_text(name))]
    return [(name, command) for name, command in found if name != "docs/cli.md"]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_a_generated_document_is_in_step(path):
    """A reference that is written twice is wrong once."""
    assert path.read_text("utf-8") == documents()[path], "run: make docs"


@pytest.mark.parametrize(("typed", "command"), [pytest.param(*each, id=each[0]) for each in list(commands())[1:]])
def test_help_ends_in_an_example_that_parses(typed, command):
    """An example is what most people read; it must be one of this very command."""
    _, heading, examples = help_text(typed, command).rpartition("Example:\n")
    lines = [line.strip() for line in examples.splitlines()]
    assert heading
    assert lines
    assert [line for line in lines if not line.startswith(typed)] == []
    for line in lines:
        parse(line)


def test_every_command_in_the_documents_parses():
    """Options are renamed and documents forgotten; a reader copies the line and gets an error."""
    written = written_commands()
    assert any(name == "README.md" for name, _ in written)
    for name, command in written:
        try:
            parse(command)
        except click.UsageError as error:
            pytest.fail(f"{name}: {command}: {error.format_message()}")


def test_every_make_target_in_the_documents_exists():
    """As above."""
    targets = set(re.findall(r"^([a-z-]+):", _text("Makefile"), re.MULTILINE))
    named = {(name, target) for name in PROSE for target in re.findall(r"[`\s]make ([a-z-]+)`", _text(name))}
    assert {(name, target) for name, target in named if target not in targets} == set()


@pytest.mark.parametrize("named", [*target_names(), *(recipe.name for recipe in list_recipes())])
def test_every_target_and_recipe_is_documented(named):
    """What nobody can find is not there."""
    assert [name for name in PROSE if f"`{named}`" in _text(name)]


def test_links_lead_somewhere():
    """Files are moved and documents forgotten."""
    links = [(name, link) for name in PROSE for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", _text(name))]
    inside = [(name, link) for name, link in links if "://" not in link and not link.startswith("mailto:")]
    assert [(name, link) for name, link in inside if not ((ROOT / name).parent / link).exists()] == []


def parse(line: str) -> None:
    """Let click take a command line apart without running it.

    Raises:
        click.UsageError: no such command, no such option, or one that is missing.
    """
    _, *words = shlex.split(line, comments=True)
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        below = command.get_command(click.Context(command), name)
        if below is None:
            raise click.UsageError(f"no such command: {name}")
        command = below
    if not isinstance(command, click.Group) and words != ["--help"]:
        command.make_context(command.name, words)


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")
