"""Ranges that follow from others, which need not be observed.

Whatever moves values about has the range of what it reads; a function that only rises maps the ends of one range to
the ends of the other; one that falls and then rises, such as hard-swish, has its lowest point if that lies inside.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant
from edgeonnx.model import Model

Range = tuple[float, float]
Rule = Callable[[Sequence[Range]], Range]

_MOVING = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_NON_NEGATIVE = ("Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt")
# These keep the sign of what they read, if all of it has one.
_KEEPING_SIGN = (
    *_MOVING,
    *(
        "Add",
        "AveragePool",
        "Concat",
        "Dropout",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Mul",
        "ReduceMax",
        "ReduceMean",
    ),
)
# Where x * sigmoid(x) is lowest: the root of 1 + x * (1 - sigmoid(x)).
_SILU_BOTTOM = -1.2784645
_HARD_SWISH_BOTTOM = -1.5


@dataclass(frozen=True)
class Derived:
    """A tensor whose range follows from those of others.

    Attributes:
        name: the tensor.
        sources: what it follows from.
        rule: their ranges -> its range.
        joins: whether the sources stand side by side in it, so that one which is empty takes nothing from the others.
    """

    name: str
    sources: tuple[str, ...]
    rule: Rule
    joins: bool = False

    def range(self, known: Mapping[str, Range]) -> Range:
        """Its range; NaN where it was empty, as its sources tell."""
        sources = [known[name] for name in self.sources]
        present = [bounds for bounds in sources if not np.isnan(bounds).any()]
        if not present or (len(present) < len(sources) and not self.joins):
            return math.nan, math.nan
        return self.rule(present)


def derived(model: Model, tensors: Collection[str]) -> tuple[Derived, ...]:
    """Those of `tensors` whose range follows from others of them, in the order in which they are to be found."""
    wanted = set(tensors)
    found = []
    for node in model.ir.graph:
        if node.domain not in ("", "ai.onnx") or len(node.outputs) < 1 or node.outputs[0].name not in wanted:
            continue
        sources, rule = _rule(node)
        names = [value.name or "" for value in sources]
        if rule is not None and wanted.issuperset(names):
            found.append(Derived(node.outputs[0].name or "", tuple(names), rule, node.op_type == "Concat"))
    return tuple(found)


def non_negative(value: ir.Value | None) -> bool:
    """Whether a tensor can't hold values below 0, whatever the sample; False if that can't be told."""
    pending, seen = [value], set()
    while pending:
        each = pending.pop()
        if each is None or each in seen:
            continue
        seen.add(each)
        producer, values = each.producer(), constant(each)
        if values is not None:
            if values.dtype.kind == "f" and not (values >= 0).all():
                return False
        elif producer is None or producer.domain not in ("", "ai.onnx"):
            return False
        elif producer.op_type in _KEEPING_SIGN:
            pending.extend(producer.inputs[:1] if producer.op_type in _MOVING else producer.inputs)
        elif producer.op_type not in _NON_NEGATIVE and not _clipped_at_zero(producer):
            return False
    return True


def _clipped_at_zero(node: ir.Node) -> bool:
    low = constant(node.inputs[1]) if node.op_type == "Clip" and len(node.inputs) > 1 else None
    return low is not None and bool((low >= 0).all())


def _rule(node: ir.Node) -> tuple[list[ir.Value], Rule | None]:
    """What a node's range follows from, and how."""
    first = [value for value in node.inputs[:1] if value is not None]
    if node.op_type in _MOVING:
        return first, _same
    if node.op_type == "Concat":
        return _union(node)
    if node.op_type == "HardSwish":
        return first, partial(_valley, _hard_swish, _HARD_SWISH_BOTTOM)
    if node.op_type == "Mul":
        return _gated(node)
    rising = _rising(node)
    return first, None if rising is None else partial(_ends, rising)


def _rising(node: ir.Node) -> Callable[[float], float] | None:
    """The function of an operator of one input that never falls."""
    if node.op_type in _RISING:
        return _RISING[node.op_type]
    match node.op_type:
        case "LeakyRelu" if (slope := node.attributes.get_float("alpha", 0.01)) >= 0:
            return lambda x: x if x >= 0 else slope * x
        case "HardSigmoid" if (slope := node.attributes.get_float("alpha", 0.2)) > 0:
            offset = node.attributes.get_float("beta", 0.5)
            return lambda x: min(max(slope * x + offset, 0.0), 1.0)
        case "Clip":
            return _clip(node)
    return None


def _clip(node: ir.Node) -> Callable[[float], float] | None:
    """Clip between constants; the attributes it had before opset 11 are not read, nor bounds that are computed."""
    given = node.inputs[1:]
    bounds = [constant(value) for value in given]
    if not given or any(value is not None and bound is None for value, bound in zip(given, bounds, strict=True)):
        return None
    low, high = [None if bound is None else float(np.ravel(bound)[0]) for bound in (*bounds, None)[:2]]
    return lambda x: min(max(x, -math.inf if low is None else low), math.inf if high is None else high)


def _gated(node: ir.Node) -> tuple[list[ir.Value], Rule | None]:
    """Of x * HardSigmoid(x) and x * Sigmoid(x), as hard-swish and swish are written before they have operators."""
    for value, gate in (node.inputs, node.inputs[::-1]):
        producer = None if gate is None else gate.producer()
        if value is None or producer is None or producer.inputs[0] is not value:
            continue
        if producer.op_type == "Sigmoid":
            return [value], partial(_valley, _swish, _SILU_BOTTOM)
        slope, offset = producer.attributes.get_float("alpha", 0.2), producer.attributes.get_float("beta", 0.5)
        if producer.op_type == "HardSigmoid" and math.isclose(slope * 6, 1, rel_tol=1e-3) and offset == 0.5:
            return [value], partial(_valley, _hard_swish, _HARD_SWISH_BOTTOM)
    return [], None


def _union(node: ir.Node) -> tuple[list[ir.Value], Rule | None]:
    fixed = [values for value in node.inputs if (values := constant(value)) is not None]
    more = [(float(values.min()), float(values.max())) for values in fixed if values.size]
    sources = [value for value in node.inputs if value is not None and value.const_value is None]

    def union(ranges: Sequence[Range]) -> Range:
        return min(low for low, _ in [*ranges, *more]), max(high for _, high in [*ranges, *more])

    return sources, union


def _same(ranges: Sequence[Range]) -> Range:
    return ranges[0]


def _ends(function: Callable[[float], float], ranges: Sequence[Range]) -> Range:
    low, high = ranges[0]
    return function(low), function(high)


def _valley(function: Callable[[float], float], bottom: float, ranges: Sequence[Range]) -> Range:
    low, high = ranges[0]
    return function(min(max(bottom, low), high)), max(function(low), function(high))


def _hard_swish(x: float) -> float:
    return 0.0 if x <= -3 else x * min((x + 3) / 6, 1.0)


def _swish(x: float) -> float:
    return 0.0 if x <= -80 else x * _sigmoid(x)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -80 else 0.0


_RISING: Mapping[str, Callable[[float], float]] = {
    "Relu": lambda x: max(x, 0.0),
    "Sigmoid": _sigmoid,
    "Tanh": math.tanh,
}
