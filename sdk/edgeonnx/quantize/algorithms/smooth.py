"""SmoothQuant: move the outliers of activations into the weights that read them.

Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", ICML 2023,
arXiv:2211.10438. Channel j of an activation is divided by s_j = max|x_j|^alpha / max|w_j|^(1 - alpha), and the weights
that read it multiplied by it. The division goes into the operator that makes the activation where that can take it
(see `_fold`), else into a Mul. All layers that read one activation share its factors.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, new_constant, read_by_subgraphs, set_constant, with_outputs
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms._fold import fold
from edgeonnx.quantize.algorithms._linear import Linear, linear
from edgeonnx.quantize.algorithms.observe import Feeds, Progress, run_each, silent

_GRID = tuple(round(0.3 + 0.1 * step, 1) for step in range(7))
_SMALLEST = 1e-5


def smooth(
    model: Model,
    maxima: Mapping[str, np.ndarray],
    alpha: float | Literal["auto"] = 0.5,
    rows: Mapping[str, np.ndarray] | None = None,
    per_channel: bool = True,
    insert: bool = True,
) -> tuple[Model, tuple[str, ...]]:
    """Move outliers of activations into the weights of MatMul and Gemm; the float function is kept.

    Args:
        model: normalized, float.
        maxima: name of an activation -> largest magnitude of each channel, shape (channels,), by
            `channel_maxima(model, smoothable(model), feeds)`; activations that are absent are left alone.
        alpha: how much of the difficulty moves: 0 none, 1 all. `auto`: for each activation that of 0.3 to 0.9, or none
            at all, under which INT8 changes the results on `rows` the least.
        rows: name -> sampled rows, shape (rows, channels), by `sample_rows`; needed by `auto`.
        per_channel: whether weights will have a scale for each output channel; for `auto`.
        insert: whether a Mul may be added where the division finds no place. The Mul is named after the activation
            with `.smooth` and should stay in float: in INT8 its input would be rounded with the outliers in it.

    Returns:
        The model and the names of the layers whose weights changed; the same model and () if none did.

    Raises:
        ValueError: alpha is outside 0 to 1, or `auto` without `rows`.
    """
    if alpha == "auto" and rows is None:
        raise ValueError("alpha is auto, which needs rows; got none: take sample_rows(model, smoothable(model), feeds)")
    if alpha != "auto" and not 0 <= alpha <= 1:
        raise ValueError(f"expected alpha from 0 to 1, got {alpha}")
    copy = model.copy()
    inside = read_by_subgraphs(copy.ir.graph)
    changed: list[str] = []
    for value, layers in _groups(copy.ir.graph):
        seen, sampled = maxima.get(value.name or ""), (rows or {}).get(value.name or "")
        if seen is None or len(seen) != layers[0].shape[2]:
            continue
        scale = _searched(layers, seen, sampled, per_channel) if alpha == "auto" else _scale(layers, seen, alpha)
        if scale is not None and not np.allclose(scale, 1) and _divide(value, layers, scale, inside, insert):
            changed.extend(layer.node.name or "" for layer in layers)
    return (copy, tuple(changed)) if changed else (model, ())


def smoothable(model: Model) -> dict[str, int]:
    """Name -> channel axis of the activations that `smooth` can treat."""
    return {value.name or "": -1 for value, _ in _groups(model.ir.graph)}


def sample_rows(
    model: Model, tensors: Mapping[str, int], feeds: Feeds, count: int = 128, progress: Progress = silent
) -> dict[str, np.ndarray]:
    """Rows of activations, drawn from all samples alike, the same ones at every run.

    Args:
        model: float, normalized.
        tensors: names of float32 tensors; channels are the last axis.
        feeds: input name -> array, one mapping a sample.
        count: how many rows to keep of each.
        progress: told the number of samples done.

    Returns:
        Name -> float32 of shape (count or fewer, channels).

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
    """
    if not tensors:
        return {}
    random = np.random.default_rng(0)
    names = list(tensors)
    # Of all rows, those with the smallest random numbers: what is kept does not grow with the samples.
    kept = {name: (np.empty(0), np.empty((0, 0), np.float32)) for name in names}
    for found in run_each(with_outputs(model, names), names, feeds, progress):
        for name, array in zip(names, found, strict=True):
            keys, old = kept[name]
            flat = array.reshape(-1, array.shape[-1])
            keys = np.concatenate([keys, random.random(len(flat))])
            best = np.sort(np.argsort(keys)[:count])
            kept[name] = keys[best], (np.concatenate([old, flat]) if len(old) else flat)[best]
    return {name: rows for name, (_, rows) in kept.items()}


def _groups(graph: ir.Graph) -> list[tuple[ir.Value, list[Linear]]]:
    """Activations and the layers that read them, where the layers' weights are their own."""
    found: dict[ir.Value, list[Linear]] = {}
    for node in graph:
        source = node.inputs[0] if node.op_type in ("MatMul", "Gemm") and node.domain in STANDARD else None
        layer = linear(node)
        if source is None or source.const_value is not None or layer is None:
            continue
        if len(node.inputs[1].uses()) == 1:  # type: ignore[union-attr]  # linear() saw a weight there
            found.setdefault(source, []).append(layer)
    return list(found.items())


