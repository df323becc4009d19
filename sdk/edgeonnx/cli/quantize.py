"""`edgeonnx quantize`."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, progress, refusal_drawn, size, table
from edgeonnx.cli._options import custom_op
from edgeonnx.cli._times import TIMES
from edgeonnx.verbs.layers import LayerRow
from edgeonnx.verbs.quantize import QuantizeResult, quantize


@click.command(
    "quantize",
    epilog=example("edgeonnx quantize model.onnx --data samples.npz --target raspberrypi -o model.int8.onnx"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Samples to calibrate on: .npz, a folder, or FILE.py:FUNC.")
@click.option("--eval-data", help="Samples to score on; without it, those of --data that calibration leaves.")
@click.option("--pipeline", type=click.Path(path_type=Path), help="Preprocessing spec (TOML) that samples go through.")
@click.option("--target", help="Device it is for, by name or profile; without it, this machine.")
@click.option("--recipe", default="balanced", show_default=True, help="How to quantize, by name or path.")
@click.option("--calibration", metavar="METHOD", help="How ranges of activations are found, in place of the recipe's.")
@click.option(
    "--engine",
    type=click.Choice(["native", "ort", "inc", "auto"]),
    default="native",
    show_default=True,
    help="Tool that quantizes; auto asks the others where native misses the budget.",
)
@click.option(
    "--provider-python",
    type=click.Path(path_type=Path),
    help="Interpreter whose onnxruntime has the target's provider; without it, one is looked for.",
)
@click.option("--prune", type=TIMES, help="Take channels out first, until the float model is so much faster: 1.5x.")
@click.option("--skip-bad", is_flag=True, help="Pass over samples that can't be read, and name them.")
@click.option("--metric", help="FILE.py:FUNC; FUNC(predict) returns a float, higher is better.")
@click.option("--max-drop", type=float, default=0.01, show_default=True, help="How much lower the score may be.")
@click.option("--force", is_flag=True, help="Keep a result that misses the accuracy or speed budget.")
@click.option("--layers", is_flag=True, help="Print what became of each layer, and why.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.int8.onnx]")
@custom_op
@as_json
def command(
    model: Path,
    data: str,
    eval_data: str | None,
    pipeline: Path | None,
    target: str | None,
    recipe: str,
    calibration: str | None,
    engine: str,
    provider_python: Path | None,
    prune: float | None,
    skip_bad: bool,
    metric: str | None,
    max_drop: float,
    force: bool,
    layers: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Quantize MODEL to INT8, measure it, and keep it only if it holds.

    With an array `labels` in the data (or one subfolder per class) the score is top-1 accuracy; without, agreement
    with the float model. A result that misses --max-drop, or is slower than float where that can be measured, is
    written to NAME.rejected.onnx and the exit code is 3.
    """
    draw = print_json if as_json else partial(_draw, layers=layers)
    with refusal_drawn(draw), progress() as report:
        result = quantize(
            model,
            data,
            output=output or model.with_suffix(".int8.onnx"),
            target=target,
            recipe=recipe,
            metric=metric,
            eval_data=eval_data,
            pipeline=pipeline,
            calibration=calibration,
            engine=engine,
            provider_python=provider_python,
            prune=prune,
            skip_bad=skip_bad,
            max_drop=max_drop,
            force=force,
            progress=report,
        )
    draw(result)


def _draw(result: object, layers: bool = False) -> None:
    assert isinstance(result, QuantizeResult)
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)
    facts(_summary(result))
    click.echo()
    rows = [
        (c.scope, f"{c.score:.4f}", f"{c.speed.ratio:.2f}x" if c.speed else "-", len(c.placement.quantized))
        for c in result.candidates
    ]
    table(("tried", "score", "speed", "nodes quantized"), rows)
    kept = Counter(_kind(why) for why in result.chosen.placement.kept.values())
    if kept:
        click.echo()
        table(("nodes left in float", "why"), ((count, why) for why, count in kept.most_common()))
    if layers:
        click.echo()
        _draw_layers(result.layers)


def _summary(result: QuantizeResult) -> list[tuple[str, object]]:
    on = f" on {result.evaluation_samples} samples" if result.evaluation_samples else ""
    speed = f"{result.speed.ratio:.2f}x of float, {result.speed_note}" if result.speed else result.speed_note
    steps = "".join(f", {step}" for step in result.steps)
    rows: list[tuple[str, object]] = [
        (result.metric, f"float {result.float_score:.4f} -> {result.score:.4f}{on}"),
        ("size", f"{size(result.float_bytes)} -> {size(result.bytes)}"),
        ("speed", speed),
        ("recipe", f"{result.recipe}, {result.calibration_samples} calibration samples{steps}"),
        ("written to", result.output or "nowhere"),
    ]
    if result.saturating_score is not None:
        rows.insert(1, ("on x86-64 without VNNI", f"{result.saturating_score:.4f}, foretold by emulation"))
    return rows


def _kind(why: str) -> str:
    """A reason without what is particular to one node, so that like reasons count together."""
    return "disturbs the result" if why.endswith("disturbs the result") else why


def _draw_layers(layers: Sequence[LayerRow]) -> None:
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    rows = (
        (r.name, r.op_type, r.precision, number(r.sqnr), number(r.float_us), number(r.int8_us), r.why) for r in layers
    )
    table(("node", "operator", "precision", "SQNR, dB", "float, us", "INT8, us", "why float"), rows)
