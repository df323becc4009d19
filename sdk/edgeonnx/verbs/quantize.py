"""`edgeonnx quantize`: normalize, calibrate, quantize, measure, and keep what holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeonnx.bench.timing import Paired
from edgeonnx.calibration.ranges import min_max
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, ModelError, TargetError
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.pipeline.graph import scores_name
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.quantize.placement import Dialect, load_dialect, place
from edgeonnx.quantize.qdq import quantized_nodes, write_qdq
from edgeonnx.quantize.recipe import Recipe, load_recipe
from edgeonnx.ranges import Ranges
from edgeonnx.targets import Target, load_target, runs_here
from edgeonnx.verbs.data import Preparation, as_model, as_pipeline
from edgeonnx.verbs.gate import Candidate, choose, problems
from edgeonnx.verbs.inspect import target_refusals
from edgeonnx.verbs.measure import Selection, UserFunction, Yardstick, divide

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class QuantizeResult:
    """What quantize made, and what it measured.

    Attributes:
        model: the quantized model.
        output: where it was written; None if it was not.
        recipe: name of the recipe.
        target: name of the target, None for this machine.
        metric: what the scores are.
        float_score: of the model as given.
        score: of the quantized model, on the same samples.
        evaluation_samples: how many samples the scores come from; None for a metric of the user's own.
        calibration_samples: how many samples the ranges come from.
        float_bytes: size of the float model.
        bytes: size of the quantized model.
        speed: float against quantized on this machine, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
        candidates: all that was tried; the one that became `model` is `chosen`.
        chosen: which nodes were quantized, and why the others were not, stands in its `placement`.
        problems: why it missed its budget; empty if it did not.
    """

    model: Model
    output: Path | None
    recipe: str
    target: str | None
    metric: str
    float_score: float
    score: float
    evaluation_samples: int | None
    calibration_samples: int
    float_bytes: int
    bytes: int
    speed: Paired | None
    speed_note: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    problems: tuple[str, ...]


def quantize(
    model: str | Path | Model,
    data: Data,
    *,
    output: str | Path | None = None,
    target: str | None = None,
    recipe: str = "balanced",
    metric: UserFunction | None = None,
    eval_data: Data | None = None,
    pipeline: str | Path | PipelineSpec | None = None,
    max_drop: float = 0.01,
    force: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> QuantizeResult:
    """Quantize a model to INT8, and keep it only if it holds.

    Args:
        model: a float ONNX model, or its path.
        data: samples to calibrate on: see `edgeonnx.calibration.samples`.
        output: where to write the result; one that missed its budget goes to `NAME.rejected.onnx` instead.
        target: name or path of a profile; None: this machine.
        recipe: name or path of a recipe.
        metric: `FILE.py:FUNC` or a function; gets `predict(feeds) -> outputs` and returns a float, higher is
            better. None: top-1 accuracy where the data has labels, else agreement with the float model.
        eval_data: samples to score on; None: those of `data` that calibration does not use.
        pipeline: preprocessing that samples go through, a spec or its path.
        max_drop: how much lower than float the score may be.
        force: write and return a result that missed its budget.
        progress: told (stage, steps done, steps in all).

    Raises:
        BudgetError: accuracy or speed was missed; its `result` is the best that was found.
        EdgeonnxError: bad input; see `edgeonnx.errors`.
    """
    output = None if output is None else Path(output)
    if output is not None:
        check_writable(output, model.path if isinstance(model, Model) else model)
    job = _prepare(as_model(model), target, recipe, as_pipeline(pipeline), progress)
    calibration, evaluation = divide(job.prepare, data, eval_data, metric, job.recipe.calibration.samples)
    progress("score float", 0, 1)
    yardstick = Yardstick(job.model, job.prepare, evaluation, metric, job.scores)
    ranges = _calibrate(job, calibration)
    floor = yardstick.float_score - max_drop
    candidates = tuple(_try(job, ranges, yardstick, calibration, floor))
    chosen = choose(candidates, floor)
    result = _result(job, yardstick, ranges, evaluation, candidates, chosen, problems(chosen, floor, yardstick))
    if result.problems and not force:
        result = _write(result, None if output is None else output.with_suffix(".rejected.onnx"))
        kept = f"; the best found is in {result.output}, take it with --force" if result.output else ""
        raise BudgetError(f"{'; '.join(result.problems)}{kept}", result)
    return _write(result, output)


@dataclass(frozen=True)
class _Job:
    """What is settled before the first sample is run."""

    model: Model
    normal: Model
    recipe: Recipe
    dialect: Dialect
    target: Target | None
    pipeline: PipelineSpec | None
    prepare: Preparation
    progress: Progress

    @property
    def scores(self) -> str | None:
        """Name of the classifier's output, where the pipeline tells."""
        spec = self.pipeline.output if self.pipeline else None
        return None if spec is None else scores_name(self.model, spec)

    @property
    def timed(self) -> bool:
        """Whether a time taken on this machine says something about the target."""
        return self.target is None or runs_here(self.target)


