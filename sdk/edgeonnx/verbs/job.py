"""What is settled before a model is quantized: the normal form, the recipe, the target, how samples are prepared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgeonnx import data
from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.optimize.compose import compose
from edgeonnx.optimize.normalize import normalize
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.providers import Runner
from edgeonnx.quantize.algorithms.gemm import plain_gemms
from edgeonnx.quantize.placement import Dialect, load_dialect, place
from edgeonnx.quantize.qdq import quantized_nodes
from edgeonnx.quantize.recipe import Recipe
from edgeonnx.quantize.terms import agreed
from edgeonnx.ranges import Ranges
from edgeonnx.targets import Target, load_target, runs_here
from edgeonnx.verbs.data import Preparation
from edgeonnx.verbs.inspect import target_refusals
from edgeonnx.verbs.provider import CPU, runner_for

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """A model to quantize, and how.

    Attributes:
        model: as it was given; what results are compared with.
        normal: what is quantized, in normal form: the same function, or the pruned one.
        recipe: how to quantize.
        dialect: of the provider that will run it.
        target: the device; None: this machine.
        pipeline: preprocessing, if it was declared.
        prepare: turns samples into the model's feeds.
        progress: told (stage, steps done, steps in all).
        runner: runs models on the target's provider; None: it is the CPU provider, or is not to be had here.
        changes: what of the recipe the provider does not take, one line each.
        unrun: why the target's provider is not to be had here; empty if it is.
        pruned: the model without the channels that were taken out before; None: nothing was.
    """

    model: Model
    normal: Model
    recipe: Recipe
    dialect: Dialect
    target: Target | None
    pipeline: PipelineSpec | None
    prepare: Preparation
    progress: Progress
    runner: Runner | None = None
    changes: tuple[str, ...] = field(default=())
    unrun: str = ""
    pruned: Model | None = None

    @property
    def source(self) -> Model:
        """What is quantized, in the user's form."""
        return self.pruned or self.model

    @property
    def scores(self) -> str | None:
        """Name of the classifier's output, where the pipeline tells."""
        output = self.pipeline.output if self.pipeline else None
        return output.consumes(self.model.outputs)[0] if output and output.type == "classification" else None

    @property
    def timed(self) -> bool:
        """Whether a time taken on this machine says something about the target."""
        if self.target is None or self.target.providers[0].name == CPU:
            return self.target is None or runs_here(self.target)
        return self.runner is not None

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
    provider_python: Path | None = None,
) -> Job:
    """Check all that can be checked before work begins.

    Args:
        model: as it was given.
        target: name or path of a profile; None: this machine.
        recipe: what the user wants; the provider's dialect has the last word on types.
        pipeline: preprocessing, if it was declared.
        skip_bad: pass over samples that can't be used.
        progress: told (stage, steps done, steps in all).
        provider_python: an interpreter that has the target's provider; None: look for one.

    Raises:
        ModelError: the model is quantized already, or has nothing to quantize.
        TargetError: no such target, or it refuses the model.
        PipelineError: the pipeline does not fit the model.
    """
    profile = load_target(target) if target else None
    if quantized_nodes(model):
        raise ModelError(f"{model.path or 'the model'} is quantized already; give the float model it was made from")
    progress("normalize", 0, 1)
    dialect = _dialect(profile)
    if dialect.refusal and recipe.scheme == "static":
        raise TargetError(f"{target} can't run static INT8: {dialect.refusal}")
    normal = normal_form(model, dialect)
    refused = target_refusals(normal, profile, size=0, whole=False) if profile else []
    if profile and refused:
        raise TargetError(f"{profile.name} refuses the model: {refused[0]}")
    preparation = Preparation(model, pipeline, skip_bad)
    runner, unrun = runner_for(profile, provider_python)
    recipe, changes = agreed(recipe, dialect, profile.providers[0].name if profile else CPU)
    job = Job(model, normal, recipe, dialect, profile, pipeline, preparation, progress, runner, changes, unrun)
    if dialect.compute:
        check_arithmetic(job, Ranges({}, 0))
    return job


def normal_form(model: Model, dialect: Dialect) -> Model:
    """The form that quantization works on, for a provider.

    Raises:
        ModelError: the model can't be brought to it.
    """
    normal, _ = plain_gemms(compose(normalize(model), dialect.whole))
    return normal


def _dialect(profile: Target | None) -> Dialect:
    """The dialect of a target's provider.

    Raises:
        TargetError: a user's own profile names one that there is not.
    """
    if profile is None:
        return load_dialect("cpu")
    try:
        return load_dialect(profile.dialect)
    except FileNotFoundError as error:
        known = data.near(profile.dialect, data.names("targets/dialects"))
        raise TargetError(f"{profile.name}: dialect: no dialect {profile.dialect}. {known}") from error


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
