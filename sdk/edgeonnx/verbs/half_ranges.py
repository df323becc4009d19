"""What float16 must know of activations: their extremes on samples, in the very graph that is to become float16."""

from dataclasses import replace
from itertools import islice

import onnx_ir as ir

from edgeonnx.calibration.extremes import MinMax
from edgeonnx.calibration.samples import Data, open_samples
from edgeonnx.calibration.stream import calibrate
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import tensor_types
from edgeonnx.optimize.passes.float16 import beyond_float16
from edgeonnx.optimize.plan import Wish, plan_for, run
from edgeonnx.optimize.types import with_types
from edgeonnx.ranges import Ranges

_SAMPLES = 64


def half_ranges(source: Model, wish: Wish, skip: frozenset[str], data: Data) -> Ranges:
    """Extremes of the float32 tensors of the main graph, as it is before it becomes float16.

    Args:
        source: the model to optimize.
        wish: what it is to be.
        skip: passes that are left out.
        data: samples: see `edgeonnx.calibration.samples`; 64 at most are taken.

    Raises:
        DataError: it does not fit the model.
    """
    before, _ = run(source, plan_for(replace(wish, half=False, offline=None)), skip | {"lower_opset"})
    typed = with_types(before)
    tensors = [name for name, dtype in tensor_types(typed).items() if dtype == ir.DataType.FLOAT]
    feeds = list(islice(open_samples(data, typed.inputs).feeds(), _SAMPLES))
    return calibrate(typed, tensors, lambda start: iter(feeds[start:]), MinMax(), len(feeds))


def left_in_float32(source: Model, wish: Wish) -> tuple[str, ...]:
    """What float16 leaves in float32 because of its range, in a sentence; nothing where that is nothing."""
    left = beyond_float16(source, wish.ranges) if wish.half else {}
    if not left:
        return ()
    tensors = list(dict.fromkeys(left.values()))
    more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
    return (f"{len(left)} nodes stay in float32: beyond float16's range, 65504, go {', '.join(tensors[:3])}{more}",)
