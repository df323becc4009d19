"""Prove by running that taking channels out does just that.

A model without some channels must give what the whole model gives once nothing reads them: once the weights that are
summed over them are zero there. A group of which this does not hold is not pruned.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgeonnx.graph import constant
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, Group, Stuck
from edgeonnx.prune.surgery import remove, set_weight
from edgeonnx.prune.trace import Role

Feeds = Mapping[str, np.ndarray]

# Of an output's largest magnitude: what the order of float sums changes; more in float16.
_TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-9}


def silence(model: Model, channels: Channels, gone: Collection[int]) -> Model:
    """The model, of the same shapes, with zeros in the weights that are summed over the channels that are to go."""
    copy = model.copy()
    for axis in {(a.weight, a.axis): a for a in channels.axes if a.role is Role.READS}.values():
        value = copy.ir.graph.initializers[axis.weight]
        array = constant(value)
        kept = channels.kept(axis, gone)
        if array is not None and not kept.all():
            shape = [1] * array.ndim
            shape[axis.axis] = len(kept)
            set_weight(value, array * kept.reshape(shape).astype(array.dtype))
    return Model(copy.ir)


def proven(model: Model, channels: Channels, feeds: Feeds) -> Channels:
    """The channels, those groups among the stuck ones that can't be taken out without changing more.

    Args:
        model: the one that channels were found in.
        channels: as found.
        feeds: one sample.
    """
    whole = [channel for group in channels.groups for channel in _half(group)]
    if _holds(model, channels, whole, feeds):
        return channels
    good = tuple(group for group in channels.groups if _holds(model, channels, _half(group), feeds))
    stuck = [Stuck(g.name, "the graph does not run, or computes something else, without") for g in channels.groups
             if g not in good]  # fmt: skip
    return replace(channels, groups=good, stuck=(*channels.stuck, *stuck))


def _half(group: Group) -> tuple[int, ...]:
    return group.channels[1::2]


def _holds(model: Model, channels: Channels, gone: Collection[int], feeds: Feeds) -> bool:
    try:
        got = remove(model, channels, gone).session().run(None, dict(feeds))
    except Exception:  # onnxruntime's exception types are private and many; whatever it is, the group stays
        return False
    expected = silence(model, channels, gone).session().run(None, dict(feeds))
    return all(_near(one, other) for one, other in zip(expected, got, strict=True))


def _near(expected: Any, got: Any) -> bool:
    if not isinstance(expected, np.ndarray) or not isinstance(got, np.ndarray):
        return True
    if expected.shape != got.shape or expected.dtype.kind != "f":
        return bool(expected.shape == got.shape)
    finite = np.isfinite(expected)
    size = float(np.abs(expected[finite]).max(initial=0))
    difference = float(np.abs(expected[finite] - got[finite]).max(initial=0))
    return bool(difference <= _TOLERANCE[expected.dtype.name] * size + 1e-30)
