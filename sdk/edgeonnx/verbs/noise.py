"""Samples of noise, for a model whose data is not at hand."""

from collections.abc import Mapping, Sequence

import numpy as np

from edgeonnx.bundle.golden import generate
from edgeonnx.extensions import decoded_inputs
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline import panels


def noise(
    model: Model, inputs: Sequence[TensorSpec], ranges: Mapping[str, Sequence[float]], count: int
) -> list[Mapping[str, np.ndarray]]:
    """As `generate`; and pictures for inputs whose bytes the graph decodes: other bytes may end the process.

    Args:
        model: what is fed.
        inputs: its inputs, or others of their names with sizes in place of free ones.
        ranges: calibrated range (low, high) of inputs, where known.
        count: number of samples.
    """
    decoded = decoded_inputs(model.ir)
    made = generate([tensor for tensor in inputs if tensor.name not in decoded], ranges, count)
    return [feeds | {name: _picture_file(seed) for name in decoded} for seed, feeds in enumerate(made)]


def _picture_file(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return np.frombuffer(panels.png(pixels), np.uint8)
