"""`edgeonnx package`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, size
from edgeonnx.cli._options import custom_op
from edgeonnx.runtime._manifest import Variant
from edgeonnx.verbs.package import PackageResult, package


@click.command(
    "package",
    epilog=example("edgeonnx package model.int8.onnx --target raspberrypi --labels labels.txt -o model.edge"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--target", required=True, help="Device it is for, by name or profile.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Another form of the model, taken where those before it do not do; may be repeated.",
)
@click.option("--pipeline", type=click.Path(path_type=Path), help="Pre- and postprocessing spec (TOML) to join.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one a line.")
@click.option("--data", help="Where golden samples come from: .npz, a folder, or FILE.py:FUNC; without it, noise.")
@click.option("--bare", is_flag=True, help="Leave out the pipeline that the model was quantized through.")
@click.option("--keep-qdq", is_flag=True, help="Leave the graph as joined, for tools that expect QDQ.")
@click.option(
    "--provider-python",
    type=click.Path(path_type=Path),
    help="Interpreter whose onnxruntime has the target's provider, to compile with; without it, one is looked for.",
)
@click.option("--name", help="What to call the bundle.  [default: the output's name]")
@click.option("--version", default="1", show_default=True, help="Version of your own counting.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write.  [default: MODEL.edge]")
@custom_op
@as_json
def command(
    model: Path,
    target: str,
    variants: tuple[Path, ...],
    pipeline: Path | None,
    labels: Path | None,
    data: str | None,
    bare: bool,
    keep_qdq: bool,
    provider_python: Path | None,
    name: str | None,
    version: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Put MODEL, its pre- and postprocessing and the runtime into one verified file for a device."""
    result = package(
        model,
        target,
        output or model.with_suffix(".edge"),
        variants=variants,
        name=name,
        version=version,
        labels=labels,
        pipeline=pipeline,
        data=data,
        bare=bare,
        keep_qdq=keep_qdq,
        provider_python=provider_python,
    )
    if as_json:
        notes = list(result.notes)
        print_json({"path": result.path, "bytes": result.bytes, "manifest": result.manifest.to_dict(), "notes": notes})
    else:
        _draw(result)


def _draw(result: PackageResult) -> None:
    manifest, target = result.manifest, result.target
    extensions = "" if manifest.extensions is None else ", onnxruntime-extensions"
    facts(
        [
            ("bundle", f"{result.path}, {size(result.bytes)}"),
            *(("model", _describe(variant)) for variant in manifest.variants),
            ("target", f"{target.name} ({target.tier})"),
            ("needs", f"numpy, onnxruntime {manifest.onnxruntime.minimum} or newer{extensions}"),
            *(("note", note) for note in result.notes),
            ("golden samples", f"{manifest.golden.samples}, {manifest.golden.origin}"),
            ("on the device", f"python {result.path.name} selftest"),
        ]
    )


def _describe(variant: Variant) -> str:
    needs = f", for CPUs with {', '.join(variant.features)}" if variant.features else ""
    on = f", on {', '.join(provider.name for provider in variant.providers)}" if variant.providers else ""
    return f"{variant.name}, opset {variant.opset}, IR {variant.ir_version}{needs}{on}"
