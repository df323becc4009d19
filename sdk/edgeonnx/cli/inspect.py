"""`edgeonnx inspect`."""

from pathlib import Path

import click

from edgeonnx.cli._draw import as_json, example, facts, print_json, size, table
from edgeonnx.cli._options import custom_op
from edgeonnx.verbs.inspect import Inspection, inspect


@click.command("inspect", epilog=example("edgeonnx inspect model.onnx"))
@click.argument("model", type=click.Path(path_type=Path))
@custom_op
@as_json
def command(model: Path, as_json: bool) -> None:
    """Show what MODEL is, and what each target would refuse about it."""
    found = inspect(model)
    if as_json:
        print_json(found)
    else:
        _draw(found)


def _draw(found: Inspection) -> None:
    anatomy = found.anatomy
    macs = "unknown: a shape can't be inferred" if anatomy.macs is None else f"{anatomy.macs:,}"
    if anatomy.uncounted:
        macs += f" without {', '.join(anatomy.uncounted)}"
    facts(
        [
            ("model", found.path),
            *(("input", tensor) for tensor in found.inputs),
            *(("output", tensor) for tensor in found.outputs),
            ("opset", found.opset),
            ("IR version", found.ir_version),
            ("parameters", f"{anatomy.parameters:,}"),
            ("MACs", macs),
            ("size", size(found.bytes) + (", external data included" if found.external_data else "")),
            ("operators", ", ".join(f"{name} {count}" for name, count in anatomy.operators.items())),
            *(
                ("custom operator", f"{name}, in {', '.join(libraries) or 'no library that was given'}")
                for name, libraries in found.custom_operators.items()
            ),
        ]
    )
    if found.conversion:
        facts([("converted from", f"{found.conversion.get('framework')} by {found.conversion.get('exporter')}")])
    pruned = (found.record or {}).get("pruned")
    if pruned:
        facts([("pruned", f"{pruned.get('wish')}: {pruned.get('how')}")])
    if found.record and "recipe" in found.record:
        score = f"{found.record.get('metric')} {found.record.get('score'):.4f}"
        facts([("quantized by", f"recipe {found.record.get('recipe')}, {score}")])
    click.echo()
    table(("target", "refuses"), ((name, "; ".join(lines) or "nothing") for name, lines in found.refusals.items()))
