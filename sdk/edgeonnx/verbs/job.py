"""What is settled before a model is quantized: the normal form, the recipe, the target, how samples are prepared."""

from collections.abc import Callable
from dataclasses import dataclass

from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.pipeline.graph import scores_name
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.quantize.algorithms.gemm import plain_gemms
from edgeonnx.quantize.placement import Dialect, load_dialect, place
from edgeonnx.quantize.qdq import quantized_nodes
from edgeonnx.quantize.recipe import Recipe
from edgeonnx.ranges import Ranges
from edgeonnx.targets import Target, load_target, runs_here
from edgeonnx.verbs.data import Preparation
from edgeonnx.verbs.inspect import target_refusals

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """A model to quantize, and how.

    Attributes:
        model: as it was given.
        normal: the same function in normal form.
        recipe: how to quantize.
        dialect: of the provider that will run it.
        target: the device; None: this machine.
        pipeline: preprocessing, if it was declared.
        prepare: turns samples into the model's feeds.
        progress: told (stage, steps done, steps in all).
    """

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

    @property
    def saturates(self) -> bool:
        """Whether the target's sums of 8-bit products saturate."""
        return self.target is not None and self.target.arithmetic.u8s8 == "saturating"


def prepare(
    model: Model,
    target: str | None,
    recipe: Recipe,
    pipeline: PipelineSpec | None,
    skip_bad: bool,
    progress: Progress,
) -> Job:
    """Check all that can be checked before work begins.

    Raises:
        ModelError: the model is quantized already, or has nothing to quantize.
        TargetError: no such target, or it refuses the model.
        PipelineError: the pipeline does not fit the model.
    """
    profile = load_target(target) if target else None
    if quantized_nodes(model):
        raise ModelError(f"{model.path or 'the model'} is quantized already; give the float model it was made from")
    progress("normalize", 0, 1)
    normal, _ = plain_gemms(normalize(model))
    refused = target_refusals(normal, profile, size=0) if profile else []
    if profile and refused:
        raise TargetError(f"{profile.name} refuses the model: {refused[0]}")
    preparation = Preparation(model, pipeline, skip_bad)
    job = Job(model, normal, recipe, load_dialect("cpu"), profile, pipeline, preparation, progress)
    check_arithmetic(job, Ranges({}, 0))
    return job


def check_arithmetic(job: Job, ranges: Ranges) -> None:
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
