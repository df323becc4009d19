"""Hard sigmoids, however they are spelt."""

import math
from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.optimize.passes._algebra import ONE, terms
from edgeonnx.optimize.passes._edit import only_reader, scalar, standard


@dataclass(frozen=True)
class Ramp:
    """`factor * clip(slope * source + offset, 0, 1)`."""

    source: ir.Value
    factor: float
    slope: float
    offset: float


def ramp(value: ir.Value) -> Ramp | None:
    """What a HardSigmoid, or a Clip from 0 on of something linear, computes; None for any other."""
    node = value.producer()
    if node is None or not standard(node) or node.inputs[0] is None:
        return None
    if node.op_type == "HardSigmoid":
        slope, offset = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        return Ramp(node.inputs[0], 1.0, slope, offset)
    return _clip(node) if node.op_type == "Clip" and only_reader(value) is not None else None


def close(numbers: tuple[float, ...], within: float | None) -> bool:
    """Whether all are 1 but for rounding; never where it is not known how types round."""
    return within is not None and all(math.isclose(number, 1, rel_tol=within) for number in numbers)


def _clip(node: ir.Node) -> Ramp | None:
    assert node.inputs[0] is not None
    low, high = (_bound(node, position, name) for position, name in ((1, "min"), (2, "max")))
    inside = terms(node.inputs[0])
    linear = [key for key in inside if key != ONE]
    if low != 0 or high is None or high <= 0 or len(linear) != 1 or len(linear[0]) != 1:
        return None
    ((source, exponent),) = linear[0]
    found = Ramp(source, high, inside[linear[0]] / high, inside.get(ONE, 0.0) / high)
    return found if exponent == 1 else None


def _bound(node: ir.Node, position: int, name: str) -> float | None:
    if name in node.attributes:
        return node.attributes[name].as_float()
    return scalar(node.inputs[position]) if len(node.inputs) > position else None
