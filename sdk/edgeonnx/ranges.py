"""Ranges of activations: what calibration hands to quantization, so that neither knows the other."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranges:
    """The range that each tensor is to be quantized to.

    Attributes:
        by_tensor: name -> (low, high), float32 values, low <= high. They are not finite where a tensor has no form in
            8 bits: it holds infinity or a mask of about -3e38, or it was empty in all samples (both NaN).
        samples: how many samples they come from.
    """

    by_tensor: Mapping[str, tuple[float, float]]
    samples: int
