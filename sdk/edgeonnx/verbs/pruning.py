"""What pruning is asked for, and which way it is done; `prune` and `quantize` share it."""

from collections.abc import Mapping
from dataclasses import dataclass

from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.anatomy import node_macs
from edgeonnx.bench.timing import Paired
from edgeonnx.errors import InputError, ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import plain
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.optimize.passes.fold_constants import fold_constants
from edgeonnx.optimize.passes.lift_constants import lift_constants
from edgeonnx.optimize.passes.shape_constants import shape_constants
from edgeonnx.prune.channels import Mask
from edgeonnx.prune.draft import Draft
from edgeonnx.prune.importance import METHODS
from edgeonnx.prune.layers import linear_layers
from edgeonnx.prune.masks import channel_masks
from edgeonnx.prune.probe import Probe, probe
from edgeonnx.prune.sparsity import parse_sparsity, sparsify
from edgeonnx.prune.surgery import remove
from edgeonnx.prune.unshare import unshare
from edgeonnx.quantize.qdq import quantized_nodes
from edgeonnx.targets import Target
from edgeonnx.verbs.data import Feeds, Preparation
from edgeonnx.verbs.job import Progress
from edgeonnx.verbs.measure import Selection, Yardstick
from edgeonnx.verbs.provider import why_untimed
from edgeonnx.verbs.pruner import Pruner

# Samples to calibrate on at most: least squares wants many.
SAMPLES = 500
# Bytes of calibration samples that are kept in memory at most.
_MEMORY = 512 << 20


@dataclass(frozen=True)
class Wish:
    """How much is to go; one of these.

    Attributes:
        speedup: how many times as fast the model is to be.
        ratio: share of the multiply-accumulates that is to go, 0 to 1.
        sparsity: zeros among the weights; see `parse_sparsity`.
    """

    speedup: float | None = None
    ratio: float | None = None
    sparsity: str | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Setting:
    """How to prune.

    Attributes:
        importance: see `edgeonnx.prune.importance`.
        refit: have the layers left make up for what went.
        target: the device; None: this machine.
        progress: told (stage, steps done, steps in all).
    """

    importance: str
    refit: bool
    target: Target | None
    progress: Progress

    @property
    def timed(self) -> bool:
        """Whether a time taken on this machine says something about the target."""
        return not why_untimed(self.target)


@dataclass(frozen=True)
class Pruned:
    """A pruned model.

    Attributes:
        model: it.
        masks: weight -> which of its elements stay.
        macs: multiply-accumulates on a sample, of the model as given and of this one.
        samples: how many were used.
        speed: given against this one; None where it was not measured.
        speed_note: where speed was measured, or why it was not.
        how: in words.
        rows: of channels: group, channels before, channels left, error.
        stuck: nodes whose channels can't go, and why.
        warnings: what the user should know.
    """

    model: Model
    masks: Mapping[str, Mask]
    macs: tuple[int, int]
    samples: int
    speed: Paired | None
    speed_note: str
    how: str
    rows: tuple[tuple[str, int, int, float], ...] = ()
    stuck: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def checked(wish: Wish, importance: str) -> Wish:
    """A wish that makes sense.

    Raises:
        InputError: it does not, or there is no such importance.
    """
    if sum(value is not None for value in vars(wish).values()) != 1:
        raise InputError(
            "expected a speedup, a ratio or a sparsity, one of them; give --speedup 1.5x, --ratio 0.3 or --sparsity 2:4"
        )
    if wish.speedup is not None and not wish.speedup > 1:
        raise InputError(f"speedup: expected more than 1, got {wish.speedup:g}; 1.5 is half as fast again")
    if wish.ratio is not None and not 0 < wish.ratio < 1:
        raise InputError(f"ratio: expected a share between 0 and 1, got {wish.ratio:g}; 0.3 takes out 30 %")
    if wish.sparsity is not None:
        parse_sparsity(wish.sparsity)
    if importance not in METHODS:
        raise InputError(f"importance: expected one of {', '.join(METHODS)}; got {importance}")
    return wish