def _prepare(model: Model, target: str | None, recipe: str, pipeline: PipelineSpec | None, progress: Progress) -> _Job:
    """Check all that can be checked before work begins."""
    chosen = load_recipe(recipe)
    profile = load_target(target) if target else None
    if quantized_nodes(model):
        raise ModelError(f"{model.path or 'the model'} is quantized already; give the float model it was made from")
    progress("normalize", 0, 1)
    normal = normalize(model)
    refused = target_refusals(normal, profile) if profile else []
    if profile and refused:
        raise TargetError(f"{profile.name} refuses the model: {refused[0]}")
    job = _Job(model, normal, chosen, load_dialect("cpu"), profile, pipeline, Preparation(model, pipeline), progress)
    _check_arithmetic(job, Ranges({}, 0))
    return job


def _calibrate(job: _Job, calibration: Selection) -> Ranges:
    tensors = [name for name, dtype in tensor_types(job.normal).items() if dtype == ir.DataType.FLOAT]
    feeds = (job.prepare(sample) for sample in calibration.samples.feeds(calibration.indexes))
    total = len(calibration.indexes)
    return min_max(job.normal, tensors, feeds, lambda done: job.progress("calibrate", done, total))


def _try(job: _Job, ranges: Ranges, yardstick: Yardstick, sample: Selection, floor: float) -> Iterator[Candidate]:
    """Candidates in the recipe's order, each run and measured; those beyond the budget are not timed."""
    _check_arithmetic(job, ranges)
    scopes = job.recipe.scopes
    for index, scope in enumerate(scopes):
        job.progress("quantize and measure", index, len(scopes))
        placement = place(job.normal, job.dialect, scope, ranges)
        made = write_qdq(job.normal, ranges, placement, job.recipe)
        candidate = Candidate(scope, made, placement, yardstick.score(made))
        if candidate.score >= floor and job.timed:
            candidate = replace(candidate, speed=yardstick.speed(made, sample))
        yield candidate
        if candidate.score >= floor and not job.timed:
            return  # the recipe's order decides; there is nothing to compare
    job.progress("quantize and measure", len(scopes), len(scopes))


def _check_arithmetic(job: _Job, ranges: Ranges) -> None:
    """See that some arithmetic is left for integers, whatever the scope.

    Raises:
        ModelError: none is; the message says why.
    """
    placement = place(job.normal, job.dialect, "compute", ranges)
    if not placement.quantized:
        arithmetic = [node for node in job.normal.ir.graph if node.op_type in job.dialect.compute]
        why = sorted({f"{node.op_type} {placement.kept[node.name or '']}" for node in arithmetic})
        raise ModelError(
            f"{job.model.path or 'the model'} has nothing to quantize: "
            f"{'; '.join(why) or 'no ' + ', '.join(sorted(job.dialect.compute))}; ship it in float"
        )


def _result(
    job: _Job,
    yardstick: Yardstick,
    ranges: Ranges,
    evaluation: Selection | None,
    candidates: tuple[Candidate, ...],
    chosen: Candidate,
    missed: tuple[str, ...],
) -> QuantizeResult:
    evaluated = None if evaluation is None else len(evaluation.indexes)
    record: dict[str, Any] = {
        "source_sha256": job.model.sha256,
        "recipe": job.recipe.name,
        "scope": chosen.scope,
        "target": job.target.name if job.target else None,
        "metric": yardstick.metric,
        "float_score": yardstick.float_score,
        "score": chosen.score,
        "evaluation_samples": evaluated,
        "calibration_samples": ranges.samples,
        "pipeline": job.pipeline.fingerprint if job.pipeline else None,
        "ranges": {t.name: ranges.by_tensor[t.name] for t in job.normal.inputs if t.name in ranges.by_tensor},
        "tools": {name: version(name) for name in ("edgeonnx", "onnxruntime")},
    }
    made = chosen.model.with_record(record)
    if job.target:
        made.ir.ir_version = min(made.ir_version, job.target.caps.ir_version)
    return QuantizeResult(
        model=made,
        output=None,
        recipe=job.recipe.name,
        target=job.target.name if job.target else None,
        metric=yardstick.metric,
        float_score=yardstick.float_score,
        score=chosen.score,
        evaluation_samples=evaluated,
        calibration_samples=ranges.samples,
        float_bytes=job.model.file_bytes,
        bytes=made.file_bytes,
        speed=chosen.speed,
        speed_note=_speed_note(job, chosen),
        candidates=candidates,
        chosen=chosen,
        problems=missed,
    )


def _speed_note(job: _Job, chosen: Candidate) -> str:
    if job.target is None:
        return "this machine" if chosen.speed else "not measured: the accuracy budget was missed"
    if not job.timed:
        return f"not measured: this machine is not a {job.target.name}"
    return f"this machine, which has what {job.target.name} has" if chosen.speed else "not measured"


def _write(result: QuantizeResult, output: Path | None) -> QuantizeResult:
    return result if output is None else replace(result, output=result.model.save(output))
