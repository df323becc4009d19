"""`edgeonnx optimize`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, refusal_drawn, size, table
from edgeonnx.cli._options import custom_op
from edgeonnx.verbs.optimize import OptimizeResult, optimize


def _sizes(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for word in given:
        name, _, number = word.rpartition("=")
        if not name or not number.isdecimal() or not int(number):
            raise click.BadParameter(f"expected NAME=SIZE such as batch=1, got {word!r}")
        found[name] = int(number)
    return found


@click.command("optimize", epilog=example("edgeonnx optimize model.onnx --target raspberrypi-5 -o model.opt.onnx"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", help="Target whose onnxruntime and providers decide what the graph may use.")
@click.option(
    "--fix-dim",
    "fix_dims",
    multiple=True,
    callback=_sizes,
    metavar="NAME=SIZE",
    help="Make a free dimension a number; NAME is the dimension's name, or INPUT:AXIS. Repeatable.",
)
@click.option("--float16", is_flag=True, help="Compute in float16.")
@click.option("--opset", type=click.IntRange(min=1), help="Highest operator set that the result may use.")
@click.option("--skip", multiple=True, metavar="PASS", help="Leave a pass out. Repeatable.")
@click.option("--data", help="Samples to compare outputs on; without it, noise.")
@click.option("--force", is_flag=True, help="Run all passes; write a result that differs or is slower, too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.opt.onnx]")
@custom_op
@as_json
def command(
    model: Path,
    target: str | None,
    fix_dims: dict[str, int],
    float16: bool,
    opset: int | None,
    skip: tuple[str, ...],
    data: str | None,
    force: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make MODEL's graph smaller and faster, and keep the result only if it gives the same.

    Both models run on the same samples. Passes for which outputs differ, or for which it is slower where that can be
    measured, are left out, with a warning. A result that differs even so (exit code 1), or is slower (exit code 3), is
    written to NAME.rejected.onnx.
    """
    draw = print_json if as_json else _draw
    with refusal_drawn(draw):
        result = optimize(
            model,
            output=output or model.with_suffix(".opt.onnx"),
            target=target,
            opset=opset,
            fix_dims=fix_dims,
            float16=float16,
            skip=skip,
            data=data,
            force=force,
        )
    draw(result)


def _draw(result: object) -> None:
    assert isinstance(result, OptimizeResult)
    for problem in (*result.notes, *result.problems):
        click.echo(f"Warning: {problem}", err=True)
    table(("pass", "rewrites", "nodes"), (_row(c.name, c.rewrites, c.nodes) for c in result.changes))
    click.echo()
    speed = f"{result.speed.ratio:.2f}x, {result.speed_note}" if result.speed else result.speed_note
    far = result.difference
    same = f"within {far.relative:.1e} of the given model's, {result.tolerance:.0e} allowed, on {far.samples} samples"
    facts(
        (
            ("nodes", f"{result.nodes_before} -> {result.nodes}"),
            ("size", f"{size(result.bytes_before)} -> {size(result.bytes)}"),
            ("outputs", same if far.samples else "not compared: the model is random"),
            ("speed", speed),
            ("written to", result.output or "nowhere"),
        )
    )


def _row(name: str, rewrites: int, nodes: int) -> tuple[object, ...]:
    return (name, rewrites, f"{nodes:+d}" if nodes else "-") if rewrites else (name, "nothing to do", "-")
