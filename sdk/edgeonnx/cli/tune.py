"""`edgeonnx tune`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, print_json, progress, table
from edgeonnx.runtime._findings import TuneReport, as_table
from edgeonnx.runtime._tuned import POLICIES
from edgeonnx.verbs.tune import tune


@click.command("tune", epilog=example("edgeonnx tune fashion.edge --policy battery --budget 120"))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    type=click.Choice(POLICIES),
    default="latency",
    show_default=True,
    help="What counts: the time of one run, runs a second on all CPUs, or CPU seconds a run.",
)
@click.option("--budget", type=float, default=60.0, show_default=True, help="How long to measure, in seconds.")
@click.option(
    "--provider-python",
    "python",
    type=click.Path(path_type=Path),
    help="Interpreter to measure in, as a device would run the bundle; without it, this one or one that has the "
    "bundle's provider.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Profile to write.  [default: BUNDLE.tuned]")
@as_json
def command(bundle: Path, policy: str, budget: float, python: Path | None, output: Path | None, as_json: bool) -> None:
    """Find the settings that suit this machine, and keep them in a profile beside BUNDLE.

    Providers, variants, threads, spinning, sessions, graph optimization and memory settings are measured in turns with
    the bundle's own; a setting wins if its outputs are right and its advantage is beyond noise. Whoever loads the
    bundle on this machine then gets it. On a device: python NAME.edge tune.
    """
    with progress() as report:
        result = tune(bundle, policy, budget=budget, output=output, python=python, progress=report)
    if as_json:
        print_json(result.to_dict())
    else:
        _draw(result)


def _draw(result: TuneReport) -> None:
    headings, *rows = as_table(result)
    table(headings, rows)
    for note in result.notes:
        click.echo(f"\nnote: {note}")
    if result.winner is None:
        click.echo(f"\nThe bundle's own settings stay; {result.path} says so.")
    else:
        click.echo(f"\n{result.winner} for {result.policy}: {result.path}")
