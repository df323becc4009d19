"""`edgeonnx targets check`: where a model's nodes land on a target, and what would bring them to the accelerator."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from edgeonnx.anatomy import node_macs
from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.optimize.batch import fix_batch
from edgeonnx.quantize.islands import Island, cpu_kernels, plain_name
from edgeonnx.quantize.kernels import named
from edgeonnx.targets import Target, load_target
from edgeonnx.targets.landing import Flow, Run, Verdict, by_tables, copies, objection_to, runs
from edgeonnx.targets.operators import Table, rewrite, table_of
from edgeonnx.verbs.assignment import CPU, CPUS, Answer, ask
from edgeonnx.verbs.custom_operators import served_domains, usable_libraries
from edgeonnx.verbs.data import as_model
from edgeonnx.verbs.inspect import target_refusals


@dataclass(frozen=True)
class Fallback:
    """A node that the accelerator does not take.

    Attributes:
        name: the node's.
        op_type: its operator.
        provider: where it lands; empty: no provider has it.
        macs: its multiply-accumulates; None: not known.
        reason: why it is not taken.
        rewrite: what would bring it to the accelerator.
    """

    name: str
    op_type: str
    provider: str
    macs: int | None
    reason: str
    rewrite: str


@dataclass(frozen=True)
class IntegerReport:
    """What a quantized model becomes on the CPU.

    Attributes:
        kernels: operator of a kernel for integers -> how many there are.
        share: of the multiply-accumulates, done in them; None: not known.
        islands: nodes computed in float between two conversions.
    """

    kernels: Mapping[str, int]
    share: float | None
    islands: tuple[Island, ...]


@dataclass(frozen=True)
class PlacementReport:
    """Where a model's nodes land.

    Attributes:
        target: the profile's name.
        accelerators: its providers other than the CPU's, in order of preference.
        source: who says so: the provider with its onnxruntime, or the operator tables.
        asked: whether it was the provider itself.
        nodes: provider -> how many nodes land there; `""`: on none.
        share: of the multiply-accumulates, on the accelerators; None: not known, or there is no accelerator.
        partitions: runs of nodes on one provider, in the order they run.
        copies: results that go from one provider to another.
        fallbacks: nodes on no accelerator, where there is one.
        integers: of a quantized model on the CPU; else None.
        refusals: why the target does not take the model at all, one line each.
        warnings: too small a share, too many partitions, integers computed in float: each with its number.
        notes: what the report can't tell, and why.
    """

    target: str
    accelerators: tuple[str, ...]
    source: str
    asked: bool
    nodes: Mapping[str, int]
    share: float | None
    partitions: tuple[Run, ...]
    copies: int
    fallbacks: tuple[Fallback, ...]
    integers: IntegerReport | None
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def complaints(self, strict: bool) -> tuple[str, ...]:
        """What makes it an error: refusals, and with `strict` warnings too."""
        return self.refusals + (self.warnings if strict else ())


def check_placement(model: str | Path | Model, target: str, *, python: Path | None = None) -> PlacementReport:
    """See where each node of a model lands: from the provider itself where it runs here, else from operator tables.

    Args:
        model: as it would be packaged, or its path.
        target: name or path of a profile.
        python: an interpreter that has the target's provider; None: look for one.

    Raises:
        ModelError: the model can't be read, or onnxruntime does not accept it.
        TargetError: no such target, or what its provider takes is not known here.
    """
    return placement(as_model(model), load_target(target), python)


def placement(model: Model, target: Target, python: Path | None = None) -> PlacementReport:
    """As `check_placement`."""
    model = _prepared(fix_batch(model) if target.requires.fixed_shapes else model)
    refusals = tuple(target_refusals(model, target))
    counted = dict(zip((node.name or "" for node in model.ir.graph), node_macs(model), strict=True))
    flow = Flow(_with_shapes(model).ir.graph, model.opset)
    answer, why, failure = (None, "", "") if refusals else _asked(model, target, python)
    tables, missing = _tables(target, needed=answer is None)
    if answer is None:
        own = served_domains(model, usable_libraries(target))  # which run on the CPU provider
        verdicts = by_tables(flow, tables, _cpu_of(target), own | {*target.requires.domains, ""})
        source = ", ".join(f"operator table {table.name}" for table in tables) or "operator domains of the profile"
        nodes = Counter(verdict.provider for verdict in verdicts.values())
    else:
        verdicts = {plain_name(landed.name): Verdict(landed.provider, ()) for landed in answer.nodes}
        source, nodes = answer.source, Counter(landed.provider for landed in answer.nodes)
    landed = {name: verdict.provider for name, verdict in verdicts.items()}
    accelerators = tuple(provider.name for provider in target.providers if provider.name not in CPUS)
    report = PlacementReport(
        target=target.name,
        accelerators=accelerators,
        source=source,
        asked=answer is not None,
        nodes=dict(nodes.most_common()),
        share=_share(landed, counted, accelerators),
        partitions=runs(flow, landed, counted),
        copies=copies(flow, landed),
        fallbacks=_fallbacks(flow, verdicts, counted, accelerators, tables),
        integers=None if accelerators or refusals else _integers(model, counted, target),
        refusals=refusals,
        warnings=(),
        notes=tuple(note for note in (why, *missing) if note),
    )
    return replace(report, warnings=(*([failure] if failure else []), *_warnings(report, target)))


def _asked(model: Model, target: Target, python: Path | None) -> tuple[Answer | None, str, str]:
    """What the provider says; or why it was not asked; or how it failed.

    Raises:
        ModelError: onnxruntime's own CPU provider does not accept the model.
    """
    try:
        return *ask(model, target, python), ""
    except ModelError as error:
        if target.providers[0].name in CPUS:
            raise
        return None, "", f"{error}: the model does not run there, tables tell where its nodes would be"


def _prepared(model: Model) -> Model:
    """A copy without functions, in which every node has a name."""
    copy = model.copy()
    if copy.ir.functions:
        copy = Model(InlinePass()(copy.ir).model)
    return named(copy)


def _with_shapes(model: Model) -> Model:
    """A copy with the shapes and types that can be inferred; free dimensions stay free."""
    try:
        return Model(ShapeInferencePass(data_prop=True, strict_mode=False)(model.copy().ir).model)
    except Exception:  # onnx raises what its inference of one operator or another raises
        return model


def _tables(target: Target, needed: bool) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """The operator tables of the target's accelerators, and what is not known.

    Raises:
        TargetError: they are needed, and there is none for the first.
    """
    found: list[Table] = []
    notes: list[str] = []
    for provider in target.providers:
        if provider.name in CPUS:
            continue
        table = table_of(provider)
        if table is not None:
            found.append(table)
        elif needed and not found:
            options = ", ".join(f"{key}={value}" for key, value in provider.options.items())
            raise TargetError(
                f"{target.name}: what {provider.name}{f' ({options})' if options else ''} takes is not known here: it "
                "was not asked, and targets/operators/ has no table of it; give an interpreter that has it with "
                "--provider-python"
            )
        elif needed:
            notes.append(f"{provider.name} may take more: there is no operator table of it")
    return tuple(found), tuple(notes)


def _cpu_of(target: Target) -> str:
    """The provider that takes what others leave: onnxruntime adds the CPU's to every session."""
    last = target.providers[-1].name
    return last if last in CPUS else CPU


