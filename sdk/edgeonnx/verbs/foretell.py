"""What a bundle's manifest says of where a variant's nodes land, for the device to compare with."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from edgeonnx.errors import EdgeonnxError
from edgeonnx.runtime._placement import Foretold
from edgeonnx.targets import Target
from edgeonnx.targets.profile import Provider
from edgeonnx.verbs.assignment import CPU, CPUS, ask
from edgeonnx.verbs.placement import PlacementReport, placement
from edgeonnx.verbs.variants import Shipped

_COMPILED = "EPContext"


def with_placement(shipped: Shipped, profile: Target, python: Path | None = None) -> Shipped:
    """A variant with where its nodes land: in the manifest and, where there is more than a CPU, in its notes.

    Args:
        shipped: as it goes into the bundle.
        profile: its target, whose providers the variant may replace.
        python: an interpreter that has the target's provider; None: look for one.
    """
    own = tuple(Provider(name=each.name, options=dict(each.options)) for each in shipped.info.providers)
    target = profile.model_copy(update={"providers": own or profile.providers})
    try:
        foretold, notes = _foretell(shipped, target, python)
    except EdgeonnxError as error:
        return replace(shipped, notes=(*shipped.notes, f"where its nodes land is not known: {error}"))
    return replace(shipped, info=shipped.info._replace(placement=foretold), notes=(*shipped.notes, *notes))


def summary(report: PlacementReport) -> str:
    """Where nodes land, in a line."""
    nodes = ", ".join(f"{count} on {provider}" for provider, count in report.nodes.items())
    share = "" if report.share is None else f", {report.share:.1%} of the multiply-accumulates on the accelerator"
    parts = f", {count} partitions" if (count := len(report.partitions)) > 1 else ""
    return f"nodes: {nodes}{share}{parts}, by {report.source}"


def _foretell(shipped: Shipped, target: Target, python: Path | None) -> tuple[Foretold | None, tuple[str, ...]]:
    if all(provider.name in CPUS for provider in target.providers):
        answer, _ = ask(shipped.model, target, python)
        nodes = Counter(node.provider for node in answer.nodes) if answer else None
        return (None if nodes is None else Foretold(dict(nodes), None, asked=True)), ()
    if any(node.op_type == _COMPILED for node in shipped.model.ir.graph):
        return _compiled(shipped, target), ()
    report = placement(shipped.model, target, python)
    return Foretold(report.nodes, report.share, report.asked), (summary(report), *report.warnings)


def _compiled(shipped: Shipped, target: Target) -> Foretold:
    """What the provider has compiled is on it, whatever it was made of; the rest, of the pipeline, is on the CPU."""
    kinds = Counter(node.op_type == _COMPILED for node in shipped.model.ir.graph if node.op_type != "Constant")
    nodes = {target.providers[0].name: kinds[True], CPU: kinds[False]}
    share = None if kinds[False] else 1.0
    return Foretold({name: count for name, count in nodes.items() if count}, share, asked=True)
