"""Pruning before quantizing, in one accuracy budget: what pruning spends of it, INT8 has not."""

from dataclasses import replace

from edgeonnx.errors import BudgetError, InputError
from edgeonnx.prune.importance import METHODS
from edgeonnx.verbs.job import Job, normal_form
from edgeonnx.verbs.measure import Selection, Yardstick
from edgeonnx.verbs.pruning import SAMPLES, Setting, Wish, checked, prunable, prune_by


def samples_for(recipe: int, speedup: float | None) -> int:
    """How many samples to set aside: pruning wants more than calibration does."""
    return recipe if speedup is None else max(recipe, SAMPLES)


def fewer(selection: Selection, count: int) -> Selection:
    """At most so many of a selection, evenly spread."""
    indexes = selection.indexes
    if len(indexes) <= count:
        return selection
    return Selection(selection.samples, tuple(indexes[number * len(indexes) // count] for number in range(count)))


def pruned_job(job: Job, speedup: float, calibration: Selection, yardstick: Yardstick, floor: float) -> Job:
    """The job of quantizing the model without some of its channels.

    Args:
        job: of the model as given.
        speedup: how many times as fast the float model is to become by pruning.
        calibration: samples to judge by and to refit on.
        yardstick: scores and times against the model as given.
        floor: the lowest score within the budget.

    Raises:
        BudgetError: the pruned model misses the budget before it is quantized.
        InputError: so much can't go; or the target takes a provider that pruning can't be timed on.
    """
    setting = Setting(METHODS[0], True, job.target, job.progress)
    wish = checked(Wish(speedup=speedup), setting.importance)
    if job.runner is not None:
        raise InputError(f"--prune measures on the CPU provider, and {job.runner.where} is another; use prune --ratio")
    pruned = prune_by(wish, prunable(job.model), job.prepare, calibration, yardstick, setting)
    score = yardstick.score(pruned.model, saturates=False)
    if not score >= floor:
        raise BudgetError(
            f"{yardstick.metric} of the pruned model, before INT8: expected at least {floor:.4f} "
            f"(before {yardstick.float_score:.4f}), got {score:.4f}; prune less, or allow more with --max-drop"
        )
    record = {"pruned": {"wish": str(wish), "how": pruned.how, "score": score, "macs": list(pruned.macs)}}
    made = pruned.model.with_record(record)
    return replace(job, normal=normal_form(made, job.dialect), pruned=made)
