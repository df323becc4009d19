"""Say GELU in one operator.

Rules:
    `x/2 (1 + erf(x / sqrt 2))`, however it is spelt, is Gelu; with tanh(sqrt(2/pi) (x + 0.044715 x^3)) in place of erf,
    the approximate Gelu.
    Gelu came with opset 20: an older model is raised to it where that is allowed.
Source: D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016.
"""

import math

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._algebra import ONE, Terms, alike, elementwise, product, terms, tolerance_of
from edgeonnx.optimize.passes._edit import each, replaced
from edgeonnx.optimize.passes._newer import edited_at

_OPSET = 20
_ERF, _TANH = 1 / math.sqrt(2), math.sqrt(2 / math.pi)


def fuse_gelu(model: Model, opset: int | None = None) -> tuple[Model, int]:
    """By the rules above.

    Args:
        model: left as it is.
        opset: the highest that the model may be raised to; None: it keeps its own.
    """
    return edited_at(model, _OPSET, opset, lambda made: sum(_fuse(node) for node in each(made, "Mul", "Div", "Add")))


def _fuse(node: ir.Node) -> bool:
    found = terms(node.outputs[0])
    bare = [key for key in found if len(key) == 1]
    if len(found) != 2 or len(bare) != 1:
        return False
    ((source, _),) = bare[0]
    within = tolerance_of(source)
    for bell in {value for key in found for value, _ in key} - {source}:
        wanted = {product((source, 1.0)): 0.5, product((source, 1.0), (bell, 1.0)): 0.5}
        form = None if within is None or not alike(found, wanted, within) else _form(bell, source, within)
        if form is not None and elementwise(source, node.outputs[0]):
            replaced(node, "Gelu", [source], approximate=form)
            return True
    return False


def _form(bell: ir.Value, source: ir.Value, within: float) -> str | None:
    """The attribute `approximate` for what Erf or Tanh make of the source; None where it is another function."""
    node = bell.producer()
    argument = None if node is None or node.inputs[0] is None else terms(node.inputs[0])
    if node is None or argument is None:
        return None
    x, cube = product((source, 1.0)), product((source, 3.0))
    tanh: Terms = {x: _TANH, cube: _TANH * 0.044715}
    if node.op_type == "Erf" and alike(argument, {x: _ERF}, within):
        return "none"
    return "tanh" if node.op_type == "Tanh" and alike(argument, tanh, within) and ONE not in argument else None
