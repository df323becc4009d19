"""The command line: one file a verb. It translates errors to exit codes and draws tables; it decides nothing."""

import sys
from importlib import import_module
from io import TextIOWrapper

import click

from edgeonnx.errors import EdgeonnxError

# What each does, as its own help begins: `edgeonnx --help` imports none of them.
_VERBS = {
    "inspect": "Show what a model is, and what each target would refuse.",
    "targets": "List the devices that edgeonnx knows, or show one.",
    "doctor": "Say what would go wrong on a device, and what mends it.",
    "pipeline": "Look at a pre- and postprocessing spec, or check it.",
    "convert": "Convert a model of another framework to ONNX, and compare.",
    "optimize": "Make a graph smaller and faster with equal outputs.",
    "prune": "Take channels out without training, and measure it.",
    "quantize": "Quantize to INT8, measure it, and keep it if it holds.",
    "package": "Put model, pipeline and runtime into one verified file.",
    "rknn": "Convert for a Rockchip NPU, and simulate it.",
    "run": "Run a bundle on inputs as a device would.",
    "bench": "Time a model or a bundle, alone or against another.",
    "tune": "Find the settings that suit this machine.",
    "keygen": "Make a key pair to sign bundles with.",
    "sign": "Sign a bundle.",
    "verify": "See that a bundle is one that the key's owner signed.",
}


class _Verbs(click.Group):
    """Finds a verb in the module of its name."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        command: click.Command = import_module(f"edgeonnx.cli.{name}").command
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


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
