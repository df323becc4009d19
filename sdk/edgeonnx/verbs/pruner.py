"""Prunes one model: what a node costs here, how much of each group goes, and the model without it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeonnx.anatomy import node_macs
from edgeonnx.bench.profile import node_times, profile
from edgeonnx.bench.timing import Paired
from edgeonnx.errors import InputError, ModelError
from edgeonnx.model import Model
from edgeonnx.prune.allocate import allocate, on_grid
from edgeonnx.prune.cost import Cost
from edgeonnx.prune.draft import Draft
from edgeonnx.prune.study import Study, study
from edgeonnx.prune.surgery import remove
from edgeonnx.targets import Target, runs_here
from edgeonnx.verbs.data import Feeds, Preparation
from edgeonnx.verbs.job import Progress
from edgeonnx.verbs.measure import Selection, Yardstick

# Bytes of calibration samples that are kept in memory at most.
_MEMORY = 512 << 20
# Kernels of CPUs work in blocks of so many channels; which, the time tells.
_ALIGNS = (8, 16)
# How often the share that is to go is corrected by what was measured.
_ATTEMPTS = 4


@dataclass(frozen=True)
class Pruned:
    """A model without some channels.

    Attributes:
        model: it.
        gone: the channels.
        speed: given against this one; None where it was not measured.
        rows: group, channels before, channels left, error.
        warnings: what the user should know.
    """

    model: Model
    gone: tuple[int, ...]
    speed: Paired | None
    rows: tuple[tuple[str, int, int, float], ...]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """Channels to take out, and the sum of what each group's going costs by itself."""

    gone: tuple[int, ...]
    error: float


