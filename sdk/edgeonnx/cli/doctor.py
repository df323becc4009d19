"""`edgeonnx doctor`."""

import sys
from collections import Counter
from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json
from edgeonnx.cli._options import custom_op
from edgeonnx.doctor.finding import Finding
from edgeonnx.errors import InputError
from edgeonnx.explain import explain
from edgeonnx.verbs.doctor import doctor

_COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command(
    "doctor",
    epilog=example(
        "edgeonnx doctor",
        "edgeonnx doctor model.onnx --target raspberrypi-4 --python 3.13",
        "edgeonnx doctor fashion.edge --device facts.json",
        'edgeonnx doctor --error "Unsupported model IR version: 14, max supported IR version: 10"',
    ),
)
@click.argument("source", metavar="[MODEL|BUNDLE]", type=click.Path(path_type=Path), required=False)
@click.option("--target", help="Device it is for, by name or profile; a bundle names its own.")
@click.option("--python", metavar="VERSION", help="Python there, as 3.11.  [default: the profile's]")
@click.option("--libc", help="C library there, as 'glibc 2.31' or musl.  [default: the profile's]")
@click.option("--machine", help="Architecture there, as aarch64.  [default: the profile's]")
@click.option(
    "--device", type=click.Path(path_type=Path), help="Facts of the device itself: python NAME.edge facts --json."
)
@click.option("--error", metavar="TEXT", help="Explain an error of onnxruntime or a quantizer; - reads it from stdin.")
@custom_op
@as_json
@click.pass_context
def command(
    context: click.Context,
    source: Path | None,
    target: str | None,
    python: str | None,
    libc: str | None,
    machine: str | None,
    device: Path | None,
    error: str | None,
    as_json: bool,
) -> None:
    """Say what would go wrong on a device, and what mends it, before anything is copied there.

    Without MODEL or BUNDLE it looks at the device alone; without --target too, at this installation. Exit code 1: an
    error was found, or --error is not a known one.
    """
    if error is not None:
        if source or target or python or libc or machine or device:
            raise InputError("--error: expected to stand alone, got more; give the text of the error only")
        context.exit(_explain(sys.stdin.read() if error == "-" else error, as_json))
    found = doctor(source, target, python=python, libc=libc, machine=machine, device=device)
    if as_json:
        print_json(found)
    else:
        _draw(found.findings)
    context.exit(1 if found.level == "error" else 0)


def _draw(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        click.echo(f"{click.style(f'{finding.level:<9}', _COLORS[finding.level])}{finding.subject}: {finding.message}")
        if finding.mend:
            click.echo(f"{'':<9}-> {finding.mend}")
    counts = Counter(finding.level for finding in findings)
    parts = (f"{counts[level]} {level}{'' if counts[level] == 1 else 's'}" for level in ("error", "warning"))
    click.echo(f"{', '.join(parts)}, {counts['ok']} ok")


def _explain(text: str, as_json: bool) -> int:
    """Print what an error means. Returns the exit code."""
    known = explain(text)
    if as_json:
        print_json(known)
    elif known is None:
        click.echo("This error is not a known one. docs/doctor.md lists those that are.")
    else:
        facts([("error", known.name), ("cause", known.cause), ("fix", known.fix), ("source", known.source)])
    return 1 if known is None else 0