def _share(landed: Mapping[str, str], counted: Mapping[str, int | None], accelerators: Sequence[str]) -> float | None:
    """Of the multiply-accumulates, on accelerators; None where it is not known of all of them where they landed."""
    total = sum(macs or 0 for macs in counted.values())
    if not accelerators or not total:
        return None
    if len(set(landed.values())) == 1:
        return float(next(iter(landed.values())) in accelerators)
    if any(macs is None or (macs and name not in landed) for name, macs in counted.items()):
        return None
    return sum(macs or 0 for name, macs in counted.items() if landed.get(name) in accelerators) / total


def _fallbacks(
    flow: Flow,
    verdicts: Mapping[str, Verdict],
    counted: Mapping[str, int | None],
    accelerators: Sequence[str],
    tables: Sequence[Table],
) -> tuple[Fallback, ...]:
    """Nodes on no accelerator; a provider that was asked gives no reason, for which the table is looked up."""
    found = []
    for node in flow.nodes if accelerators else ():
        name = node.name or ""
        verdict = verdicts.get(name)
        if verdict is None or verdict.provider in accelerators:
            continue
        first = accelerators[0]
        objection = next(iter(verdict.objections), None)
        if objection is None and tables:
            objection = objection_to(tables[0], node, flow, verdicts)
        why = f"{first} leaves it, and does not say why" if objection is None else objection.text
        cure = rewrite("provider" if objection is None else objection.reason, node.op_type, first)
        found.append(Fallback(name, node.op_type, verdict.provider, counted.get(name), why, cure))
    return tuple(found)


def _integers(model: Model, counted: Mapping[str, int | None], target: Target) -> IntegerReport | None:
    """What a quantized model becomes on the CPU; None for any other model."""
    if not any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.ir.graph):
        return None
    kernels = cpu_kernels(model, arm=target.platform.machine in ("aarch64", "arm64"))
    total = sum(macs or 0 for macs in counted.values())
    inside = sum(macs or 0 for name, macs in counted.items() if name in kernels.names)
    unknown = not total or None in counted.values()
    return IntegerReport(kernels.integer, None if unknown else inside / total, kernels.islands)


def _warnings(report: PlacementReport, target: Target) -> list[str]:
    least, most = target.placement.min_share, target.placement.max_partitions
    found = []
    if report.accelerators:
        on = ", ".join(report.accelerators)
        total = sum(report.nodes.values())
        by_nodes = sum(report.nodes.get(name, 0) for name in report.accelerators) / total if total else 1.0
        share, what = (by_nodes, "nodes") if report.share is None else (report.share, "multiply-accumulates")
        if share < least:
            found.append(f"{share:.1%} of the {what} are on {on}: expected at least {least:.0%}")
        if len(report.partitions) > most:
            found.append(
                f"{len(report.partitions)} partitions, {report.copies} results copied between providers: "
                f"expected at most {most} partitions"
            )
    meant = [island for island in report.integers.islands if island.quantized] if report.integers else []
    if meant:
        which = ", ".join(f"{island.op_type} {island.name}" for island in meant[:3])
        found.append(f"{len(meant)} nodes with integer weights are computed in float: {which}; expected none")
    return found
