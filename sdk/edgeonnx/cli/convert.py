"""`edgeonnx convert`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, refusal_drawn, table
from edgeonnx.cli._options import custom_op
from edgeonnx.convert import OPSET, Difference
from edgeonnx.verbs.convert import TOLERANCE, ConvertResult, convert


@click.command(
    "convert",
    epilog=example(
        "edgeonnx convert train.py:build --dynamic image:0=batch -o model.onnx",
        "edgeonnx convert model.tflite --data samples.npz -o model.onnx",
    ),
)
@click.argument("source", metavar="SRC")
@click.option(
    "--dynamic",
    multiple=True,
    metavar="INPUT:AXIS=NAME",
    help="Leave axes free, under these names: image:0=batch,2=height. Once an input.",
)
@click.option("--opset", type=int, help=f"Of the standard operators.  [default: {OPSET}]")
@click.option("--data", help="More samples to compare on: .npz, a folder, or FILE.py:FUNC.")
@click.option("--samples", type=click.IntRange(min=1), default=32, show_default=True, help="So many of --data at most.")
@click.option("--signature", help="Of a SavedModel or TFLite model with several.")
@click.option(
    "--tolerance",
    type=float,
    default=TOLERANCE,
    show_default=True,
    help="How far off outputs may be, of their largest value.",
)
@click.option("--trust", is_flag=True, help="Load a file that can run code: a pickle, .pt2, Keras' Lambda layers.")
@click.option("--force", is_flag=True, help="Keep a model that differs from its source.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: SRC.onnx]")
@custom_op
@as_json
def command(
    source: str,
    dynamic: tuple[str, ...],
    opset: int | None,
    data: str | None,
    samples: int,
    signature: str | None,
    tolerance: float,
    trust: bool,
    force: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Convert a model of PyTorch, TensorFlow, Keras, TFLite, scikit-learn or JAX to ONNX, and compare what both give.

    SRC is a .pt2 program, a SavedModel's folder, .keras, .h5, .tflite, .skops, a pickle, .onnx, or FILE.py:FUNC, a
    function that returns a model and its example inputs. A model that differs is written to NAME.rejected.onnx.
    """
    draw = print_json if as_json else _draw
    with refusal_drawn(draw):
        result = convert(
            source,
            output=output or _default(source),
            dynamic=dynamic,
            opset=opset,
            data=data,
            samples=samples,
            signature=signature,
            tolerance=tolerance,
            trust=trust,
            force=force,
        )
    draw(result)
    for problem in result.problems:  # which --force let through
        click.echo(f"warning: {problem}", err=True)


def _default(source: str) -> Path:
    return Path(source.rpartition(".py:")[0] or source).with_suffix(".onnx")


def _draw(result: object) -> None:
    assert isinstance(result, ConvertResult)
    sizes = ", ".join(f"{name} {' and '.join(map(str, tried))}" for name, tried in result.sizes.items())
    facts(
        [
            ("file", result.output),
            ("from", f"{result.source}, {result.framework}"),
            ("by", result.exporter or "nothing: it is ONNX already"),
            ("opset", result.opset),
            *(("input", tensor) for tensor in result.inputs),
            *(("output", tensor) for tensor in result.outputs),
        ]
    )
    samples = f"{result.samples} samples{' of noise' if result.noise else ''}"
    if result.differences:
        facts([("compared on", samples + (f"; {sizes}" if sizes else ""))])
        click.echo()
        table(
            ("output", "largest difference", "of its largest value", "not equal", ""),
            (_row(one) for one in result.differences),
        )
    for note in result.notes:
        click.echo(f"note: {note}", err=True)


def _row(one: Difference) -> tuple[object, ...]:
    verdict = "ok" if one.within else "differs"
    return (one.output, f"{one.largest:.3g}", f"{one.relative:.2g}", f"{one.unequal} of {one.elements}", verdict)
