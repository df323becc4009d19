"""Say hard-swish in one operator.

Rules:
    `x clip(x + 3, 0, 6) / 6`, however it is spelt, also by HardSigmoid, is HardSwish.
    HardSwish came with opset 14: an older model is raised to it where that is allowed.
    SiLU, `x sigmoid(x)`, stays: onnxruntime has no kernel for the operator Swish of opset 24.
Source: A. Howard et al., Searching for MobileNetV3, 2019.
"""

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._algebra import elementwise, product, terms, tolerance_of
from edgeonnx.optimize.passes._edit import each, replaced
from edgeonnx.optimize.passes._newer import edited_at
from edgeonnx.optimize.passes._ramp import close, ramp

_OPSET = 14


def fuse_hardswish(model: Model, opset: int | None = None) -> tuple[Model, int]:
    """By the rules above.

    Args:
        model: left as it is.
        opset: the highest that the model may be raised to; None: it keeps its own.
    """
    return edited_at(model, _OPSET, opset, lambda made: sum(map(_fuse, each(made, "Div", "Mul"))))


def _fuse(node: ir.Node) -> bool:
    found = terms(node.outputs[0])
    if len(found) != 1:
        return False
    ((key, factor),) = found.items()
    for value, _ in key:
        part = ramp(value)
        if part is None or key != product((value, 1.0), (part.source, 1.0)):
            continue
        ones = (factor * part.factor, 6 * part.slope, 2 * part.offset)
        if close(ones, tolerance_of(part.source)) and elementwise(part.source, node.outputs[0]):
            replaced(node, "HardSwish", [part.source])
            return True
    return False
