"""Tables, progress and JSON, drawn alike by all verbs."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from edgeonnx.errors import BudgetError, DifferenceError
from edgeonnx.model import Model

_UNBROKEN = 10_000

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def example(*lines: str) -> str:
    r"""An epilog that ends a verb's help with an example; \b keeps click from wrapping it."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table on standard output."""
    drawn = Table(*headings, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    _console().print(drawn)


def facts(rows: Iterable[tuple[str, object]]) -> None:
    """Names and values in two columns."""
    drawn = Table(box=None, pad_edge=False, show_header=False)
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in rows:
        drawn.add_row(name, str(value))
    _console().print(drawn)


def print_json(value: object) -> None:
    """A result as JSON on standard output."""
    click.echo(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """A typed result as dicts, lists, strings and numbers; models, which are not data, are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: plain(item) for name, item in found.items() if not isinstance(item, Model)}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


@contextmanager
def refusal_drawn(draw: Callable[[object], None]) -> Iterator[None]:
    """Draw what an error carries before it goes on: people want to see what was refused."""
    try:
        yield
    except (BudgetError, DifferenceError) as error:
        if error.result is not None:
            draw(error.result)
        raise


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar a stage on standard error, for people; nothing where standard error is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done)

        yield report


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"


def _console() -> Console:
    # A pipe has no width of its own; any that is common would break what scripts and logs want whole.
    return Console(width=None if sys.stdout.isatty() else _UNBROKEN, highlight=False, markup=False, emoji=False)
