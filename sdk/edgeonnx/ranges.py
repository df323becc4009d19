"""Ranges of activations: what calibration hands to quantization, so that neither knows the other."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value seen of each tensor.

    Attributes:
        by_tensor: name -> (low, high), float32 values, low <= high.
        samples: how many samples they come from.
    """

    by_tensor: Mapping[str, tuple[float, float]]
    samples: int
