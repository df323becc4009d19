"""`edgeonnx prune`: take channels out of a model, have the rest make up for them, measure, and keep what holds."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgeonnx.anatomy import dissect
from edgeonnx.bench.timing import Paired
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, InputError, ModelError
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import plain
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.prune.importance import METHODS
from edgeonnx.prune.masks import save_masks
from edgeonnx.quantize.qdq import quantized_nodes
from edgeonnx.targets import Target, load_target
from edgeonnx.verbs.data import Preparation, as_model, as_pipeline
from edgeonnx.verbs.job import Progress
from edgeonnx.verbs.measure import Selection, UserFunction, Yardstick, divide
from edgeonnx.verbs.pruner import Pruned, Pruner

# Samples to calibrate on at most: least squares wants many.
_SAMPLES = 500


@dataclass(frozen=True)
class Wish:
    """How much is to go; one of the two.

    Attributes:
        speedup: how many times as fast the model is to be.
        ratio: share of the multiply-accumulates that is to go, 0 to 1.
    """

    speedup: float | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class GroupRow:
    """A group of channels that go together, and what became of it.

    Attributes:
        name: the nodes that make them.
        channels: how many there were.
        kept: how many there are.
        error: what giving them up cost by itself, as a share of the outputs' variance.
    """

    name: str
    channels: int
    kept: int
    error: float


@dataclass(frozen=True)
class PruneResult:
    """What prune made, and what it measured.

    Attributes:
        model: the pruned model, float as before.
        output: where it was written; None if it was not.
        target: name of the target, None for this machine.
        metric: what the scores are.
        float_score: of the model as given.
        score: of the pruned model, on the same samples.
        evaluation_samples: how many samples the scores come from; None for a metric of the user's own.
        calibration_samples: how many samples channels were judged and layers refitted on.
        float_bytes: size of the model as given.
        bytes: size of the pruned model.
        float_macs: multiply-accumulates of the model as given; None if a shape can't be inferred.
        macs: of the pruned model.
        speed: given against pruned on this machine, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
        importance: how channels were judged.
        refitted: whether the layers left were refitted.
        groups: what became of each group of channels.
        stuck: nodes whose channels can't go, and why.
        warnings: what the user should know.
        problems: why it missed its budget; empty if it did not.
    """

    model: Model
    output: Path | None
    target: str | None
    metric: str
    float_score: float
    score: float
    evaluation_samples: int | None
    calibration_samples: int
    float_bytes: int
    bytes: int
    float_macs: int | None
    macs: int | None
    speed: Paired | None
    speed_note: str
    importance: str
    refitted: bool
    groups: tuple[GroupRow, ...]
    stuck: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


def prune(
    model: str | Path | Model,
    data: Data,
    *,
    speedup: float | None = None,
    ratio: float | None = None,
    output: str | Path | None = None,
    target: str | None = None,
    metric: UserFunction | None = None,
    eval_data: Data | None = None,
    pipeline: str | Path | PipelineSpec | None = None,
    importance: str = "reconstruction",
    refit: bool = True,
    masks: str | Path | None = None,
    skip_bad: bool = False,
    max_drop: float = 0.01,
    force: bool = False,
    progress: Progress = lambda _stage, _done, _total: None,
) -> PruneResult:
    """Take channels out of a model, without training, and keep the result only if it holds.

    Args:
        model: a float ONNX model, or its path.
        data: samples to judge channels by and to refit layers on: see `edgeonnx.calibration.samples`.
        speedup: how many times as fast it is to be on this machine; or
        ratio: the share of multiply-accumulates that is to go.
        output: where to write the result; one that missed its budget goes to `NAME.rejected.onnx` instead.
        target: name or path of a profile; None: this machine. Speed is measured where this machine is of its kind.
        metric: see `edgeonnx.quantize`.
        eval_data: samples to score on; None: those of `data` that are not used otherwise.
        pipeline: preprocessing that samples go through, a spec or its path.
        importance: which channels go first: `reconstruction`, `activation`, `sensitivity` or `norm`.
        refit: have the layers that are left make up for what went, by least squares.
        masks: `.npz` to write for a training framework: weight's name -> which of its elements stay.
        skip_bad: pass over samples that can't be read or used.
        max_drop: how much lower than before the score may be.
        force: write and return a result that missed its budget.
        progress: told (stage, steps done, steps in all).

    Raises:
        BudgetError: accuracy or speed was missed; its `result` is the best that was found.
        InputError: a wish that is none, or that would leave a layer without channels.
        ModelError: the model is quantized, or has no channels that can be pruned; says why.
        EdgeonnxError: other bad input; see `edgeonnx.errors`.
    """
    wish = _checked(Wish(speedup, ratio), importance)
    model = as_model(model)
    outputs = [Path(path) for path in (output, masks) if path is not None]
    for path in outputs:
        check_writable(path, model.path)
    profile = load_target(target) if target else None
    prepare = Preparation(model, as_pipeline(pipeline), skip_bad)
    calibration, evaluation = divide(prepare, data, eval_data, metric, _SAMPLES)
    yardstick = Yardstick(model, prepare, evaluation, metric)
    pruner = Pruner(prunable(model), prepare, calibration, profile, importance, refit, progress)
    pruned = pruner.prune(wish.speedup, wish.ratio, yardstick)
    result = _result(model, pruned, pruner, yardstick, profile, evaluation, wish, max_drop)
    if masks is not None:
        save_masks(Path(masks), pruner.study.channels, pruner.study.model, pruned.gone)
    place = None if output is None else Path(output)
    if result.problems and not force:
        result = _write(result, None if place is None else place.with_suffix(".rejected.onnx"))
        kept = f"; what was made is in {result.output}, take it with --force" if result.output else ""
        raise BudgetError(f"{'; '.join(result.problems)}{kept}", result)
    return _write(result, place)


def prunable(model: Model) -> Model:
    """The form that channels are followed in: the user's graph, of opset 13 or newer, without functions.

    Raises:
        ModelError: the model is quantized.
    """
    if quantized_nodes(model):
        raise ModelError(f"{model.path or 'the model'} is quantized; prune the float model it was made from")
    return raise_opset(plain(model))


def _checked(wish: Wish, importance: str) -> Wish:
    if (wish.speedup is None) == (wish.ratio is None):
        raise InputError("expected a speedup or a ratio, and not both; give --speedup 1.5x or --ratio 0.3")
    if wish.speedup is not None and not wish.speedup > 1:
        raise InputError(f"speedup: expected more than 1, got {wish.speedup:g}; 1.5 is half as fast again")
    if wish.ratio is not None and not 0 < wish.ratio < 1:
        raise InputError(f"ratio: expected a share between 0 and 1, got {wish.ratio:g}; 0.3 takes out 30 %")
    if importance not in METHODS:
        raise InputError(f"importance: expected one of {', '.join(METHODS)}; got {importance}")
    return wish


def _result(
    model: Model,
    pruned: Pruned,
    pruner: Pruner,
    yardstick: Yardstick,
    profile: Target | None,
    evaluation: Selection | None,
    wish: Wish,
    max_drop: float,
) -> PruneResult:
    made, before, after = pruned.model, dissect(model), dissect(pruned.model)
    score = yardstick.score(made)
    record = _record(model, yardstick, score, wish, pruner, before.macs, after.macs)
    made = made.with_record(record)
    return PruneResult(
        model=made,
        output=None,
        target=profile.name if profile else None,
        metric=yardstick.metric,
        float_score=yardstick.float_score,
        score=score,
        evaluation_samples=None if evaluation is None else evaluation.count,
        calibration_samples=len(pruner.study.feeds),
        float_bytes=model.file_bytes,
        bytes=made.file_bytes,
        float_macs=before.macs,
        macs=after.macs,
        speed=pruned.speed,
        speed_note=_speed_note(pruned, profile),
        importance=pruner.importance,
        refitted=pruner.refits,
        groups=tuple(GroupRow(*row) for row in pruned.rows),
        stuck=tuple((s.node, s.why) for s in pruner.study.channels.stuck),
        warnings=tuple(pruned.warnings),
        problems=_problems(yardstick, score, pruned.speed, wish, max_drop),
    )


def _record(
    model: Model,
    yardstick: Yardstick,
    score: float,
    wish: Wish,
    pruner: Pruner,
    before: int | None,
    after: int | None,
) -> dict[str, Any]:
    """What the model will carry about how it was made; no times, so that the same inputs give the same bytes."""
    return {
        **(model.record or {}),
        "pruned": {
            "source_sha256": model.sha256,
            "speedup": wish.speedup,
            "ratio": wish.ratio,
            "importance": pruner.importance,
            "refitted": pruner.refits,
            "metric": yardstick.metric,
            "float_score": yardstick.float_score,
            "score": score,
            "macs": [before, after],
            "edgeonnx": version("edgeonnx"),
        },
    }


def _problems(yardstick: Yardstick, score: float, speed: Paired | None, wish: Wish, max_drop: float) -> tuple[str, ...]:
    found, floor = [], yardstick.float_score - max_drop
    if not score >= floor:
        found.append(
            f"{yardstick.metric}: expected at least {floor:.4f} (before {yardstick.float_score:.4f}), "
            f"got {score:.4f}; allow more with --max-drop, or ask for less"
        )
    wanted = wish.speedup or 1.0
    if speed is not None and speed.high < wanted:
        found.append(f"speed: expected at least {wanted:.2f}x on this machine, got {speed.ratio:.2f}x")
    return tuple(found)


def _speed_note(pruned: Pruned, profile: Target | None) -> str:
    if pruned.speed is None:
        return f"not measured: this machine is not a {profile.name if profile else 'target'}"
    return "this machine" if profile is None else f"this machine, which has what {profile.name} has"


def _write(result: PruneResult, output: Path | None) -> PruneResult:
    return result if output is None else replace(result, output=result.model.save(output))
