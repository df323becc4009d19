"""The gate: what was tried, what it scored, and which of it may ship."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeonnx.bench.timing import Paired
from edgeonnx.model import Model
from edgeonnx.quantize.placement import Placement
from edgeonnx.verbs.measure import Yardstick


@dataclass(frozen=True)
class Candidate:
    """One way to quantize a model, run and measured.

    Attributes:
        scope: the placement that was tried.
        model: the result.
        placement: which nodes were quantized, and why the others were not.
        score: by the metric; higher is better.
        speed: float against this candidate, paired; None where speed could not be measured or was not needed.
        engine: the tool that made it.
    """

    scope: str
    model: Model
    placement: Placement
    score: float
    speed: Paired | None = None
    engine: str = "native"

    @property
    def slower(self) -> bool:
        """Whether it was measured to be slower than float: the whole 95 % interval lies below 1."""
        return self.speed is not None and self.speed.high < 1


def choose(candidates: Sequence[Candidate], floor: float) -> Candidate:
    """The best candidate: the fastest of those that score `floor` or more, or else the one that scores best.

    Args:
        candidates: at least one, in the recipe's order, which decides where speed was not measured.
        floor: the lowest score within the budget.
    """
    within = [candidate for candidate in candidates if candidate.score >= floor]
    if not within:
        return max(candidates, key=lambda candidate: candidate.score)
    return max(within, key=lambda candidate: candidate.speed.ratio if candidate.speed else 0.0)


def problems(candidate: Candidate, floor: float, yardstick: Yardstick) -> tuple[str, ...]:
    """Why a candidate may not ship; empty if it may."""
    found = []
    if not candidate.score >= floor:  # a floor of NaN lets nothing through
        found.append(
            f"{yardstick.metric}: expected at least {floor:.4f} (float {yardstick.float_score:.4f}), "
            f"got {candidate.score:.4f}; allow more with --max-drop"
        )
    if candidate.slower and candidate.speed is not None:
        found.append(f"speed: expected at least 1.00x of float on this machine, got {candidate.speed.ratio:.2f}x")
    return tuple(found)
