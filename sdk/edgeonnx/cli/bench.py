"""`edgeonnx bench`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, print_json, table
from edgeonnx.cli._options import custom_op
from edgeonnx.verbs.bench import BenchResult, bench


@click.command("bench", epilog=example("edgeonnx bench model.int8.onnx --vs model.onnx"))
@click.argument("subject", type=click.Path(path_type=Path), metavar="MODEL|BUNDLE")
@click.option("--vs", "versus", type=click.Path(path_type=Path), help="Model or bundle to run in turns with it.")
@click.option("--data", help="Where a model's input comes from; without it, noise. A bundle runs its golden sample.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each.")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="How long to measure.")
@custom_op
@as_json
def command(subject: Path, versus: Path | None, data: str | None, threads: int, seconds: float, as_json: bool) -> None:
    """Time one inference of a model or a bundle on this machine, alone or in turns with another."""
    result = bench(subject, versus, data=data, threads=threads, seconds=seconds)
    if as_json:
        print_json(result)
    else:
        _draw(result)


def _draw(result: BenchResult) -> None:
    rows = [(result.subject, result.latency)]
    if result.versus is not None and result.comparison is not None:
        rows.insert(0, (result.versus, result.comparison.first))
    table(
        ("inference", "median us", "p95 us", "runs"),
        ((path, f"{latency.median:.1f}", f"{latency.p95:.1f}", latency.runs) for path, latency in rows),
    )
    if result.comparison is not None:
        paired = result.comparison
        interval = f"95 % of the time between {paired.low:.2f}x and {paired.high:.2f}x"
        click.echo(f"\n{result.subject} runs at {paired.ratio:.2f}x the speed of {result.versus} ({interval})")
