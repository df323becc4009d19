"""Calibration as a verb meets it: the activations of a float model, over the job's samples."""

from collections.abc import Iterator
from itertools import islice

from edgeonnx.calibration.cache import open_entry
from edgeonnx.calibration.health import DataHealth
from edgeonnx.calibration.methods import make_observer
from edgeonnx.calibration.needed import needed_tensors
from edgeonnx.calibration.stream import calibrate as stream
from edgeonnx.model import Model
from edgeonnx.quantize.placement import place
from edgeonnx.ranges import Ranges
from edgeonnx.verbs.data import Feeds
from edgeonnx.verbs.job import Job
from edgeonnx.verbs.measure import Selection


def calibrate(job: Job, model: Model, calibration: Selection, health: DataHealth | None = None) -> Ranges:
    """Ranges of the activations that any scope quantizes, and of the inputs, by the recipe's method.

    Args:
        job: what is to be quantized.
        model: its float form.
        calibration: the samples.
        health: shown the prepared samples.
    """
    samples, indexes = calibration.samples, calibration.indexes
    widest = place(model, job.dialect, "all", Ranges({}, 0))
    inputs = [tensor.name for tensor in model.inputs if tensor.dtype == "float32"]
    tensors = tuple(dict.fromkeys([*inputs, *needed_tensors(model, widest.quantized)]))
    settings = job.recipe.calibration
    observer = make_observer(
        settings.method,
        symmetric=job.recipe.activations.symmetric,
        percent=settings.percent,
        momentum=settings.momentum,
        bits=16 if job.recipe.activations.dtype.endswith("16") else 8,
    )
    prepared = job.pipeline.fingerprint if job.pipeline else None
    entry = open_entry(model, tensors, observer.name, samples.fingerprint(), indexes, prepared)

    def feeds(start: int) -> Iterator[Feeds]:
        # Samples that are passed over don't count, so that only reading tells where the next one stands.
        return (job.prepare(sample) for sample in islice(samples.feeds(indexes), start, None))

    def progress(done: int, total: int) -> None:
        job.progress("calibrate", done, total)

    return stream(model, tensors, feeds, observer, len(indexes), progress=progress, health=health, entry=entry)
