"""`edgeonnx rknn`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json
from edgeonnx.cli._options import custom_op
from edgeonnx.verbs.rknn import RknnResult, convert_rknn


@click.command("rknn", epilog=example("edgeonnx rknn model.onnx --data calibration.npz --eval-data test.npz"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Samples: an .npz, a folder, or FILE.py:FUNC.")
@click.option("--eval-data", help="Samples to compare on; without it, those of --data that calibration leaves.")
@click.option("--pipeline", type=click.Path(path_type=Path), help="TOML that makes the model's inputs of samples.")
@click.option("--target", default="rk3588", show_default=True, help="A target with a conversion.")
@click.option("--chip", help="Another chip than the target's, as the toolkit names it: rk3568, rk3576, ...")
@click.option("--samples", type=click.IntRange(min=1), default=100, show_default=True, help="Calibrate on so many.")
@click.option("--dtype", default="w8a8", show_default=True, help="Weights and activations, as the toolkit names them.")
@click.option(
    "--algorithm",
    type=click.Choice(["normal", "mmse", "kl_divergence", "gdq"]),
    default="normal",
    show_default=True,
    help="How the toolkit finds ranges.",
)
@click.option("--max-drop", type=float, default=0.01, show_default=True, help="How much lower the score may be.")
@click.option(
    "--provider-python",
    type=click.Path(path_type=Path),
    help="Interpreter that has rknn-toolkit2; without it, one is looked for.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.rknn]")
@custom_op
@as_json
def command(
    model: Path,
    data: str,
    eval_data: str | None,
    pipeline: Path | None,
    target: str,
    chip: str | None,
    samples: int,
    dtype: str,
    algorithm: str,
    max_drop: float,
    provider_python: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Convert a float MODEL for a Rockchip NPU with rknn-toolkit2, simulate it, and compare it with float.

    The score is top-1 where samples have labels, else agreement with float. A result that misses --max-drop is
    written to NAME.rejected.rknn.
    """
    result = convert_rknn(
        model,
        data,
        output=output or model.with_suffix(".rknn"),
        target=target,
        chip=chip,
        eval_data=eval_data,
        pipeline=pipeline,
        samples=samples,
        dtype=dtype,
        algorithm=algorithm,
        max_drop=max_drop,
        python=provider_python,
    )
    if as_json:
        print_json(result)
    else:
        _draw(result)


def _draw(result: RknnResult) -> None:
    rows: list[tuple[str, object]] = [
        ("file", result.path),
        ("chip", f"{result.chip}; the simulator is the same for every chip"),
        ("samples", f"{result.calibration} to calibrate, {result.samples} to compare"),
        ("largest difference", f"{result.largest:.4g}"),
        ("SQNR", "no noise" if result.sqnr is None else f"{result.sqnr:.1f} dB"),
        ("agreement", f"{result.agreement:.4f}"),
    ]
    if result.top1 is not None:
        rows.append(("top-1", f"{result.top1:.4f}, float {result.float_top1:.4f}"))
    facts(rows)