class Pruner:
    """Where a model is pruned.

    Args:
        model: plain; see `prunable`.
        prepare: turns samples into feeds.
        calibration: the samples.
        target: the device; None: this machine.
        importance: see `edgeonnx.prune.importance`.
        refits: whether layers are refitted.
        progress: told (stage, steps done, steps in all).

    Attributes:
        study: the model, looked at.
    """

    def __init__(
        self,
        model: Model,
        prepare: Preparation,
        calibration: Selection,
        target: Target | None,
        importance: str,
        refits: bool,
        progress: Progress,
    ) -> None:
        self.importance, self.refits = importance, refits
        self._calibration, self._progress = calibration, progress
        self._timed = target is None or runs_here(target)
        self.study: Study = study(model, _held(prepare, calibration), progress)
        self.levels = self.study.levels(importance, _ALIGNS, progress)
        sizes = {group.name: len(group.channels) for group in self.study.channels.groups}
        self._grids = [on_grid(self.levels, sizes, align) for align in _ALIGNS]

    def prune(self, speedup: float | None, ratio: float | None, yardstick: Yardstick) -> Pruned:
        """Take out as much as is wished for.

        Args:
            speedup: how many times as fast it is to be; or
            ratio: the share of multiply-accumulates that is to go.
            yardstick: times against the model as given.

        Raises:
            InputError: so much can't go.
        """
        if ratio is not None:
            plan = self._by_work(ratio, yardstick)
        else:
            assert speedup is not None
            plan = self._by_speed(speedup, yardstick)
        draft = self.study.without(plan.gone, self.refits, self._progress)
        model = remove(draft.model, self.study.channels, draft.gone)
        speed = yardstick.speed(model, self._calibration) if self._timed else None
        warnings = [] if self._timed or ratio is not None else [_FORETOLD]
        return Pruned(model, plan.gone, speed, self._rows(plan.gone), warnings)

    def _by_work(self, ratio: float, yardstick: Yardstick) -> "_Plan":
        """The fastest of the plans that leave so much work, where speed can be measured."""
        cost = self._macs()
        plans = self._plans(cost, 1 - ratio, f"ratio {ratio:g}")
        if not self._timed:
            return plans[0]
        return max(plans, key=lambda plan: yardstick.speed(self._shape(plan.gone), self._calibration).ratio)

    def _by_speed(self, speedup: float, yardstick: Yardstick) -> "_Plan":
        """The plan that costs the least accuracy of those that were measured to be so fast."""
        cost = self._times() if self._timed else self._macs()
        fast: list[_Plan] = []
        for number in range(len(self._grids)):
            left = 1 / speedup
            for _ in range(_ATTEMPTS):
                plan = self._plans(cost, left, f"speedup {speedup:g}x", number)[0]
                speed = yardstick.speed(self._shape(plan.gone), self._calibration).ratio if self._timed else speedup
                if speed >= speedup:
                    fast.append(plan)
                    break
                left *= min(0.97, speed / speedup)
        return min(fast or [plan], key=lambda plan: plan.error)

    def _plans(self, cost: Cost, left: float, wish: str, grid: int | None = None) -> "list[_Plan]":
        """A plan on each grid, or on one, for a share of the cost to be left.

        Raises:
            InputError: not so much can go.
        """
        whole, found, least = cost.total(cost.removed(())), [], 1.0
        for levels in self._grids if grid is None else [self._grids[grid]]:
            taken = allocate(levels, cost, left * whole)
            chosen = [levels[name][level - 1] for name, level in taken.items() if level]
            gone = tuple(channel for level in chosen for channel in level.gone)
            share = cost.total(cost.removed(gone)) / whole
            least = min(least, share)
            if share <= left * (1 + 1e-9):
                found.append(_Plan(gone, sum(level.error for level in chosen)))
        if not found:
            raise InputError(
                f"{wish}: expected to keep {left:.2f} of the model's cost, but {least:.2f} is left when every group of "
                "channels is down to its last few: more would empty a layer; ask for less"
            )
        return found

    def _shape(self, gone: Sequence[int]) -> Model:
        """The model without channels, as far as time is concerned."""
        draft = Draft(self.study.model, frozenset(gone))
        return remove(draft.model, self.study.channels, draft.gone)

    def _macs(self) -> Cost:
        graph = self.study.model.ir.graph
        macs = {
            node.name or "": float(count or 0) for node, count in zip(graph, node_macs(self.study.model), strict=True)
        }
        if not any(macs.values()):
            raise ModelError("multiply-accumulates can't be counted: a shape can't be inferred; give --speedup")
        return Cost(graph, self.study.channels, macs)

    def _times(self) -> Cost:
        """Times of the nodes, measured with all channels and with half of each group."""
        self._progress("time nodes", 0, 2)
        half = [channel for group in self.study.channels.groups for channel in group.channels[1::2]]
        feeds = self.study.feeds[0]
        whole, _ = node_times(self.study.model, profile(self.study.model, feeds))
        self._progress("time nodes", 1, 2)
        smaller = self._shape(half)
        part, _ = node_times(smaller, profile(smaller, feeds))
        return Cost(self.study.model.ir.graph, self.study.channels, whole, part, half)

    def _rows(self, gone: Sequence[int]) -> tuple[tuple[str, int, int, float], ...]:
        found, left = [], set(gone)
        for group in self.study.channels.groups:
            count = len(left.intersection(group.channels))
            error = next((x.error for x in self.levels[group.name] if len(x.gone) == count), 0.0)
            found.append((group.name, len(group.channels), len(group.channels) - count, error))
        return tuple(found)


_FORETOLD = "speed is foretold from multiply-accumulates: this machine is not of the target's kind"


def _held(prepare: Preparation, calibration: Selection) -> list[Feeds]:
    """Prepared samples, evenly spread, as many as memory is for."""
    indexes = calibration.indexes
    first = prepare(next(calibration.samples.feeds(indexes[:1])))
    size = max(1, sum(array.nbytes for array in first.values()))
    count = max(1, min(len(indexes), _MEMORY // size))
    chosen = [indexes[number * len(indexes) // count] for number in range(count)]
    return [prepare(sample) for sample in calibration.samples.feeds(chosen)]
