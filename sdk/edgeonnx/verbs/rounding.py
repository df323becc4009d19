"""How much rounding alone moves a model's outputs.

Where a model takes large numbers from each other, or an output is all that a sigmoid leaves far out, the last bit of a
weight shows in the third digit of an output. Two ways of computing the same can't agree better than that.
"""

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.verbs.same import Feeds, difference

_SEEDS = (1, 2, 3)
# What is not more may be the factors of a Resize, which decide about shapes.
_FEW = 8


def rounding(model: Model, samples: Iterable[Feeds]) -> float:
    """How far outputs go, as a share of their largest magnitude, where float weights move by their last bit.

    The largest over three seeds; infinite where a whole number changes.
    """
    feeds = list(samples)
    return max(_moved(model, feeds, np.random.default_rng(seed)) for seed in _SEEDS)


def _moved(model: Model, samples: list[Feeds], rng: np.random.Generator) -> float:
    copy = model.copy()
    for graph in copy.ir.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None and _is_weight(value.const_value):
                value.const_value = _last_bit(value.const_value, rng)
        for node in graph:
            given = node.attributes.get("value") if node.op_type == "Constant" else None
            if given is not None and _is_weight(given.as_tensor()):
                node.attributes["value"] = ir.AttrTensor("value", _last_bit(given.as_tensor(), rng))
    return difference(model, Model(copy.ir), samples).relative


def _is_weight(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype == ir.DataType.FLOAT and tensor.size > _FEW


def _last_bit(tensor: ir.TensorProtocol, rng: np.random.Generator) -> ir.TensorProtocol:
    """Each number a last bit up or down; 0 stays, and what is not finite."""
    array = tensor.numpy()
    with np.errstate(all="ignore"):
        moved = array * (1 + np.float32(2**-23) * rng.choice([-1, 1], array.shape).astype(np.float32))
    return ir.tensor(np.where(np.isfinite(moved), moved, array).astype(np.float32), name=tensor.name)
