"""Whether two models give the same: both run on the same samples here, their outputs held against each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgeonnx.calibration.samples import Data, open_samples
from edgeonnx.errors import ModelError
from edgeonnx.model import Model, TensorSpec, explained
from edgeonnx.verbs.noise import noise

Feeds = Mapping[str, np.ndarray]
_SAMPLES = 4
# Sizes that free dimensions are tried with, in turn: those that are alike, and 1, hide what is mixed up.
_FREE = ((2, 3, 5, 7), (3,), (1,))
# Where a model runs on none of these: it is of sound or pictures, and the first name is the batch.
_LARGE = ((1, 64), (1, 512))
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


@dataclass(frozen=True)
class Difference:
    """How far a model's outputs are from another's.

    Attributes:
        output: the one that is furthest off; "" where all are equal.
        relative: largest difference in it, over its largest magnitude; infinite where type, shape, whole numbers,
            texts or what is not finite differ.
        samples: how many were compared; 0 where the model is random, so that there is nothing to compare.
    """

    output: str
    relative: float
    samples: int


def samples_for(model: Model, asked: Model, data: Data | None) -> list[Feeds]:
    """Feeds that a model runs on: the first of the data; without data noise, free dimensions of several sizes.

    Args:
        model: that is run.
        asked: whose inputs say which sizes; maybe those of `model` with free dimensions fixed.
        data: see `edgeonnx.calibration.samples`; None: noise.

    Raises:
        ModelError: it does not run on any.
        DataError: the data does not fit.
    """
    if data is not None:
        return list(islice(open_samples(data, asked.inputs).feeds(), _SAMPLES))
    free = any(not tensor.fixed for tensor in asked.inputs)
    found, failure = _tried(model, asked.inputs, _FREE if free else _FREE[-1:])
    if not found and free:
        found, failure = _tried(model, asked.inputs, _LARGE)
    if not found:
        raise ModelError(f"the model does not run on noise: {failure}; give --data that fits")
    return found


def _tried(model: Model, inputs: Sequence[TensorSpec], choices: Iterable[Sequence[int]]) -> tuple[list[Feeds], str]:
    """The noise of each choice of sizes that the model runs on, and what was said of the last that it does not."""
    session, failure = model.session(), ""
    found: list[Feeds] = []
    for sizes in choices:
        for feeds in noise(model, _sized(inputs, sizes), {}, _SAMPLES // 2):
            try:
                session.run(None, dict(feeds))
                found.append(feeds)
            except Exception as error:  # onnxruntime's exception types are private and many
                failure = explained(error)
    return found, failure


def _sized(inputs: Sequence[TensorSpec], sizes: Sequence[int]) -> list[TensorSpec]:
    """Inputs with sizes for their free dimensions, one a name, again from the start where names are more."""
    names = dict.fromkeys(size for tensor in inputs for size in tensor.shape or () if not isinstance(size, int))
    chosen = {name: sizes[place % len(sizes)] for place, name in enumerate(names)}
    return [
        # pictures as bytes have sizes that `noise` knows
        tensor
        if tensor.shape is None or tensor.dtype == "uint8"
        else replace(tensor, shape=tuple(s if isinstance(s, int) else chosen[s] for s in tensor.shape))
        for tensor in inputs
    ]


def difference(one: Model, other: Model, samples: Iterable[Feeds]) -> Difference:
    """How far the outputs of `other` are from those of `one`, over all samples.

    Raises:
        ModelError: onnxruntime does not run one of them.
    """
    if random(one):
        return Difference("", 0.0, 0)
    names = [tensor.name for tensor in one.outputs]
    sessions = one.session(), other.session()
    worst = Difference("", 0.0, 0)
    for feeds in samples:
        expected, got = (_run(session, names, feeds) for session in sessions)
        for name, first, second in zip(names, expected, got, strict=True):
            far = _far(first, second)
            worst = replace(worst, output=name, relative=far) if far > worst.relative else worst
        worst = replace(worst, samples=worst.samples + 1)
    return worst


def _run(session: ort.InferenceSession, names: Sequence[str], feeds: Feeds) -> Sequence[Any]:
    try:
        found: Sequence[Any] = session.run(names, dict(feeds))
    except Exception as error:  # onnxruntime's exception types are private and many
        raise ModelError(f"onnxruntime does not run the model: {explained(error)}") from error
    return found


def random(model: Model) -> bool:
    """Whether a model gives something else each time."""
    graphs: Sequence[ir.Graph | ir.Function] = [model.ir.graph, *model.ir.functions.values()]
    return any(node.op_type in _RANDOM or _trains(node) for graph in graphs for node in graph.all_nodes())


def _trains(node: ir.Node) -> bool:
    return node.op_type == "Dropout" and len(node.inputs) > 2 and node.inputs[2] is not None


def _far(one: Any, other: Any) -> float:
    if isinstance(one, list):  # a sequence
        pairs = zip(one, other, strict=False)
        return max((_far(a, b) for a, b in pairs), default=0.0) if len(one) == len(other) else np.inf
    if one is None or other is None:
        return 0.0 if one is other else np.inf
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape or one.dtype != other.dtype:
        return np.inf
    if one.dtype.kind not in "fV":  # V: bfloat16 and smaller
        steps = one.dtype.itemsize == 1 and one.dtype.kind in "iu"  # of a quantized output
        near = steps and bool((np.abs(one.astype(np.int16) - other) <= 1).all())
        return 0.0 if near or bool((one == other).all()) else np.inf
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
        return np.inf
    largest = float(np.abs(one[finite]).max(initial=0.0))
    off = float(np.abs(one[finite] - other[finite]).max(initial=0.0))
    return off / largest if largest else (0.0 if not off else np.inf)
