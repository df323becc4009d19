"""The simplest calibration: min-max of some tensors over some samples, nothing kept, nothing looked at."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from edgeonnx.calibration.extremes import MinMax
from edgeonnx.calibration.stream import calibrate
from edgeonnx.model import Model
from edgeonnx.ranges import Ranges


def min_max(
    model: Model,
    tensors: Sequence[str],
    feeds: Iterable[Mapping[str, np.ndarray]],
    progress: Callable[[int], None] = lambda _done: None,
) -> Ranges:
    """Ranges by the smallest and the largest value seen over all samples.

    Args:
        model: a normalized float model.
        tensors: names of float32 tensors of its main graph. One that can't be negative may be given a low of 0.
        feeds: input name -> array, one mapping a sample.
        progress: told the number of samples done.

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
    """
    return calibrate(model, tensors, lambda _start: feeds, MinMax(), 0, progress=lambda done, _total: progress(done))
