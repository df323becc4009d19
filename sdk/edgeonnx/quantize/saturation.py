"""Saturation on x86-64 without VNNI, foretold on any machine: which layers, how often, and what the model then says."""

from collections.abc import Iterable, Mapping

import numpy as np
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.quantize.kernels import named
from edgeonnx.quantize.pairs import saturating_pairs
from edgeonnx.quantize.saturation_graph import write_saturating

_SHARE = "saturated/"
# From here on ReduceSum takes its axes as an input, and Dequantize a scale for each channel.
_OPSET = 13


def saturating_layers(model: Model) -> tuple[str, ...]:
    """Names of the layers that saturate on x86-64 without VNNI for some input, by their weights alone.

    Args:
        model: QDQ.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    return tuple(kernel.name for kernel, _ in saturating_pairs(named(model)))


def saturating(model: Model) -> Model:
    """A model that computes on any machine what the given one computes on x86-64 without VNNI.

    Layers that can't saturate are left as they are. The others are written out in standard operators: sums in int32,
    less what saturation cuts off, then the kernel's own rounding, so that their integers are the same to the bit. It
    is slower than the model it stands for.

    Args:
        model: QDQ.

    Raises:
        ModelError: onnxruntime does not accept the model, or a layer can't be written out; the message says why.
    """
    return _rewrite(model, measure=False)


def measured_saturation(model: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> Mapping[str, float]:
    """For each layer that can saturate, the share of its sums that saturation changes, averaged over feeds.

    Layers read what those before them make of the feeds on such a CPU.

    Args:
        model: QDQ.
        feeds: inputs by name; one at a time is held.

    Raises:
        ModelError: see `saturating`.
        ValueError: there are no feeds.
    """
    measuring = _rewrite(model, measure=True)
    names = [tensor.name for tensor in measuring.outputs if tensor.name.startswith(_SHARE)]
    if not names:
        return {}
    session = measuring.session()
    total, runs = np.zeros(len(names)), 0
    for feed in feeds:
        total += np.array(session.run(names, dict(feed)), np.float64)
        runs += 1
    if not runs:
        raise ValueError("expected feeds to measure saturation on, got none")
    return {name.removeprefix(_SHARE): float(share / runs) for name, share in zip(names, total, strict=True)}


def _rewrite(model: Model, measure: bool) -> Model:
    """Write out each layer that can saturate; with `measure`, the share of changed sums is an output of each."""
    if model.opset < _OPSET:
        raise ModelError(f"expected opset {_OPSET} or newer, got {model.opset}; normalize the model, then quantize it")
    copy = named(model)
    ShapeInferencePass(strict_mode=False)(copy.ir)
    for kernel, pairs in saturating_pairs(copy):
        share = write_saturating(copy.ir.graph, kernel, pairs)
        if measure:
            share.name = f"{_SHARE}{kernel.name}"
            copy.ir.graph.outputs.append(share)
    RemoveUnusedNodesPass()(copy.ir)
    return Model(copy.ir)  # the copy remembers its size from before
