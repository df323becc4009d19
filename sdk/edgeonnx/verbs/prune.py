"""`edgeonnx prune`: take channels out of a model, have the rest make up for them, measure, and keep what holds."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.bench.timing import Paired, slower
from edgeonnx.calibration.samples import Data
from edgeonnx.errors import BudgetError, OutputError
from edgeonnx.external import all_weights
from edgeonnx.files import check_writable
from edgeonnx.model import Model
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.prune.masks import save_masks
from edgeonnx.targets import Target, load_target
from edgeonnx.verbs.data import Preparation, as_model, as_pipeline
from edgeonnx.verbs.job import Progress
from edgeonnx.verbs.measure import Selection, UserFunction, Yardstick, divide, time_fairly
from edgeonnx.verbs.outcome import settled
from edgeonnx.verbs.pruning import SAMPLES, Pruned, Setting, Wish, checked, prunable, prune_by


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
        float_macs: multiply-accumulates of the model as given, on a sample.
        macs: of the pruned model.
        speed: given against pruned on this machine, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
        how: how it was chosen what goes, and what was done about it.
        groups: what became of each group of channels.
        stuck: nodes whose channels can't go, and why.
        zeros: share of zeros among the weights of the model as given, and of the pruned one.
        compressed: bytes of both once compressed, as archives and bundles do it; None where channels went.
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
    float_macs: int
    macs: int
    speed: Paired | None
    speed_note: str
    how: str
    groups: tuple[GroupRow, ...]
    stuck: tuple[tuple[str, str], ...]
    zeros: tuple[float, float]
    compressed: tuple[int, int] | None
    warnings: tuple[str, ...]
    problems: tuple[str, ...]


def prune(
    model: str | Path | Model,
    data: Data,
    *,
    speedup: float | None = None,
    ratio: float | None = None,
    sparsity: str | None = None,
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
        ratio: the share of multiply-accumulates that is to go; or
        sparsity: the share of weights that become zero, as `0.5`, or how many of how many neighbours, as `2:4`: the
            shapes stay, the file compresses better, and nothing is faster on CPUs.
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
    wish = checked(Wish(speedup, ratio, sparsity), importance)
    model = as_model(model)
    _check_places(output, masks, (model.path, data, eval_data))
    profile = load_target(target) if target else None
    prepare = Preparation(model, as_pipeline(pipeline), skip_bad)
    calibration, evaluation = divide(prepare, data, eval_data, metric, SAMPLES)
    yardstick = Yardstick(model, prepare, evaluation, metric, timer=time_fairly)
    form, setting = prunable(model), Setting(importance, refit, profile, progress)
    pruned = prune_by(wish, form, prepare, calibration, yardstick, setting)
    result = _result(model, pruned, yardstick, profile, evaluation, wish, max_drop)
    if masks is not None:
        save_masks(Path(masks), pruned.masks)
    return settled(result, None if output is None else Path(output), force, BudgetError)


def _check_places(output: str | Path | None, masks: str | Path | None, sources: Sequence[object]) -> None:
    """Say early that a result can't be written, or would take the place of what it is made from."""
    places = [Path(path) for path in (output, masks) if path is not None]
    for path in places:
        for source in sources:
            check_writable(path, source if isinstance(source, (str, Path)) else None)
    if len({path.resolve() for path in places}) < len(places):
        raise OutputError(f"{masks} can't be both the model and its masks; give them two names")


def _result(
    model: Model,
    pruned: Pruned,
    yardstick: Yardstick,
    profile: Target | None,
    evaluation: Selection | None,
    wish: Wish,
    max_drop: float,
) -> PruneResult:
    score = yardstick.score(pruned.model)
    made = pruned.model.with_record(_record(model, pruned, yardstick, score, wish))
    return PruneResult(
        model=made,
        output=None,
        target=profile.name if profile else None,
        metric=yardstick.metric,
        float_score=yardstick.float_score,
        score=score,
        evaluation_samples=None if evaluation is None else evaluation.count,
        calibration_samples=pruned.samples,
        float_bytes=model.file_bytes,
        bytes=made.file_bytes,
        float_macs=pruned.macs[0],
        macs=pruned.macs[1],
        speed=pruned.speed,
        speed_note=pruned.speed_note,
        how=pruned.how,
        groups=tuple(GroupRow(*row) for row in pruned.rows),
        stuck=pruned.stuck,
        zeros=(_zeros(model), _zeros(made)),
        compressed=(_compressed(model), _compressed(made)) if wish.sparsity else None,
        warnings=pruned.warnings,
        problems=_problems(yardstick, score, pruned.speed, wish, max_drop),
    )


def _record(model: Model, pruned: Pruned, yardstick: Yardstick, score: float, wish: Wish) -> dict[str, Any]:
    """What the model will carry about how it was made; no times, so that the same inputs give the same bytes."""
    made = {
        "source_sha256": model.sha256,
        "wish": str(wish),
        "how": pruned.how,
        "metric": yardstick.metric,
        "float_score": yardstick.float_score,
        "score": score,
        "edgeonnx": version("edgeonnx"),
    }
    return {**(model.record or {}), "pruned": made}


def _problems(yardstick: Yardstick, score: float, speed: Paired | None, wish: Wish, max_drop: float) -> tuple[str, ...]:
    found, floor = [], yardstick.float_score - max_drop
    if not score >= floor:  # a floor of NaN lets nothing through
        found.append(
            f"{yardstick.metric}: expected at least {floor:.4f} (before {yardstick.float_score:.4f}), "
            f"got {score:.4f}; allow more with --max-drop, or ask for less"
        )
    if wish.speedup and speed is not None and speed.high < wish.speedup:
        found.append(
            f"speed: expected at least {wish.speedup:.2f}x on this machine, got {speed.ratio:.2f}x; ask for less"
        )
    elif speed is not None and slower(speed):
        found.append(f"speed: expected at least 1.00x on this machine, got {speed.ratio:.2f}x; ask for more to go")
    return tuple(found)


def _zeros(model: Model) -> float:
    arrays = [tensor.numpy() for tensor in all_weights(model.ir) if tensor.dtype.is_floating_point()]
    return sum(array.size - np.count_nonzero(array) for array in arrays) / max(1, sum(array.size for array in arrays))


def _compressed(model: Model) -> int:
    """Bytes of the weights by deflate, one by one, since a model may be larger than memory is for twice."""
    return sum(len(zlib.compress(tensor.tobytes())) for tensor in all_weights(model.ir))
