"""Settles what goes: what a node costs here, how much of each group goes, and which plan is fastest when it is run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgeonnx.anatomy import node_macs
from edgeonnx.bench.profile import profile, work_times
from edgeonnx.bench.timing import Paired
from edgeonnx.errors import InputError
from edgeonnx.model import Model
from edgeonnx.prune.allocate import Level, allocate, on_grid
from edgeonnx.prune.cost import Cost
from edgeonnx.prune.study import study
from edgeonnx.prune.surgery import remove
from edgeonnx.verbs.data import Feeds
from edgeonnx.verbs.job import Progress

# Kernels of CPUs work in blocks of so many channels; which, the time tells.
_ALIGNS = (8, 16)
# How often the share that is to go is corrected by what was measured, and how far beyond the wish is near enough.
_ATTEMPTS, _NEAR = 6, 1.02


@dataclass(frozen=True)
class Plan:
    """Channels to take out.

    Attributes:
        gone: which.
        error: sum of what each group's going costs by itself, as shares of the outputs' variance.
    """

    gone: tuple[int, ...]
    error: float


class Pruner:
    """Knows what a model's channels cost and are worth.

    Args:
        model: plain; see `prunable`.
        feeds: calibration samples.
        importance: see `edgeonnx.prune.importance`.
        progress: told (stage, steps done, steps in all).
        speed: times a model against the one as given; None: this machine says nothing about the target.

    Attributes:
        study: the model, looked at.
    """

    def __init__(
        self,
        model: Model,
        feeds: Sequence[Feeds],
        importance: str,
        progress: Progress,
        speed: Callable[[Model], Paired] | None,
    ) -> None:
        self._progress, self._speed = progress, speed
        self.study = study(model, feeds, progress)
        self._levels = self.study.levels(importance, _ALIGNS, progress)
        sizes = {group.name: len(group.channels) for group in self.study.channels.groups}
        self._grids = [on_grid(self._levels, sizes, align) for align in _ALIGNS]

    def plan(self, speedup: float | None, ratio: float | None) -> Plan:
        """As much as is wished for.

        Args:
            speedup: how many times as fast it is to be; or
            ratio: the share of multiply-accumulates that is to go.

        Raises:
            InputError: so much can't go.
        """
        if ratio is not None:
            return self._by_work(ratio)
        assert speedup is not None
        return self._by_speed(speedup)

    def most(self) -> tuple[int, ...]:
        """Channels of a plan that leaves the last few of every group."""
        return tuple(channel for levels in self._levels.values() if levels for channel in levels[-1].gone)

    def rows(self, plan: Plan) -> tuple[tuple[str, int, int, float], ...]:
        """Of each group: name, channels before, channels left, error of its going by itself."""
        found, gone = [], set(plan.gone)
        for group in self.study.channels.groups:
            count = len(gone.intersection(group.channels))
            error = next((level.error for level in self._levels[group.name] if len(level.gone) == count), 0.0)
            found.append((group.name, len(group.channels), len(group.channels) - count, error))
        return tuple(found)

    def _by_work(self, ratio: float) -> Plan:
        """The fastest of the plans that leave so much work, where speed can be measured."""
        cost = self.work()
        found = [self._on_grid(levels, cost, 1 - ratio) for levels in self._grids]
        plans = [plan for plan in found if plan is not None]
        if not plans:
            raise self._too_much(cost, 1 - ratio, f"ratio {ratio:g}")
        speed = self._speed
        return plans[0] if speed is None else max(plans, key=lambda plan: speed(self._shape(plan.gone)).ratio)

    def _by_speed(self, speedup: float) -> Plan:
        """The plan that costs the least accuracy of those that were measured to be so fast; else the fastest."""
        work = self.work()
        pairs = [(levels, work) for levels in self._grids]
        if self._speed:
            pairs += zip(self._grids, self._times(), strict=True)
        tried = [one for levels, cost in pairs for one in self._timed(levels, cost, speedup)]
        if not tried:
            raise self._too_much(work, 1 / speedup, f"speedup {speedup:g}x")
        fast = [plan for speed, plan in tried if speed >= speedup]
        return min(fast, key=lambda plan: plan.error) if fast else max(tried, key=lambda pair: pair[0])[1]

    def _timed(self, levels: Mapping[str, Sequence[Level]], cost: Cost, speedup: float) -> list[tuple[float, Plan]]:
        """Plans with their speeds, each nearer to the wish than the one before: cost foretells, the clock corrects."""
        tried: list[tuple[float, Plan]] = []
        left, wanted = 1 / speedup, 1 / speedup
        slow, fast = (1.0, 1.0), (0.0, 0.0)  # cost that is left, time: of what is too slow, of what is fast enough
        for _ in range(_ATTEMPTS):
            plan = self._on_grid(levels, cost, left)
            if plan is None or plan in (one for _, one in tried):
                break
            # The lower end of the interval: of several tries the best is too good by chance.
            speed = self._speed(self._shape(plan.gone)).low if self._speed else speedup
            tried.append((speed, plan))
            if speedup <= speed <= speedup * _NEAR:
                break
            slow, fast = (slow, (left, 1 / speed)) if speed >= speedup else ((left, 1 / speed), fast)
            left = _between(slow, fast, wanted)
        return tried

    def _on_grid(self, levels: Mapping[str, Sequence[Level]], cost: Cost, left: float) -> Plan | None:
        """A plan that leaves a share of the cost; None where so much can't go."""
        whole = cost.total(cost.removed(()))
        taken = allocate(levels, cost, left * whole)
        chosen = [levels[name][level - 1] for name, level in taken.items() if level]
        gone = tuple(channel for level in chosen for channel in level.gone)
        reached = cost.total(cost.removed(gone)) <= left * whole * (1 + 1e-9)
        return Plan(gone, sum(level.error for level in chosen)) if reached else None

    def _too_much(self, cost: Cost, left: float, wish: str) -> InputError:
        least = cost.total(cost.removed(self.most())) / cost.total(cost.removed(()))
        return InputError(
            f"{wish}: expected to keep {left:.2f} of the model's cost, but {least:.2f} is left when every group of "
            "channels is down to its last few: more would empty a layer; ask for less"
        )

    def _shape(self, gone: Sequence[int]) -> Model:
        """The model without channels, as far as time is concerned."""
        return remove(self.study.model, self.study.channels, gone)

    def work(self) -> Cost:
        """Multiply-accumulates, as a function of what is gone."""
        return Cost(self.study.model.ir.graph, self.study.channels, self._macs())

    def _macs(self) -> dict[str, float]:
        graph = self.study.model.ir.graph
        counts = node_macs(self.study.model, self.study.channels.shapes)
        return {node.name or "": float(count or 0) for node, count in zip(graph, counts, strict=True)}

    def _times(self) -> list[Cost]:
        """Times of the nodes, measured with all channels and with half of each group; one for each size of blocks."""
        self._progress("time nodes", 0, 2)
        half = [channel for group in self.study.channels.groups for channel in group.channels[1::2]]
        feeds, macs = self.study.feeds[0], self._macs()
        whole = work_times(self.study.model, profile(self.study.model, feeds), macs)
        self._progress("time nodes", 1, 2)
        smaller = self._shape(half)
        part = work_times(smaller, profile(smaller, feeds), macs)
        graph, channels = self.study.model.ir.graph, self.study.channels
        return [Cost(graph, channels, whole, part, half, align) for align in _ALIGNS]


def _between(slow: tuple[float, float], fast: tuple[float, float], wanted: float) -> float:
    """Where the line through two pairs of cost and time comes to a time; at least a tenth away from either."""
    share = (slow[1] - wanted) / max(slow[1] - fast[1], 1e-9)
    return slow[0] + (fast[0] - slow[0]) * min(max(share, 0.1), 0.9)
