"""`edgeonnx prune`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, progress, refusal_drawn, size, table
from edgeonnx.cli._options import custom_op
from edgeonnx.cli._times import TIMES
from edgeonnx.prune.importance import METHODS
from edgeonnx.verbs.prune import PruneResult, prune


@click.command(
    "prune",
    epilog=example("edgeonnx prune model.onnx --data samples.npz --speedup 1.5x -o model.pruned.onnx"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Samples to judge channels by: .npz, a folder, or FILE.py:FUNC.")
@click.option("--speedup", type=TIMES, help="How many times as fast it is to be here: 1.5x.")
@click.option("--ratio", type=float, help="Share of the multiply-accumulates that is to go: 0.3.")
@click.option("--sparsity", help="Zeros among the weights in place of channels: 0.5, or 2:4. Smaller, not faster.")
@click.option("--eval-data", help="Samples to score on; without it, those of --data that are not used otherwise.")
@click.option("--pipeline", type=click.Path(path_type=Path), help="Preprocessing spec (TOML) that samples go through.")
@click.option("--target", help="Device it is for, by name or profile; without it, this machine.")
@click.option("--metric", help="FILE.py:FUNC; FUNC(predict) returns a float, higher is better.")
@click.option(
    "--importance",
    type=click.Choice(METHODS),
    default=METHODS[0],
    show_default=True,
    help="Which channels of a group go first.",
)
@click.option("--no-refit", is_flag=True, help="Leave the other weights as they are: to see what refitting does.")
@click.option(
    "--export-masks", type=click.Path(path_type=Path), help="Write .npz: weight -> which elements stay, to fine-tune."
)
@click.option("--skip-bad", is_flag=True, help="Pass over samples that can't be read.")
@click.option("--max-drop", type=float, default=0.01, show_default=True, help="How much lower the score may be.")
@click.option("--force", is_flag=True, help="Keep a result that misses the accuracy or speed budget.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.pruned.onnx]")
@custom_op
@as_json
def command(
    model: Path,
    data: str,
    speedup: float | None,
    ratio: float | None,
    sparsity: str | None,
    eval_data: str | None,
    pipeline: Path | None,
    target: str | None,
    metric: str | None,
    importance: str,
    no_refit: bool,
    export_masks: Path | None,
    skip_bad: bool,
    max_drop: float,
    force: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Take channels out of MODEL, without training, measure it, and keep it only if it holds.

    Whole channels go, so that the model is smaller and faster on any runtime. The layers that are left are refitted to
    what they gave before, on the samples of --data. Give --speedup or --ratio.

    With --sparsity single weights become zero instead: the file compresses better, and nothing is faster on CPUs.
    """
    draw = print_json if as_json else _draw
    with refusal_drawn(draw), progress() as report:
        result = prune(
            model,
            data,
            speedup=speedup,
            ratio=ratio,
            sparsity=sparsity,
            output=output or model.with_suffix(".pruned.onnx"),
            target=target,
            metric=metric,
            eval_data=eval_data,
            pipeline=pipeline,
            importance=importance,
            refit=not no_refit,
            masks=export_masks,
            skip_bad=skip_bad,
            max_drop=max_drop,
            force=force,
            progress=report,
        )
    draw(result)


def _draw(result: object) -> None:
    assert isinstance(result, PruneResult)
    for warning in result.warnings:
        click.echo(f"Warning: {warning}", err=True)
    facts(_summary(result))
    click.echo()
    rows = ((row.name, row.channels, row.kept, f"{row.error:.4f}") for row in result.groups)
    if result.groups:
        table(("channels of", "before", "left", "error by itself"), rows)
    if result.stuck:
        click.echo()
        table(("can't go: channels of", "because"), result.stuck)


def _summary(result: PruneResult) -> list[tuple[str, object]]:
    on = f" on {result.evaluation_samples} samples" if result.evaluation_samples else ""
    speed = f"{result.speed.ratio:.2f}x, {result.speed_note}" if result.speed else result.speed_note
    macs = f"{result.float_macs:,} -> {result.macs:,}, {1 - result.macs / max(1, result.float_macs):.0%} fewer"
    rows: list[tuple[str, object]] = [
        (result.metric, f"{result.float_score:.4f} -> {result.score:.4f}{on}"),
        ("MACs", macs),
        ("size", f"{size(result.float_bytes)} -> {size(result.bytes)}"),
        ("speed", speed),
        ("how", f"{result.how}, {result.calibration_samples} calibration samples"),
        ("written to", result.output or "nowhere"),
    ]
    if result.compressed:
        zeros = f"{result.zeros[0]:.0%} -> {result.zeros[1]:.0%} of the weights"
        rows.insert(3, ("zeros", f"{zeros}; compressed {size(result.compressed[0])} -> {size(result.compressed[1])}"))
    return rows
