"""What a few nodes compute, as a sum of products, so that each spelling of a formula looks alike.

`0.5 * x * (1 + erf(x / sqrt(2)))` and `x * (0.5 + 0.5 * erf(x * 0.7071))` are both `0.5 x + 0.5 x e`, where `e` is what
Erf gives, and what it reads is `0.7071 x`.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.optimize.passes._edit import constant, same_shape, standard

# Value -> exponent; the product of all.
Monomial = frozenset[tuple[ir.Value, float]]
# Product -> factor before it; the sum of all.
Terms = Mapping[Monomial, float]

ONE: Monomial = frozenset()
# An expression of more is none of the formulas that are looked for.
_MOST = 6


def terms(value: ir.Value) -> Terms:
    """What a value is in terms of others: those that other nodes read too, and what no arithmetic makes.

    Scalar constants are taken for numbers, whatever their rank: see `elementwise`.
    """
    node = value.producer()
    found = None if node is None or not standard(node) else _computed(node)
    return {_power(value): 1.0} if found is None else found


def product(*factors: tuple[ir.Value, float]) -> Monomial:
    """A product of values with exponents."""
    return frozenset(factors)


def alike(one: Terms, other: Terms, tolerance: float) -> bool:
    """Whether two expressions are of the same products, with factors that are the same but for rounding."""
    return one.keys() == other.keys() and all(math.isclose(one[key], other[key], rel_tol=tolerance) for key in one)


def tolerance_of(value: ir.Value) -> float | None:
    """How far constants may be from a formula's, which are rounded to the type of the data; None for other types."""
    if value.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        return 1e-5
    return 1e-3 if value.dtype == ir.DataType.FLOAT16 else None


def elementwise(source: ir.Value, result: ir.Value) -> bool:
    """Whether constants between the two have not widened the shape."""
    return same_shape(source, result) or (
        source.shape is not None and result.shape is not None and len(source.shape) == len(result.shape) > 0
    )


def _power(value: ir.Value, exponent: float = 1.0) -> Monomial:
    return frozenset({(value, exponent)})


def _operand(value: ir.Value | None) -> Terms:
    """A number; what is behind a value that nothing else reads; else the value itself."""
    assert value is not None
    array = constant(value)
    if array is not None and array.size == 1 and array.dtype.kind == "f":
        return {ONE: float(array.reshape(-1)[0])}
    alone = len(value.uses()) == 1 and not value.is_graph_output()
    return terms(value) if alone else {_power(value): 1.0}


def _computed(node: ir.Node) -> Terms | None:
    """What a node of arithmetic makes; None for any other, and where it gets too long."""
    if any(value is None for value in node.inputs):
        return None
    match node.op_type, len(node.inputs):
        case ("Add" | "Sum", 2):
            found: Terms | None = _sum(_operand(node.inputs[0]), _operand(node.inputs[1]), 1.0)
        case ("Sub", 2):
            found = _sum(_operand(node.inputs[0]), _operand(node.inputs[1]), -1.0)
        case ("Mul", 2):
            found = _times(_operand(node.inputs[0]), _operand(node.inputs[1]))
        case ("Div", 2):
            below = _raised(node.inputs[1], -1.0)
            found = None if below is None else _times(_operand(node.inputs[0]), below)
        case ("Neg", 1):
            found = {key: -factor for key, factor in _operand(node.inputs[0]).items()}
        case ("Reciprocal", 1):
            found = _raised(node.inputs[0], -1.0)
        case ("Sqrt", 1):
            found = _raised(node.inputs[0], 0.5)
        case ("Pow", 2):
            exponent = _operand(node.inputs[1])
            found = _raised(node.inputs[0], exponent[ONE]) if exponent.keys() == {ONE} else None
        case _:
            return None
    return None if found is None or len(found) > _MOST else found


def _sum(one: Terms, other: Terms, sign: float) -> Terms:
    total = dict(one)
    for key, factor in other.items():
        total[key] = total.get(key, 0.0) + sign * factor
    return {key: factor for key, factor in total.items() if factor or key == ONE}


def _times(one: Terms, other: Terms) -> Terms:
    found: dict[Monomial, float] = {}
    for first, a in one.items():
        for second, b in other.items():
            exponents = dict(first)
            for value, exponent in second:
                exponents[value] = exponents.get(value, 0.0) + exponent
            key = frozenset((value, exponent) for value, exponent in exponents.items() if exponent)
            found[key] = found.get(key, 0.0) + a * b
    return found


def _raised(value: ir.Value | None, exponent: float) -> Terms | None:
    """A value to a power: of one product, or of an integer that is small; else the value is not looked into."""
    assert value is not None
    base = _operand(value)
    if len(base) == 1:
        ((key, factor),) = base.items()
        whole = float(exponent).is_integer()
        if whole or (key == ONE and factor > 0):
            raised = _real_power(factor, exponent)
            return None if raised is None else {frozenset((v, e * exponent) for v, e in key): raised}
    if exponent == 2.0 and len(base) <= 2:
        return _times(base, base)
    return {_power(value, exponent): 1.0}


def _real_power(base: float, exponent: float) -> float | None:
    with np.errstate(all="ignore"):
        found = float(np.power(np.float64(base), exponent))
    return found if math.isfinite(found) else None
