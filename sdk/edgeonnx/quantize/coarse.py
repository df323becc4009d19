"""Tensors that 8 bits are too coarse for: what was put together there has ranges too far apart.

An attention mask of -10000 added to scores of a few units, boxes in pixels joined with probabilities: one scale has to
serve both, and the smaller vanishes in its first steps. What passes such a tensor on is as coarse; what computes
something new from it (a range much smaller, as of Softmax) is not.
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.ranges import Ranges

# Operators whose output is made of their inputs' values as they are.
_JOINING = frozenset({"Add", "Concat", "Max", "Min", "Sub", "Sum", "Where"})
_STEPS = 255
# Of 8 bits, an input must keep 4.
_FEWEST = 16


def coarse_tensors(model: Model, ranges: Ranges) -> dict[ir.Value | None, str]:
    """The coarse tensors of a model's main graph, each with the reason."""
    found: dict[ir.Value | None, str] = {}
    for node in model.ir.graph:
        for output in node.outputs:
            width = _width(output, ranges)
            if not width:
                continue
            inputs = [value for value in node.inputs if value is not None and value.dtype == ir.DataType.FLOAT]
            joined = inputs if node.op_type in _JOINING else []
            hidden = [v for v in joined if 0 < _width(v, ranges) < width * _FEWEST / _STEPS]
            passed = [found[v] for v in inputs if v in found and 2 * width > _width(v, ranges)]
            if hidden:
                found[output] = f"{hidden[0].name} takes fewer than {_FEWEST} of the steps of {output.name}"
            elif passed:
                found[output] = passed[0]
    return found


def _width(value: ir.Value, ranges: Ranges) -> float:
    """Between a tensor's smallest and largest value, zero included; 0 for a constant, which is rounded on its own."""
    low, high = ranges.by_tensor.get(value.name or "", (0.0, 0.0))
    width = max(high, 0.0) - min(low, 0.0)
    return width if value.const_value is None and np.isfinite(width) else 0.0
