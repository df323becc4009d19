"""`edgeonnx optimize`: a smaller and faster graph, kept only if it gives the same."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeonnx.bench.timing import Paired
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, DifferenceError, ModelError
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Change, Plan, Wish, count_nodes, plan_for, run
from edgeonnx.targets import Target, load_target, runs_here
from edgeonnx.targets.operators import table_of
from edgeonnx.verbs.data import as_model
from edgeonnx.verbs.measure import time_here
from edgeonnx.verbs.provider import CPU
from edgeonnx.verbs.same import Difference, Feeds, difference, samples_for

# Of an output's largest magnitude: what a sum in another order may differ by, in float32 and in float16.
_TOLERANCE = 1e-5
_HALF_TOLERANCE = 2e-2
_ARM = {"aarch64", "arm64", "armv7l"}
# What two runs of one model differ by on a busy machine.
_NOISE = 0.03


@dataclass(frozen=True)
class OptimizeResult:
    """What optimize made, and what it measured.

    Attributes:
        model: the optimized model; the one given where there was nothing to do.
        output: where it was written; None if it was not.
        target: name of the target, None for any.
        changes: what each pass did, in order.
        nodes_before, nodes: of the model as given and of the optimized one, subgraphs included.
        bytes_before, bytes: their sizes.
        difference: of their outputs.
        speed: the given model against the optimized one on this machine, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
        problems: why it may not be used; empty if it may.
    """

    model: Model
    output: Path | None
    target: str | None
    changes: tuple[Change, ...]
    nodes_before: int
    nodes: int
    bytes_before: int
    bytes: int
    difference: Difference
    speed: Paired | None
    speed_note: str
    problems: tuple[str, ...]


def optimize(
    model: str | Path | Model,
    *,
    output: str | Path | None = None,
    target: str | None = None,
    opset: int | None = None,
    fix_dims: Mapping[str, int] | None = None,
    float16: bool = False,
    skip: Collection[str] = (),
    data: Data | None = None,
    force: bool = False,
) -> OptimizeResult:
    """Rewrite a model's graph into a smaller and faster one, run both, and keep it only if they give the same.

    Args:
        model: an ONNX model, or its path.
        output: where to write the result; one with problems goes to `NAME.rejected.onnx` instead.
        target: name or path of a profile, for what its onnxruntime and providers take; None: whatever the model
            asks for now.
        opset: the highest operator set that the result may use; None: the target's highest, else the model's own.
        fix_dims: sizes of free dimensions, by the dimension's name or as `INPUT:AXIS`.
        float16: compute in float16.
        skip: names of passes to leave out.
        data: what to compare outputs on: see `edgeonnx.calibration.samples`; None: noise.
        force: write and return a result with problems.

    Raises:
        DifferenceError: outputs differ; its `result` is what was made.
        BudgetError: it is slower than the model that was given; its `result` is what was made.
        EdgeonnxError: bad input; see `edgeonnx.errors`.
    """
    source = as_model(model)
    output = None if output is None else Path(output)
    if output is not None:
        check_writable(output, source.path)
    profile = load_target(target) if target else None
    wish = _wish(profile, opset, fix_dims or {}, float16)
    plan = plan_for(wish)
    _check_names(skip, plan)
    result = _measured(source, profile, wish, plan, skip, data)
    if result.problems and not force:
        result = _write(result, None if output is None else output.with_suffix(".rejected.onnx"))
        kept = f"; what was made is in {result.output}, take it with --force" if result.output else ""
        kind = BudgetError if result.difference.relative <= _tolerance(wish) else DifferenceError
        raise kind(f"{'; '.join(result.problems)}{kept}", result)
    return _write(result, output)


def _wish(target: Target | None, opset: int | None, fixed: Mapping[str, int], half: bool) -> Wish:
    if target is None:
        return Wish(opset=opset, fixed=fixed, half=half)
    table = table_of(target.providers[0])
    arm = target.platform.machine in _ARM
    return Wish(
        opset=target.caps.opset if opset is None else opset,
        ir_version=target.caps.ir_version,
        fixed=fixed,
        half=half,
        offline=None if _foreign(target) else "arm" if arm else "x86",
        operators=frozenset(table.operators) if table is not None else None,
    )


def _foreign(target: Target) -> bool:
    """Whether the graph is another provider's than the CPU's, which knows neither onnxruntime's own operators."""
    return target.providers[0].name != CPU or "com.microsoft" not in target.requires.domains


def _check_names(skip: Collection[str], plan: Plan) -> None:
    unknown = sorted(set(skip) - set(plan.names))
    if unknown:
        raise ModelError(f"pass {unknown[0]!r}: expected one of {', '.join(plan.names)}; correct --skip")


def _measured(
    source: Model, target: Target | None, wish: Wish, plan: Plan, skip: Collection[str], data: Data | None
) -> OptimizeResult:
    made, changes = run(source, plan, skip)
    samples = samples_for(source, made, data)
    far = difference(source, made, samples)
    problems = []
    if far.relative > _tolerance(wish):
        problems.append(_blame(source, wish, plan, skip, samples, far, changes))
    speed, note = _speed(source, made, target, samples[0])
    if speed is not None and speed.high < 1 - _NOISE:
        problems.append(f"speed: expected at least 1.00x of the given model on this machine, got {speed.ratio:.2f}x")
    return OptimizeResult(
        model=made,
        output=None,
        target=target.name if target else None,
        changes=changes,
        nodes_before=count_nodes(source),
        nodes=count_nodes(made),
        bytes_before=source.file_bytes,
        bytes=made.file_bytes,
        difference=far,
        speed=speed,
        speed_note=note,
        problems=tuple(problems),
    )


def _tolerance(wish: Wish) -> float:
    return _HALF_TOLERANCE if wish.half else _TOLERANCE


def _blame(
    source: Model,
    wish: Wish,
    plan: Plan,
    skip: Collection[str],
    samples: list[Feeds],
    far: Difference,
    changes: tuple[Change, ...],
) -> str:
    """What differs by how much, and the pass without which it would not."""
    told = f"output {far.output}: expected within {_tolerance(wish):.0e} of the given model's, got {far.relative:.1e}"
    for change in (change for change in changes if change.rewrites):
        without, _ = run(source, plan, {*skip, change.name})
        if difference(source, without, samples).relative <= _tolerance(wish):
            return f"{told}; leave the pass out that does it with --skip {change.name}, and report it"
    return f"{told}; give --data that the model knows, to see whether it differs there too"


def _speed(source: Model, made: Model, target: Target | None, feeds: Feeds) -> tuple[Paired | None, str]:
    if made is source:
        return None, "not measured: nothing changed"
    if target is not None and (target.providers[0].name != CPU or not runs_here(target)):
        return None, f"not measured: this machine is not a {target.name}"
    return time_here(source, made, dict(feeds)), "this machine"


def _write(result: OptimizeResult, output: Path | None) -> OptimizeResult:
    return result if output is None else replace(result, output=result.model.save(output))
