"""Several samples in one run, where the model leaves its batch dimension free: else small ones mostly wait."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from edgeonnx.calibration.observer import Seen
from edgeonnx.calibration.shapes import Shape
from edgeonnx.model import Model

Feed = Mapping[str, np.ndarray]

# The largest tensor of a batch has at most so many bytes: beyond, nothing is gained, and memory stays bounded.
_BYTES = 1 << 20
_SAMPLES = 8


def batch_limit(model: Model, shapes: Mapping[str, Shape]) -> int:
    """How many samples may come as one: 1 unless all inputs have the same free first dimension, and outputs a free one.

    Args:
        model: float.
        shapes: the shape of each tensor in one sample, as far as known.
    """
    inputs, outputs = (
        [spec.shape[0] if spec.shape else 0 for spec in specs] for specs in (model.inputs, model.outputs)
    )
    if len(set(inputs)) != 1 or any(isinstance(size, int) for size in (*inputs, *outputs)):
        return 1
    if any(shapes.get(spec.name, (0,))[:1] != (1,) for spec in model.inputs):
        return 1
    largest = 4 * max(math.prod(shape) for shape in shapes.values())
    return min(max(_BYTES // max(largest, 1), 1), _SAMPLES)


def grouped(samples: Iterable[Feed], limit: "Limit") -> Iterator[list[Feed]]:
    """Consecutive samples of the same shapes, at most `limit.samples` at a time; none is read ahead."""
    waiting: list[Feed] = []
    for sample in samples:
        if waiting and not _alike(waiting[0], sample):
            yield waiting
            waiting = []
        waiting.append(sample)
        if len(waiting) >= limit.samples:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class Limit:
    """How many samples may come as one; may be lowered while they come.

    Attributes:
        samples: how many.
        proven: whether a batch was seen to give what its samples give one by one.
    """

    def __init__(self, samples: int, proven: bool = False) -> None:
        self.samples, self.proven = samples, proven


def joined(samples: Sequence[Feed]) -> Feed:
    """Samples as one batch, along the first axis."""
    return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}


def same(batch: Seen, single: Sequence[Seen]) -> bool:
    """Whether a batch has the extremes that its samples have, but for rounding."""
    low = np.min([seen.low for seen in single], axis=0)
    high = np.max([seen.high for seen in single], axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(invalid="ignore"):  # infinities are equal or not; their difference is no number
        return all(
            bool(np.all((one == other) | (np.abs(one - other) <= 1e-3 * size)))
            for one, other in ((batch.low, low), (batch.high, high))
        )


def _alike(one: Feed, other: Feed) -> bool:
    return all(array.shape == other[name].shape for name, array in one.items() if name in other)
