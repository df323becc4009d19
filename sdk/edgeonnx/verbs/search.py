"""The search: as much in integers as the accuracy budget allows, and of that what is fastest.

1. Everything that has an integer kernel. If that is within budget, accuracy is settled.
2. If not, the recipe's narrower scopes; and if none is, layers of the best of them return to float, the most disturbing
   first: as few as bring the score back, found by bisection.
3. Where time can be measured, placements by measured times, with what accuracy keeps in float left there.

Every candidate is run and scored; those within budget are timed.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from time import monotonic

from edgeonnx.model import Model
from edgeonnx.quantize.placement import Placement
from edgeonnx.ranges import Ranges
from edgeonnx.runtime._manifest import Baseline
from edgeonnx.verbs.gate import Candidate, choose
from edgeonnx.verbs.journal import Journal
from edgeonnx.verbs.layers import LayerRow, layer_table
from edgeonnx.verbs.measure import Yardstick
from edgeonnx.verbs.place import Placer
from edgeonnx.verbs.workshop import Workshop

_ROUNDS = 3


class Search:
    """Candidates of one job, in the order they were tried.

    Args:
        workshop: makes quantized models.
        yardstick: scores and times them.
        floor: the lowest score within the budget.
        journal: scores that are known from an earlier run.
        executor: runs what can be run side by side; timing never is.

    Attributes:
        candidates: all that was tried.
        placer: knows what nodes cost; None where nothing was timed.
    """

    def __init__(
        self,
        workshop: Workshop,
        yardstick: Yardstick,
        floor: float,
        journal: Journal | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.candidates: list[Candidate] = []
        self.placer: Placer | None = None
        self._workshop, self._yardstick, self._floor = workshop, yardstick, floor
        self._journal = journal or Journal(None)
        self._executor = executor or ThreadPoolExecutor(1)
        self._until = monotonic() + workshop.job.recipe.search.seconds

    def run(self) -> list[Candidate]:
        """Search until nothing is left to try or time is up."""
        job, shop = self._workshop.job, self._workshop
        for scope in job.recipe.scopes:
            if not self.candidates or (not self._spent() and (job.timed or not self._any_within())):
                self._score(scope, shop.scope(scope))
        if not self._any_within():
            best = max(self.candidates, key=lambda candidate: candidate.score)
            self._return_to_float(best.placement)
        if job.timed and self._any_within():
            self._time()
            if job.runner is None:
                self._place_by_time()
            else:
                self._place_by_trial()
        return self.candidates

    def _any_within(self) -> bool:
        return any(candidate.score >= self._floor for candidate in self.candidates)

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the algorithms that were found to help."""
        return tuple(self._workshop.steps)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What seems wrong with the samples."""
        return tuple(warning.message for warning in self._workshop.health.warnings())

    @property
    def baselines(self) -> dict[str, Baseline]:
        """What the samples look like at each input."""
        return self._workshop.health.baselines.found()

    @property
    def ranges(self) -> Ranges:
        """Ranges of the activations."""
        return self._workshop.ranges

    def saturates(self, quantized: Model) -> bool:
        """Whether any sum of a quantized model's saturates on samples, on CPUs where sums can."""
        return self._workshop.saturates(quantized)

    def layers(self, chosen: Candidate) -> tuple[LayerRow, ...]:
        """What became of each node, and why."""
        return layer_table(self._workshop, chosen, self.placer)

    def _score(self, scope: str, placement: Placement) -> Candidate:
        """Make, score, remember."""
        candidate = self._tried(scope, placement)
        self.candidates.append(candidate)
        self._workshop.job.progress("search", len(self.candidates), self._workshop.job.recipe.search.evaluations)
        return candidate

    def _tried(self, scope: str, placement: Placement) -> Candidate:
        made = self._workshop.make(placement)
        score = self._journal.score(placement)
        if score is None:
            score = self._yardstick.score(made)
            self._journal.write(placement, score)
        return Candidate(scope, made, placement, score)

    def _return_to_float(self, base: Placement) -> None:
        """Find the fewest of the most disturbing layers whose return to float brings the score back.

        What carries integers between layers stays as it is in `base`. The score is taken to rise with the number of
        layers returned. Each round evaluates as many numbers, evenly spread, as the executor has workers.
        """
        shop = self._workshop
        order = shop.sensitivity.worst_first()
        low, high = 0, len(order)  # `low` layers are too few; `high` are enough, or are all there are
        while high - low > 1 and not self._spent():
            numbers = _between(low, high, _workers(self._executor))
            placements = [without(base, order[:number], shop) for number in numbers]
            names = [f"{number} layers in float" for number in numbers]
            tried = list(self._executor.map(self._tried, names, placements))
            self.candidates += tried
            for number, candidate in zip(numbers, tried, strict=True):
                if candidate.score >= self._floor and number < high:
                    high = number
                elif not candidate.score >= self._floor and number < high:
                    low = max(low, number)
            shop.job.progress("search", len(self.candidates), shop.job.recipe.search.evaluations)

    def _time(self) -> None:
        """Time what is within budget and was not timed yet."""
        shop = self._workshop
        for index, candidate in enumerate(self.candidates):
            if candidate.score >= self._floor and candidate.speed is None:
                speed = self._yardstick.speed(candidate.model, shop.calibration)
                self.candidates[index] = replace(candidate, speed=speed)

    def _place_by_time(self) -> None:
        """Propose by measured times, try, learn from it, and propose again while that finds something new.

        Proposals stay within the widest placement that keeps the budget.
        """
        shop = self._workshop
        within = [candidate for candidate in self.candidates if candidate.score >= self._floor]
        widest = max(within, key=lambda candidate: len(candidate.placement.quantized))
        self.placer = placer = Placer(shop.basis, shop.job.dialect, shop.probes[0], widest.placement)
        placer.learn(widest.model, widest.placement)
        seen = {frozenset(candidate.placement.quantized) for candidate in self.candidates}
        for number in range(_ROUNDS):
            placement = placer.propose()
            if not placement.quantized or frozenset(placement.quantized) in seen or self._spent():
                return
            seen.add(frozenset(placement.quantized))
            candidate = self._score(f"by time {number + 1}", placement)
            self._time()
            placer.learn(candidate.model, placement)

    def _place_by_trial(self) -> None:
        """Return one kind of operator after another to float, and keep what is faster as a whole.

        For providers that compile the graph: they have no times of nodes.
        """
        fastest = self._fastest()
        placed = frozenset(fastest.placement.quantized)
        kinds = {node.op_type for node in self._workshop.basis.ir.graph if node.name in placed}
        for kind in sorted(kinds - self._workshop.job.dialect.fused):
            placement = self._without_kind(fastest.placement, kind)
            if self._spent() or not placement.quantized:
                continue
            self._score(f"{kind} in float", placement)
            self._time()
            fastest = self._fastest()

    def _fastest(self) -> Candidate:
        return choose(self.candidates, self._floor)

    def _without_kind(self, placement: Placement, kind: str) -> Placement:
        dialect = self._workshop.job.dialect
        returned: dict[str, str] = {}
        for node in self._workshop.basis.ir.graph:
            producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
            if node.op_type == kind:
                returned[node.name or ""] = f"{kind} may be faster in float: tried as a whole"
            elif node.op_type in dialect.fused and producer is not None and producer.name in returned:
                returned[node.name or ""] = f"follows {producer.name}"
        quantized = tuple(name for name in placement.quantized if name not in returned)
        reasons = {name: reason for name, reason in returned.items() if name in placement.quantized}
        return Placement(quantized, {**placement.kept, **reasons})

    def _spent(self) -> bool:
        limits = self._workshop.job.recipe.search
        return monotonic() > self._until or len(self.candidates) >= limits.evaluations


def without(placement: Placement, names: tuple[str, ...], shop: Workshop) -> Placement:
    """A placement with some layers, and what vanishes into them, back in float."""
    reasons = {name: f"{shop.sensitivity.sqnr[name]:.1f} dB: disturbs the result" for name in names}
    for node in shop.basis.ir.graph:
        if node.op_type in shop.job.dialect.fused and node.inputs and node.inputs[0] is not None:
            producer = node.inputs[0].producer()
            if producer is not None and producer.name in reasons:
                reasons[node.name or ""] = f"follows {producer.name}"
    quantized = tuple(name for name in placement.quantized if name not in reasons)
    returned = {name: reason for name, reason in reasons.items() if name in placement.quantized}
    return Placement(quantized, {**placement.kept, **returned})


def _between(low: int, high: int, count: int) -> list[int]:
    """Up to `count` numbers strictly between, evenly spread."""
    count = min(count, high - low - 1)
    return [low + (high - low) * (index + 1) // (count + 1) for index in range(count)]


def _workers(executor: Executor) -> int:
    return int(getattr(executor, "_max_workers", 1))
