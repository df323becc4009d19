"""`edgeonnx run`: the device's own command, here."""

from pathlib import Path

import click

from edgeonnx.cli._draw import example
from edgeonnx.runtime.__main__ import main


@click.command("run", epilog=example("edgeonnx run fashion.edge shirt.png"))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the raw outputs to this .npz.")
@click.pass_context
def command(context: click.Context, bundle: Path, inputs: tuple[str, ...], as_json: bool, output: Path | None) -> None:
    """Run BUNDLE on each INPUT with the runtime that a device uses.

    INPUT is a .png, a .npy or an .npz (arrays named after the inputs); or NAME=FILE pairs, which make one sample.
    """
    arguments = [str(bundle), "run", *inputs]
    if as_json:
        arguments.append("--json")
    if output is not None:
        arguments += ["--output", str(output)]
    context.exit(main(arguments))