def _matrix(layer: Linear) -> np.ndarray:
    """Weights as (rows, columns): output, input channels."""
    return layer.blocks()[0, :, :, 0].astype(np.float64)


def _scale(layers: list[Linear], seen: np.ndarray, alpha: float) -> np.ndarray:
    """What each channel is divided by; 1 for channels that are dead on either side."""
    weights = np.max([np.abs(_matrix(layer)).max(axis=0) for layer in layers], axis=0)
    live = (seen > 0) & (weights > 0) & np.isfinite(seen)
    ratio = np.where(live, seen, 1.0).astype(np.float64) ** alpha / np.where(live, weights, 1.0) ** (1 - alpha)
    return np.where(live, np.maximum(ratio, _SMALLEST), 1.0)


def _searched(layers: list[Linear], seen: np.ndarray, rows: np.ndarray | None, per_channel: bool) -> np.ndarray | None:
    """The scale under which INT8 changes the results least; None if that is none at all."""
    if rows is None or not len(rows):
        return None
    scales = [np.ones(len(seen)), *(_scale(layers, seen, alpha) for alpha in _GRID)]
    errors = [_int8_error(layers, seen, rows.astype(np.float64), scale, per_channel) for scale in scales]
    best = int(np.argmin(errors))
    return scales[best] if best else None


def _int8_error(
    layers: list[Linear], seen: np.ndarray, rows: np.ndarray, scale: np.ndarray, per_channel: bool
) -> float:
    """Mean squared error of the layers' results, uint8 activations and int8 weights simulated."""
    smoothed = rows / scale
    low, high = min(smoothed.min(), 0.0), max(smoothed.max(), 0.0)
    largest = float((seen / scale).max())
    low, high = (-largest if low < 0 else 0.0), (largest if high > 0 else 0.0)
    step = (high - low) / 255 or 1.0
    rounded = np.round(smoothed / step) * step
    total = 0.0
    for layer in layers:
        weights = _matrix(layer)
        moved = weights * scale
        steps = np.abs(moved).max(axis=1, keepdims=True) if per_channel else np.abs(moved).max(keepdims=True)
        steps = np.where(steps > 0, steps, 1.0) / 127
        wanted, got = rows @ weights.T, rounded @ (np.round(moved / steps) * steps).T
        total += float(np.mean((wanted - got) ** 2) / max(float(np.mean(wanted**2)), 1e-30))
    return total


def _divide(value: ir.Value, layers: list[Linear], scale: np.ndarray, inside: set[str], insert: bool) -> bool:
    """Divide the activation, multiply the weights; False if there is no place for the division."""
    nodes = {layer.node for layer in layers}
    others = value.is_graph_output() or any(use.node not in nodes or use.idx != 0 for use in value.uses())
    edits = None if others else fold(value, 1 / scale, inside)
    if edits is None and not insert:
        return False
    for edit in edits or ():
        edit()
    if edits is None:
        _insert(value, layers, 1 / scale)
    for layer in layers:
        set_constant(layer.node, 1, layer.scaled(np.broadcast_to(scale, layer.shape)))
    return True


def _insert(value: ir.Value, layers: list[Linear], factor: np.ndarray) -> None:
    """One Mul for all the layers that read the activation."""
    graph = layers[0].node.graph
    assert isinstance(graph, ir.Graph)
    name = f"{value.name}.smooth"
    numbers = new_constant(graph, f"{name}.factor", factor.astype(np.float32))
    mul = ir.node("Mul", [value, numbers], name=name)
    mul.outputs[0].name = f"{name}.output"
    mul.outputs[0].shape, mul.outputs[0].type = value.shape, value.type
    graph.insert_before(layers[0].node, mul)
    for layer in layers:
        layer.node.replace_input_with(0, mul.outputs[0])
