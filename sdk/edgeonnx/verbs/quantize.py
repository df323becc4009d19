"""`edgeonnx quantize`: normalize, calibrate, quantize, measure, and keep what holds."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeonnx.bench.timing import Paired
from edgeonnx.calibration.samples import Data
from edgeonnx.engines import NAMES
from edgeonnx.errors import BudgetError, EngineError
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.quantize.recipe import load_recipe
from edgeonnx.verbs.baselines import baselines_of
from edgeonnx.verbs.combined import fewer, pruned_job, samples_for
from edgeonnx.verbs.data import as_model, as_pipeline
from edgeonnx.verbs.gate import Candidate, choose, problems
from edgeonnx.verbs.job import Job, Progress, prepare
from edgeonnx.verbs.journal import open_journal
from edgeonnx.verbs.layers import LayerRow
from edgeonnx.verbs.measure import Selection, UserFunction, Yardstick, divide
from edgeonnx.verbs.oneshot import OneShot
from edgeonnx.verbs.outcome import settled
from edgeonnx.verbs.outside import Outside
from edgeonnx.verbs.search import Search
from edgeonnx.verbs.workshop import Workshop

Hunt = Search | OneShot | Outside

# A float model that scores below this multiple of chance has been fed wrongly, or is not a model for this data.
_CHANCE = 1.5


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
        steps: the algorithms that were found to help.
        candidates: all that was tried; the one that became `model` is `chosen`.
        chosen: which nodes were quantized, and why the others were not, stands in its `placement`.
        layers: what became of each node, and why.
        saturating_score: the score on CPUs whose sums of 8-bit products saturate (x86-64 without VNNI), foretold by
            emulation; None where it was not asked: the target is another kind of CPU.
        warnings: what looks wrong with the data or the metric.
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
    steps: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    layers: tuple[LayerRow, ...]
    saturating_score: float | None
    warnings: tuple[str, ...]
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
    calibration: str | None = None,
    engine: str = "native",
    provider_python: str | Path | None = None,
    prune: float | None = None,
    skip_bad: bool = False,
    max_drop: float = 0.01,
    force: bool = False,
    executor: Executor | None = None,
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
        calibration: method that finds the ranges of activations, in place of the recipe's.
        engine: `native`; `ort` or `inc`, other tools whose results are judged alike; or `auto`: native, and the others
            that are installed where it does not meet the budget.
        provider_python: an interpreter whose onnxruntime has the target's provider, to score and time on; None: look
            for one (see `edgeonnx.providers.find`).
        prune: take channels out first, so that the float model is so many times as fast: see `edgeonnx.prune`.
        skip_bad: pass over samples that can't be read or used, and say so in the result's warnings.
        max_drop: how much lower than float the score may be.
        force: write and return a result that missed its budget.
        executor: runs candidates side by side; None: one after the other. Timing is never shared.
        progress: told (stage, steps done, steps in all).

    Raises:
        BudgetError: accuracy or speed was missed; its `result` is the best that was found.
        EdgeonnxError: bad input; see `edgeonnx.errors`.
    """
    output = None if output is None else Path(output)
    if output is not None:
        check_writable(output, model.path if isinstance(model, Model) else model)
    chosen = load_recipe(recipe, calibration)
    python = None if provider_python is None else Path(provider_python)
    job = prepare(as_model(model), target, chosen, as_pipeline(pipeline), skip_bad, progress, python)
    samples = job.recipe.calibration.samples
    calibrating, evaluation = divide(job.prepare, data, eval_data, metric, samples_for(samples, prune))
    progress("score float", 0, 1)
    yardstick = Yardstick(job.model, job.prepare, evaluation, metric, job.scores, job.saturates, runner=job.runner)
    floor = yardstick.float_score - max_drop
    if prune is not None:
        job = pruned_job(job, prune, calibrating, yardstick, floor)
    calibrating = fewer(calibrating, samples)
    hunt = _hunt(job, engine, calibrating, evaluation, yardstick, floor, executor)
    hunt.run()
    failures = _ask_others(hunt, job, calibrating, yardstick, floor) if engine == "auto" else []
    result = _result(job, hunt, yardstick, calibrating, evaluation, floor)
    result = replace(
        result,
        warnings=(
            *job.changes,
            *_unrun(job),
            *hunt.warnings,
            *_warnings(yardstick),
            *_skipped(calibrating, evaluation),
            *failures,
        ),
    )
    return settled(result, output, force, BudgetError)


def _hunt(
    job: Job,
    engine: str,
    calibration: Selection,
    evaluation: Selection | None,
    yardstick: Yardstick,
    floor: float,
    executor: Executor | None,
) -> Hunt:
    """What looks for candidates: a search over placements, a scheme that leaves nothing to search, another tool."""
    if engine not in ("native", "auto"):
        return Outside(engine, job, calibration, yardstick, floor)
    if job.recipe.scheme != "static":
        return OneShot(job, calibration, yardstick)
    journal = open_journal(job, calibration, evaluation)
    return Search(Workshop(job, calibration), yardstick, floor, journal, executor)