def prunable(model: Model) -> Model:
    """The form that is pruned: the user's graph, of opset 13 or newer, without functions, known sizes written down.

    Raises:
        ModelError: the model is quantized.
    """
    if quantized_nodes(model):
        raise ModelError(f"{model.path or 'the model'} is quantized; prune the float model it was made from")
    form, _ = lift_constants(raise_opset(plain(model)))
    rewrites = 1
    while rewrites:
        shaped, known = shape_constants(form)
        form, folded = fold_constants(shaped)
        rewrites = known + folded
    RemoveUnusedNodesPass()(form.ir)  # and the constants that were folded
    return unshare(form)


def prune_by(
    wish: Wish, model: Model, prepare: Preparation, calibration: Selection, yardstick: Yardstick, setting: Setting
) -> Pruned:
    """Prune a model.

    Args:
        wish: how much.
        model: in the form of `prunable`.
        prepare: turns samples into feeds.
        calibration: samples to judge by and to refit on.
        yardstick: times against the model as given.
        setting: how.

    Raises:
        InputError: more is wished for than can go.
        ModelError: nothing can be pruned; says why.
    """
    feeds = _held(prepare, calibration)
    if wish.sparsity is not None:
        return _sparse(wish.sparsity, model, feeds, setting)

    def speed(made: Model) -> Paired:
        return yardstick.speed(made, calibration)

    pruner = Pruner(model, feeds, setting.importance, setting.progress, speed if setting.timed else None)
    plan = pruner.plan(wish.speedup, wish.ratio)
    draft = pruner.study.without(plan.gone, setting.refit, setting.progress)
    made = remove(draft.model, pruner.study.channels, draft.gone)
    foretold = wish.speedup is not None and not setting.timed
    return Pruned(
        model=made,
        masks=channel_masks(pruner.study.channels, pruner.study.model, plan.gone),
        macs=(_macs(model, probe(model, feeds[0])), _macs(made, probe(made, feeds[0]))),
        samples=len(feeds),
        speed=speed(made) if setting.timed else None,
        speed_note=_speed_note(setting),
        how=f"channels by {setting.importance}, {'layers refitted' if setting.refit else 'not refitted'}",
        rows=pruner.rows(plan),
        stuck=tuple((stuck.node, stuck.why) for stuck in pruner.study.channels.stuck),
        warnings=(_FORETOLD,) if foretold else (),
    )


def _sparse(sparsity: str, model: Model, feeds: list[Feeds], setting: Setting) -> Pruned:
    seen = probe(model, feeds[0])
    layers, macs = linear_layers(model.ir.graph, seen.shapes), _macs(model, seen)

    def progress(done: int, total: int) -> None:
        setting.progress("set weights to zero", done, total)

    draft, nodes = sparsify(Draft(model), layers, feeds, parse_sparsity(sparsity), progress)
    if not nodes:
        raise ModelError(f"{model.path or 'the model'} has no layer with enough weights for zeros among them")
    weights = {layer.weight: draft.array(layer.weight) for layer in layers if layer.node in nodes}
    return Pruned(
        model=draft.model,
        masks={name: array != 0 for name, array in weights.items()},
        macs=(macs, macs),
        samples=len(feeds),
        speed=None,
        speed_note="not measured: zeros change nothing for CPUs, whose kernels multiply with them as with any number",
        how=f"zeros {sparsity} in {len(nodes)} layers, by SparseGPT",
    )


def _macs(model: Model, seen: Probe) -> int:
    return sum(count or 0 for count in node_macs(model, seen.shapes))


def _speed_note(setting: Setting) -> str:
    if setting.target is None:
        return "this machine"
    if setting.timed:
        return f"this machine, which has what {setting.target.name} has"
    return f"not measured: {why_untimed(setting.target)}"


_FORETOLD = "speed is foretold from multiply-accumulates: what is timed here says nothing about the target"


def _held(prepare: Preparation, calibration: Selection) -> list[Feeds]:
    """Prepared samples, evenly spread, as many as memory is for."""
    indexes = calibration.indexes
    first = prepare(next(calibration.samples.feeds(indexes[:1])))
    size = max(1, sum(array.nbytes for array in first.values()))
    count = max(1, min(len(indexes), _MEMORY // size))
    chosen = [indexes[number * len(indexes) // count] for number in range(count)]
    return [prepare(sample) for sample in calibration.samples.feeds(chosen)]
