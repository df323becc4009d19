"""`edgeonnx sign`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json
from edgeonnx.verbs.sign import sign


@click.command("sign", epilog=example("edgeonnx sign fashion.edge --key release.private.pem"))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="Private key (PEM), as keygen makes it.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: BUNDLE.sig]")
@as_json
def command(bundle: Path, key: Path, output: Path | None, as_json: bool) -> None:
    """Sign BUNDLE: write a signature to copy to the device along with it. The bundle itself stays as it is.

    The format is OpenSSF Model Signing's: `model_signing verify key` reads it too. See docs/signing.md.
    """
    result = sign(bundle, key, output)
    if as_json:
        print_json(result)
    else:
        facts([("signature", result.signature), ("sha256", result.sha256), ("key", result.hint)])
