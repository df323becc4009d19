"""Passes on a model, what they made of it, and which of them to leave out where that differs or is slower."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from edgeonnx.bench.timing import Paired, slower
from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.plan import Change, Plan, run
from edgeonnx.targets import Target
from edgeonnx.verbs.measure import time_fairly
from edgeonnx.verbs.provider import why_untimed
from edgeonnx.verbs.rounding import rounding
from edgeonnx.verbs.same import Difference, Feeds, difference

# Of what the last bit of the given model's weights does to it, which is allowed too; and the most that is.
_OWN, _MOST = 4, 5e-2


@dataclass(frozen=True)
class Made:
    """What passes made of a model.

    Attributes:
        model: it.
        changes: what each pass did.
        difference: of its outputs from the given model's; infinite where onnxruntime does not run it.
        speed: the given model against it, on the first sample, one thread; None if it was not measured.
        speed_note: where speed was measured, or why it was not.
    """

    model: Model
    changes: tuple[Change, ...]
    difference: Difference
    speed: Paired | None
    speed_note: str


@dataclass(frozen=True)
class Attempt:
    """Passes on a model, and what it is held against.

    Attributes:
        source: the model.
        plan, skip: the passes, and names of those to leave out.
        target: where it is to run; None for anywhere.
        samples: what both are run on.
        tolerance: how near outputs are to stay, as a share of their largest magnitude.
    """

    source: Model
    plan: Plan
    skip: frozenset[str]
    target: Target | None
    samples: list[Feeds]
    tolerance: float

    def model(self) -> Model:
        """The model after the passes."""
        return run(self.source, self.plan, self.skip)[0]

    def made(self) -> Made:
        """The same, held against the one given."""
        model, changes = run(self.source, self.plan, self.skip)
        far = self._far(model)
        if not math.isfinite(far.relative):
            return Made(model, changes, far, None, "not measured: its outputs are others")
        return Made(model, changes, far, *self._speed(model))

    def differs(self, made: Made) -> bool:
        """Whether outputs are further from the given model's than they may."""
        return made.difference.relative > self.tolerance

    def same(self, model: Model) -> bool:
        """Whether outputs of what was made stay."""
        return self._far(model).relative <= self.tolerance

    def same_and_quick(self, model: Model) -> bool:
        """Whether, besides, it is no slower, where that can be measured."""
        return self.same(model) and not slower(self._speed(model)[0])

    def _far(self, model: Model) -> Difference:
        try:
            return difference(self.source, model, self.samples)
        except ModelError:
            difference(self.source, self.source, self.samples)  # the samples may be what does not fit
            return Difference(self.source.outputs[0].name, float("inf"), len(self.samples))

    def _speed(self, made: Model) -> tuple[Paired | None, str]:
        if made is self.source:
            return None, "not measured: nothing changed"
        if why := why_untimed(self.target):
            return None, f"not measured: {why}"
        # One thread's time, so that it is not what else the machine does for which a pass is left out.
        return time_fairly(self.source, made, dict(self.samples[0]), time.process_time), "this machine"

    def allowing_for_rounding(self) -> "Attempt":
        """The same, allowing for what rounding alone does to the given model's outputs."""
        own = min(_OWN * rounding(self.source, self.samples), _MOST)
        return replace(self, tolerance=max(self.tolerance, own))

    def without(self, names: frozenset[str]) -> "Attempt":
        """The same with some passes left out."""
        return replace(self, skip=self.skip | names)

    def to_leave_out(self, holds: Callable[[Model], bool]) -> frozenset[str]:
        """Passes without which a model is made that holds: beginning with none, each is taken that it holds with.

        Those that a wish asks for stay. None are named where it does not hold even without all others.
        """
        out = frozenset(self.plan.optional) - self.skip
        if not holds(self.without(out).model()):
            return frozenset()
        for name in self.plan.optional:
            if name in out and holds(self.without(out - {name}).model()):
                out -= {name}
        return out
