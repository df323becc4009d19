"""Options that several verbs have."""

from pathlib import Path

import click

from edgeonnx.libraries import custom_ops


def _use(context: click.Context, _parameter: click.Parameter, libraries: tuple[Path, ...]) -> None:
    """Libraries are in use until the verb has ended."""
    context.with_resource(custom_ops(*libraries))


custom_op = click.option(
    "--custom-op",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LIB",
    expose_value=False,
    callback=_use,
    help="Library of custom operators (.so, .dylib, .dll) that the model uses; once for each library and platform.",
)
