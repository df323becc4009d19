"""`edgeonnx optimize`: a smaller and faster graph, kept only if it gives the same."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeonnx.bench.timing import Paired, slower
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, DifferenceError, ModelError
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Change, Plan, Wish, count_nodes, plan_for, run
from edgeonnx.targets import Target, load_target
from edgeonnx.targets.contrib import MICROSOFT
from edgeonnx.targets.operators import table_of
from edgeonnx.verbs.attempt import Attempt, Made
from edgeonnx.verbs.data import as_model
from edgeonnx.verbs.half_ranges import half_ranges, left_in_float32
from edgeonnx.verbs.outcome import settled
from edgeonnx.verbs.provider import CPU
from edgeonnx.verbs.same import Difference, samples_for

# Of an output's largest magnitude: what a sum in another order may differ by, in float32 and in float16.
_TOLERANCE = 1e-5
_HALF_TOLERANCE = 2e-2
_ARM = {"aarch64", "arm64", "armv7l"}


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
        tolerance: how far they may be: 1e-5 of the largest magnitude, in float16 2e-2; four times what the last bit
            of the weights does, where that is more.
        differs: whether they are further.
        speed: the given model against the optimized one on this machine, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
        notes: what to know before it goes on from here.
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
    tolerance: float
    differs: bool
    speed: Paired | None
    speed_note: str
    notes: tuple[str, ...]
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
        force: take the result of all passes, with its problems; else passes for which it differs or is slower are left
            out, and the notes name them.

    Raises:
        DifferenceError: outputs differ even so; its `result` is what was made.
        BudgetError: it is slower than the model that was given even so, and not for an operator set or a type that was
            asked for; its `result` is what was made.
        EdgeonnxError: bad input; see `edgeonnx.errors`.
    """
    source = as_model(model)
    output = None if output is None else Path(output)
    if output is not None:
        check_writable(output, source.path)
    profile = load_target(target) if target else None
    wish = _wish(profile, opset, fix_dims or {}, float16)
    _check_names(skip, plan_for(wish))
    if float16 and data is not None:
        wish = replace(wish, ranges=half_ranges(source, wish, frozenset(skip), data))
    attempt = _attempt(source, wish, frozenset(skip), profile, data)
    attempt, made, told = _tried(attempt, force)
    result = _result(attempt, made, [*left_in_float32(source, wish), *told])
    return settled(result, output, force, DifferenceError if result.differs else BudgetError)


def _attempt(source: Model, wish: Wish, skip: frozenset[str], target: Target | None, data: Data | None) -> Attempt:
    plan = plan_for(wish)
    asked, _ = run(source, Plan(plan.first, ()), skip)
    samples = samples_for(source, asked, data)
    return Attempt(source, plan, skip, target, samples, _HALF_TOLERANCE if wish.half else _TOLERANCE)


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
    """Whether another provider than the CPU's has the graph, or one without onnxruntime's own operators."""
    return target.providers[0].name != CPU or MICROSOFT not in target.requires.domains


def _check_names(skip: Collection[str], plan: Plan) -> None:
    unknown = sorted(set(skip) - set(plan.names))
    if unknown:
        raise ModelError(f"pass {unknown[0]!r}: expected one of {', '.join(plan.names)}; correct --skip")


def _tried(attempt: Attempt, force: bool) -> tuple[Attempt, Made, list[str]]:
    """What the passes make; unless forced, without those for which it differs or is slower, and a word on them."""
    told: list[str] = []
    made = attempt.made()
    if attempt.differs(made):
        attempt = attempt.allowing_for_rounding()
    if attempt.differs(made) and not force:
        attempt, made = _mended(attempt, made, attempt.same, "outputs would differ", told)
    if slower(made.speed) and not attempt.differs(made) and not force:
        attempt, made = _mended(attempt, made, attempt.same_and_quick, "it would be slower", told)
    return attempt, made, told


def _mended(
    attempt: Attempt, made: Made, holds: Callable[[Model], bool], why: str, told: list[str]
) -> tuple[Attempt, Made]:
    names = attempt.to_leave_out(holds)
    if not names:
        return attempt, made
    told.append(f"left out, since {why}: {', '.join(sorted(names))}; --force takes the result of all passes")
    attempt = attempt.without(names)
    return attempt, attempt.made()


def _result(attempt: Attempt, made: Made, notes: list[str]) -> OptimizeResult:
    source, differs = attempt.source, attempt.differs(made)
    problems, notes = [_blame(attempt, made)] if differs else [], [*_notes(source, made.model), *notes]
    if made.speed is not None and slower(made.speed):
        asked = [one.name for one in made.changes if one.rewrites and one.name in attempt.plan.wished]
        got = f"{made.speed.ratio:.2f}x of the given model on this machine"
        if asked:
            notes.append(f"speed: {got}, which is what was asked for costs here: {', '.join(asked)}")
        else:
            problems.append(f"speed: expected at least 1.00x, got {got}")
    return OptimizeResult(
        model=made.model,
        output=None,
        target=attempt.target.name if attempt.target else None,
        changes=made.changes,
        nodes_before=count_nodes(source),
        nodes=count_nodes(made.model),
        bytes_before=source.file_bytes,
        bytes=made.model.file_bytes,
        difference=made.difference,
        tolerance=attempt.tolerance,
        differs=differs,
        speed=made.speed,
        speed_note=made.speed_note,
        notes=tuple(notes),
        problems=tuple(problems),
    )


def _notes(source: Model, made: Model) -> tuple[str, ...]:
    """Whether the result has become onnxruntime's own."""
    before, after = (any(node.domain == MICROSOFT for node in m.ir.graph.all_nodes()) for m in (source, made))
    if before or not after:
        return ()
    return (
        "it has operators of onnxruntime's own, which other runtimes lack; quantize and prune take fused products "
        "apart and leave what else is fused as it is: give them the model as it was, or --skip onnxruntime_offline",
    )


def _blame(attempt: Attempt, made: Made) -> str:
    """What differs by how much, and the pass without which it would not."""
    expected = f"expected within {attempt.tolerance:.0e} of the given model's"
    told = f"output {made.difference.output}: {expected}, got {made.difference.relative:.1e}"
    for name in (change.name for change in made.changes if change.rewrites):
        if attempt.same(attempt.without(frozenset({name})).model()):
            return f"{told}; leave the pass out that does it, with --skip {name}"
    return f"{told}; give --data that the model knows, to see whether it differs there too"
