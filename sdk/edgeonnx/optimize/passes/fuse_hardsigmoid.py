"""Say hard-sigmoid in one operator.

Rules:
    `clip(a x + b, 0, m) / m`, however it is spelt, is HardSigmoid.
"""

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._algebra import elementwise, terms, tolerance_of
from edgeonnx.optimize.passes._edit import each, edited, replaced
from edgeonnx.optimize.passes._ramp import close, ramp


def fuse_hardsigmoid(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, lambda made: sum(map(_fuse, each(made, "Div", "Mul"))))


def _fuse(node: ir.Node) -> bool:
    found = terms(node.outputs[0])
    keys = [key for key in found if len(key) == 1]
    if len(found) != 1 or len(keys) != 1:
        return False
    ((value, exponent),) = keys[0]
    part, maker = ramp(value), value.producer()
    if part is None or exponent != 1 or maker is None or maker.op_type == "HardSigmoid":
        return False
    whole = close((found[keys[0]] * part.factor,), tolerance_of(part.source))
    if not whole or not elementwise(part.source, node.outputs[0]):
        return False
    replaced(node, "HardSigmoid", [part.source], alpha=part.slope, beta=part.offset)
    return True
