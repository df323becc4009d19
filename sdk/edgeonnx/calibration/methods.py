"""The observers by name, as recipes call them."""

from functools import partial

from edgeonnx.calibration.distribution import Distribution
from edgeonnx.calibration.entropy import least_divergence
from edgeonnx.calibration.extremes import MinMax, MovingAverage
from edgeonnx.calibration.mse import least_squares
from edgeonnx.calibration.observer import Observer
from edgeonnx.calibration.percentile import percentile

METHODS = ("min-max", "moving-average", "percentile", "entropy", "mse")


def make_observer(
    method: str, *, symmetric: bool = False, percent: float = 99.99, momentum: float = 0.9, bits: int = 8
) -> Observer:
    """An observer.

    Args:
        method: one of `METHODS`.
        symmetric: whether activations are quantized symmetrically, which has one level less.
        percent: for `percentile`: the share of values, in percent, that no end may cut into.
        momentum: for `moving-average`: how much of the average stays at each sample.
        bits: of the integers.

    Raises:
        ValueError: there is no such method, or a parameter is out of its range.
    """
    levels = 2**bits - symmetric
    kind = f"{levels} levels{', symmetric' if symmetric else ''}"
    match method:
        case "min-max":
            return MinMax()
        case "moving-average":
            return MovingAverage(momentum)
        case "percentile":
            if not 50 < percent <= 100:
                raise ValueError(f"percentile: expected above 50 and at most 100, got {percent}")
            return Distribution(f"percentile {percent}", partial(percentile, percent=percent))
        case "entropy":
            return Distribution(f"entropy, {kind}", partial(least_divergence, levels=levels, symmetric=symmetric))
        case "mse":
            return Distribution(f"mse, {kind}", partial(least_squares, levels=levels, symmetric=symmetric))
    raise ValueError(f"expected one of {', '.join(METHODS)}, got {method}")
