"""`edgeonnx pipeline`."""

import json
from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, plain, print_json, table
from edgeonnx.cli._options import custom_op
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.verbs.comparison import InputCheck, PipelineCheck
from edgeonnx.verbs.pipeline import PipelineView, check_pipeline, show_pipeline

_CHECK = "edgeonnx pipeline check pipeline.toml --model model.onnx --against train.py:prepare --data photos/"
_SHOW = "edgeonnx pipeline show pipeline.toml --model model.onnx"
_SCHEMA = "edgeonnx pipeline schema"

_model = click.option(
    "--model",
    required=True,
    type=click.Path(path_type=Path),
    help="The model that the spec is for, float or quantized.",
)


@click.group("pipeline", epilog=example(_CHECK, _SHOW))
def command() -> None:
    """Look at a pre- and postprocessing spec, or check it against your own code."""


@command.command(epilog=example(_CHECK, f"{_CHECK} --save worst.png"))
@click.argument("spec", type=click.Path(path_type=Path))
@_model
@click.option(
    "--against",
    required=True,
    metavar="FILE.py:FUNC",
    help="Your preprocessing. It is given the path of a picture, recording or text, of other data a dict of arrays. "
    "It returns what the model is fed: an array, or a dict of them by input name.",
)
@click.option("--data", required=True, help="Samples: what quantize takes as --data.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Samples to compare at most.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Largest difference that is the same, in grey levels for pictures, else in the model's units. "
    "[default: 1 grey level; 0.0001 for other floats; 0 for integers]",
)
@click.option("--save", type=click.Path(path_type=Path), metavar="WORST.png", help="Draw the sample that differs most.")
@custom_op
@as_json
def check(
    spec: Path,
    model: Path,
    against: str,
    data: str,
    limit: int,
    tolerance: float | None,
    save: Path | None,
    as_json: bool,
) -> int:
    """Compare the preprocessing of SPEC with the one you train with, on your data; exit code 1 if they differ."""
    found = check_pipeline(spec, model, against, data, limit=limit, tolerance=tolerance, save=save)
    if as_json:
        print_json({**plain(found), "same": found.same})
    else:
        _draw_check(found)
    return 0 if found.same else 1


@command.command(epilog=example(_SHOW))
@click.argument("spec", type=click.Path(path_type=Path))
@_model
@custom_op
@as_json
def show(spec: Path, model: Path, as_json: bool) -> None:
    """Show SPEC as the operators it becomes, each with the type and shape of what it gives."""
    view = show_pipeline(spec, model)
    if as_json:
        print_json(view)
    else:
        _draw_view(view)


@command.command(epilog=example(_SCHEMA))
def schema() -> None:
    """Print the JSON Schema of specs, for editors that complete and check TOML."""
    click.echo(json.dumps(PipelineSpec.model_json_schema(), indent=2))


def _draw_check(found: PipelineCheck) -> None:
    table(
        ("input", "unit", "largest", "99 %", "mean", "beyond tolerance"),
        (row for one in found.inputs for row in _rows(one, found.samples)),
    )
    for one in found.inputs:
        if one.beyond:
            click.echo(f"\n{one.name} differs most in {one.worst}{': ' + one.where if one.where else ''}")
            for cause in one.causes or ("no likely cause found; see the picture that --save draws",):
                click.echo(f"  {cause}")
    if found.picture is not None:
        click.echo(f"\n{found.picture}: the spec's, yours, and the difference x {found.gain:g}")
    click.echo(f"\n{'The same' if found.same else 'NOT the same'}, on {found.samples} samples")


def _rows(one: InputCheck, samples: int) -> list[tuple[str, ...]]:
    count = f"{one.beyond} of {samples} samples, tolerance {one.tolerance:g}"
    rows = [("the model's", one.difference), ("grey levels", one.levels)]
    cells = [(unit, f"{d.largest:.4g}", f"{d.p99:.4g}", f"{d.mean:.4g}") for unit, d in rows if d is not None]
    names, counts = [one.name, ""], ["" if one.levels is not None else count, count]
    return [(names[i], *row, counts[i]) for i, row in enumerate(cells)]


def _draw_view(view: PipelineView) -> None:
    rows = [("takes", str(tensor), media or "arrays") for tensor, media in zip(view.takes, view.media, strict=True)]
    rows += [(step.part, step.operator, step.gives) for step in view.before]
    rows += [("the model's input", str(tensor), "") for tensor in view.feeds]
    rows += [("the model's output", str(tensor), "") for tensor in view.outputs]
    rows += [(step.part, step.operator, step.gives) for step in view.after]
    rows += [("gives", str(tensor), "") for tensor in view.gives]
    table(("part", "operator", "type and shape"), rows)
    click.echo()
    facts(
        [
            ("opset", f"{view.opset} or newer"),
            ("extensions", "onnxruntime-extensions needed" if view.extensions else "none needed"),
            ("fingerprint", view.fingerprint),
        ]
    )
