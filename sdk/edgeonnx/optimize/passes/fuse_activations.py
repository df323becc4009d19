"""Say hard-sigmoid and hard-swish in one operator.

Rules:
    `clip(a x + b, 0, m) / m`, however it is spelt, is HardSigmoid.
    `x` times it, with a/m = 1/6 and b/m = 1/2, is HardSwish, from opset 14 on.
    SiLU, `x sigmoid(x)`, stays: no provider here has a kernel for the operator Swish of opset 24.
"""

import math
from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._algebra import ONE, alike, elementwise, product, terms, tolerance_of
from edgeonnx.optimize.passes._edit import each, only_reader, replaced, scalar, standard
from edgeonnx.optimize.passes._newer import edited_at

_OPSET = 14
_ROOTS = ("Add", "Div", "Mul")


def fuse_activations(model: Model, opset: int | None = None) -> tuple[Model, int]:
    """By the rules above.

    Args:
        model: left as it is.
        opset: the highest that the model may be raised to; None: it keeps its own.
    """
    made, swishes = edited_at(model, _OPSET, opset, lambda found: sum(map(_swish, each(found, *_ROOTS))))
    made, sigmoids = edited_at(made, 6, None, lambda found: sum(map(_sigmoid, each(found, *_ROOTS))))
    return made, swishes + sigmoids


@dataclass(frozen=True)
class _Ramp:
    """`factor * clip(slope * source + offset, 0, 1)`."""

    source: ir.Value
    factor: float
    slope: float
    offset: float


def _swish(node: ir.Node) -> bool:
    found = terms(node.outputs[0])
    if len(found) != 1:
        return False
    ((key, factor),) = found.items()
    for value, _ in key:
        ramp = _ramp(value)
        if ramp is None or key != product((value, 1.0), (ramp.source, 1.0)):
            continue
        within = tolerance_of(ramp.source)
        ones = (factor * ramp.factor, 6 * ramp.slope, 2 * ramp.offset)
        if within is not None and _close(ones, within) and elementwise(ramp.source, node.outputs[0]):
            replaced(node, "HardSwish", [ramp.source])
            return True
    return False


def _sigmoid(node: ir.Node) -> bool:
    found = terms(node.outputs[0])
    if len(found) != 1:
        return False
    ((key, factor),) = found.items()
    if len(key) != 1:
        return False
    ((value, exponent),) = key
    ramp, maker = _ramp(value), value.producer()
    if ramp is None or exponent != 1 or maker is None or maker.op_type == "HardSigmoid":
        return False
    within = tolerance_of(ramp.source)
    if within is None or not _close((factor * ramp.factor,), within) or not elementwise(ramp.source, node.outputs[0]):
        return False
    replaced(node, "HardSigmoid", [ramp.source], alpha=ramp.slope, beta=ramp.offset)
    return True


def _close(numbers: tuple[float, ...], within: float) -> bool:
    return all(math.isclose(number, 1, rel_tol=within) for number in numbers)


def _ramp(value: ir.Value) -> _Ramp | None:
    """What a HardSigmoid, or a Clip from 0 on of something linear, computes; None for any other."""
    node = value.producer()
    if node is None or not standard(node) or node.inputs[0] is None:
        return None
    if node.op_type == "HardSigmoid":
        slope, offset = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        return _Ramp(node.inputs[0], 1.0, slope, offset)
    if node.op_type != "Clip" or only_reader(value) is None:
        return None
    low, high = (_bound(node, position, name) for position, name in ((1, "min"), (2, "max")))
    inside = terms(node.inputs[0])
    linear = [key for key in inside if key != ONE]
    if low != 0 or high is None or high <= 0 or len(linear) != 1 or len(linear[0]) != 1:
        return None
    ((source, exponent),) = linear[0]
    if exponent != 1 or not alike(inside, {linear[0]: inside[linear[0]], ONE: inside.get(ONE, 0.0)}, 1e-9):
        return None
    return _Ramp(source, high, inside[linear[0]] / high, inside[ONE] / high)


def _bound(node: ir.Node, position: int, name: str) -> float | None:
    if name in node.attributes:
        return node.attributes[name].as_float()
    return scalar(node.inputs[position]) if len(node.inputs) > position else None
