"""The command line: one file a verb. It translates errors to exit codes and draws tables; it decides nothing."""

import sys
from importlib import import_module
from io import TextIOWrapper

import click

from edgeonnx.errors import EdgeonnxError

_VERBS = (
    "inspect",
    "targets",
    "doctor",
    "pipeline",
    "convert",
    "optimize",
    "prune",
    "quantize",
    "package",
    "rknn",
    "run",
    "bench",
    "tune",
    "keygen",
    "sign",
    "verify",
)


class _Verbs(click.Group):
    """Finds a verb in the module of its name."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        command: click.Command = import_module(f"edgeonnx.cli.{name}").command
        return command


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 a check says no, 2 bad input, 3 the accuracy or speed budget was missed.",
)
@click.version_option(package_name="edgeonnx")
def cli() -> None:
    """Any ONNX model in, one verified bundle out, that runs on a named device."""


def main() -> None:
    """Entry point of the `edgeonnx` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a label may have letters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        # Not standalone, click hands back the code a verb exits with in place of exiting.
        code = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("Interrupted; nothing was written.", err=True)
        sys.exit(130)
    except EdgeonnxError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(code or 0)
