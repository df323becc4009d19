"""What is observed, what follows from it, and how an observer's numbers become ranges."""

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.calibration.derive import Range, derived
from edgeonnx.calibration.needed import vanishing
from edgeonnx.calibration.observer import INFINITE, Floats
from edgeonnx.calibration.shapes import with_shapes
from edgeonnx.model import Model


class Plan:
    """How the ranges of some tensors are found with as few observed as can be.

    Args:
        model: float.
        tensors: names of float32 tensors of its main graph.

    Attributes:
        model: the same with shapes, as far as they can be inferred.
        observed: names of the tensors to observe.

    Raises:
        ValueError: there is no float32 tensor of such a name.
    """

    def __init__(self, model: Model, tensors: Sequence[str]) -> None:
        self.model = with_shapes(model)
        graph = self.model.ir.graph
        values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
        known = {value.name for value in values if value.dtype in (ir.DataType.FLOAT, None)}
        strange = [name for name in tensors if name not in known]
        if strange:
            raise ValueError(f"expected names of float32 tensors of the main graph, got {', '.join(strange)}")
        self._derived = derived(self.model, tensors)
        self._vanishing = vanishing(self.model, tensors)
        follow = {each.name for each in self._derived}
        self.observed = tuple(dict.fromkeys(name for name in tensors if name not in follow))

    def ranges(self, low: Floats, high: Floats) -> dict[str, Range]:
        """The ranges of all tensors, and of those that vanish into them.

        Args:
            low: of the observed tensors, of shape (observed,).
            high: alike.
        """
        ends = zip(low.tolist(), high.tolist(), strict=True)
        found = {name: _told(*pair) for name, pair in zip(self.observed, ends, strict=True)}
        for each in self._derived:
            found[each.name] = each.range(found)
        for name, (activation, ceiling) in self._vanishing.items():
            end = found[activation][1]
            # What reaches the ceiling was cut there: how far it went is not known, but that it went beyond must show.
            beyond = float(np.nextafter(np.float32(ceiling), np.float32(np.inf)))
            found[name] = (found[activation][0], end if end < ceiling or math.isinf(ceiling) else beyond)
        return found


def _told(low: float, high: float) -> Range:
    """A range as quantization reads it: what stands for infinity is infinite, what was never there is NaN."""
    if low > high:
        return math.nan, math.nan
    return (-math.inf if low <= -INFINITE else low), (math.inf if high >= INFINITE else high)
