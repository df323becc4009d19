"""`edgeonnx verify`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json
from edgeonnx.verbs.sign import verify


@click.command("verify", epilog=example("edgeonnx verify fashion.edge --key release.public.pem"))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Public key (PEM) of who is to have signed."
)
@click.option("--signature", type=click.Path(path_type=Path), help="The signature.  [default: BUNDLE.sig]")
@as_json
def command(bundle: Path, key: Path, signature: Path | None, as_json: bool) -> None:
    """See that BUNDLE is, byte for byte, one that the key's owner signed. Nothing in it is run.

    Exit code 1: it is not signed, is signed with another key, or was altered since.
    """
    result = verify(bundle, key, signature)
    if as_json:
        print_json(result)
    else:
        facts([("signed", f"{result.bundle} by {key}"), ("sha256", result.sha256), ("key", result.hint)])