def _ask_others(hunt: Hunt, job: Job, calibration: Selection, yardstick: Yardstick, floor: float) -> list[str]:
    """Let other tools try where ours did not meet the budget; what failed, one line each."""
    if not problems(choose(hunt.candidates, floor), floor, yardstick):
        return []
    failures = []
    for name in NAMES:
        outside = Outside(name, job, calibration, yardstick, floor)
        try:
            hunt.candidates.extend(outside.run())
            failures += outside.failures
        except EngineError as error:
            failures.append(f"engine {name}: {error}")
    return failures


def _result(
    job: Job,
    hunt: Hunt,
    yardstick: Yardstick,
    calibration: Selection,
    evaluation: Selection | None,
    floor: float,
) -> QuantizeResult:
    chosen = choose(hunt.candidates, floor)
    evaluated = None if evaluation is None else evaluation.count
    record = {**_record(job, hunt, chosen, yardstick, evaluated), "inputs": _baselines(job, hunt, calibration)}
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
        calibration_samples=hunt.ranges.samples,
        float_bytes=job.model.file_bytes,
        bytes=made.file_bytes,
        speed=chosen.speed,
        speed_note=_speed_note(job, chosen),
        steps=hunt.steps,
        candidates=tuple(hunt.candidates),
        chosen=chosen,
        layers=hunt.layers(chosen) if chosen.engine == "native" else (),
        saturating_score=_saturating_score(job, hunt, chosen, yardstick),
        warnings=(),
        problems=problems(chosen, floor, yardstick),
    )


def _record(job: Job, hunt: Hunt, chosen: Candidate, yardstick: Yardstick, evaluated: int | None) -> dict[str, Any]:
    """What the model will carry about how it was made; no times, so that the same inputs give the same bytes."""
    ranges = hunt.ranges.by_tensor
    return {
        **(job.source.record or {}),
        "source_sha256": job.model.sha256,
        "recipe": job.recipe.name,
        "scope": chosen.scope,
        "engine": chosen.engine,
        "steps": hunt.steps,
        "target": job.target.name if job.target else None,
        "metric": yardstick.metric,
        "float_score": yardstick.float_score,
        "score": chosen.score,
        "evaluation_samples": evaluated,
        "calibration_samples": hunt.ranges.samples,
        "pipeline": job.pipeline.fingerprint if job.pipeline else None,
        "ranges": {tensor.name: ranges[tensor.name] for tensor in job.normal.inputs if tensor.name in ranges},
        "tools": {name: version(name) for name in ("edgeonnx", "onnxruntime")},
    }


def _baselines(job: Job, hunt: Hunt, calibration: Selection) -> dict[str, dict[str, Any]]:
    """What calibration saw at each input: see `edgeonnx.runtime._manifest.Baseline`."""
    if isinstance(hunt, Search):
        found = hunt.baselines
    else:  # nothing of ours has looked at the samples yet
        found = baselines_of(job.prepare, job.model, calibration.samples.feeds(calibration.indexes))
    return {name: baseline._asdict() for name, baseline in found.items()}


def _saturating_score(job: Job, hunt: Hunt, chosen: Candidate, yardstick: Yardstick) -> float | None:
    if job.saturates:
        return chosen.score
    if job.target is not None or not isinstance(hunt, Search) or chosen.engine != "native":
        return None
    job.progress("foretell", 0, 1)
    return yardstick.score(chosen.model, saturates=hunt.saturates(chosen.model))


def _warnings(yardstick: Yardstick) -> tuple[str, ...]:
    """What a good result does not need and a bad one often has."""
    if yardstick.chance is not None and yardstick.float_score <= yardstick.chance * _CHANCE:
        return (
            f"the float model's own {yardstick.metric} is {yardstick.float_score:.2f}, little more than chance "
            f"({yardstick.chance:.2f}): do labels and preprocessing fit the model?",
        )
    return ()


def _speed_note(job: Job, chosen: Candidate) -> str:
    if job.target is None:
        return "this machine" if chosen.speed else "not measured: the accuracy budget was missed"
    if not job.timed:
        return f"not measured: {job.unrun or f'this machine is not a {job.target.name}'}"
    if job.runner is not None:
        return job.runner.where if chosen.speed else "not measured"
    return f"this machine, which has what {job.target.name} has" if chosen.speed else "not measured"


def _unrun(job: Job) -> list[str]:
    """Whether scores are another provider's than the target's."""
    return [f"scored on the CPU provider, here: {job.unrun}"] if job.unrun else []


def _skipped(*selections: Selection | None) -> list[str]:
    """What was passed over, each sample once."""
    found = {id(selection.samples): selection.samples.skipped for selection in selections if selection is not None}
    return [f"skipped: {why}" for skipped in found.values() for _, why in sorted(skipped.items())]
