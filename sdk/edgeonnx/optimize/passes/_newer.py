"""Rewrites to operators that came with a newer operator set than a model may have."""

from collections.abc import Callable

import onnx_ir as ir

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.optimize.passes._edit import edited, nodes
from edgeonnx.optimize.passes.lift_constants import lift_constants

# In a newer operator set onnxruntime (1.32, on x86) refuses int8 that it would pass through what only moves elements.
_NEWEST_OF_INT8 = 20


def edited_at(model: Model, needed: int, highest: int | None, edit: Callable[[ir.Model], int]) -> tuple[Model, int]:
    """As `edited`, in a model of opset `needed` or newer: raised to it where the edit finds something to do.

    Args:
        model: left as it is.
        needed: the operator set that has what the edit puts in.
        highest: the highest that the model may be raised to; None: it keeps its own.
        edit: changes a model in place, and says how many rewrites it made.
    """
    made, rewrites = edited(model, edit)
    if not rewrites or model.opset >= needed:
        return made, rewrites
    if highest is None or highest < needed or (needed > _NEWEST_OF_INT8 and any(map(_gives_int8, nodes(model.ir)))):
        return model, 0
    try:
        # Raising writes what became an input as Constant nodes.
        return edited(lift_constants(raise_opset(model, needed))[0], edit)
    except ModelError:  # an operator has no conversion
        return model, 0


def _gives_int8(node: ir.Node) -> bool:
    zero = node.inputs[2] if node.op_type == "QuantizeLinear" and len(node.inputs) > 2 else None
    return zero is not None and zero.dtype == ir.DataType.INT8
