"""`edgeonnx keygen`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json
from edgeonnx.verbs.sign import keygen


@click.command("keygen", epilog=example("edgeonnx keygen -o release"))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Name of the pair to write.")
@as_json
def command(output: Path, as_json: bool) -> None:
    """Make a key pair to sign bundles with: OUTPUT.private.pem and OUTPUT.public.pem (ECDSA P-256).

    Keep the private key where only those can read it who may sign; devices get the public one. Nothing is overwritten.
    """
    pair = keygen(output)
    if as_json:
        print_json(pair)
    else:
        facts([("private key", f"{pair.private}: keep it secret"), ("public key", f"{pair.public}: for devices")])
