"""Cross-layer equalization: rescale channels so that one INT8 scale serves all channels of a tensor.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721.
The paper treats pairs of layers, s = sqrt(r1 * r2) / r2 for the ranges r1 of a layer's output channels and r2 of the
next layer's input channels. Here channels tied by residual Adds, Concat, shuffles and the like form a group with one
factor (see `_channels`), and r1 and r2 become geometric means over the group's writers and readers; for a pair of
layers it is the paper's rule. (Factors rounded to powers of two would keep the float function to the bit; they cost
1 to 4 dB of INT8 signal to noise, where exact ones change float outputs by some 1e-7.)
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import set_constant
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms._channels import follow
from edgeonnx.quantize.algorithms._linear import Linear
from edgeonnx.quantize.algorithms._slots import PINNED, Channels, Layout
from edgeonnx.ranges import Ranges

_SWEEPS = 40
_CONVERGED = 1e-3
# Factors nearer to 1 than this bring nothing.
_NEGLIGIBLE = 0.02
# Keeps factors, and what they multiply, inside float32; channels that are further apart are dead.
_EXTREME = 18.0
# A bias this many times larger, against its channel's weights, than the layer's other biases counts in their place:
# a channel that is dead but for its bias has tiny weights and must not be blown up to match the others.
_LARGE_BIAS = 4.0


def equalize(
    model: Model, ranges: Ranges | None = None, channel_max: Mapping[str, np.ndarray] | None = None
) -> tuple[Model, tuple[str, ...]]:
    """Rescale channels so that weight ranges match across layers; the float function is kept.

    Args:
        model: normalized, float.
        ranges: of activations. A Clip(0, high), as ReLU6, is not followed unless these prove that nothing reached
            `high`; then it becomes a Relu where that lets channels be rescaled.
        channel_max: name of a tensor -> largest magnitude of each of its channels, shape (channels,), as
            `observe.channel_maxima(model, equalizable(model), feeds)` finds them. With them, a channel's range as an
            activation takes the place of that of the weights that write it: what per-channel weights ask for.

    Returns:
        The model and the names of the nodes whose constants changed; the same model and () if none did.
    """
    copy = model.copy()
    channels = follow(copy.ir.graph, _ceilings(ranges))
    logs = _Solver(channels, channel_max or {}).solve()
    if not (np.abs(logs) > _NEGLIGIBLE).any():
        return model, ()
    return copy, _apply(copy.ir.graph, channels, np.exp(logs)[channels.roots(np.arange(channels.count))])


def equalizable(model: Model, ranges: Ranges | None = None) -> dict[str, int]:
    """Name -> channel axis of the activations whose channels `equalize` can rescale."""
    channels = follow(model.copy().ir.graph, _ceilings(ranges))
    found = channels.layouts.items()
    return {name: layout.axis for name, layout in found if channels.roots(layout.slots).any()}


def _ceilings(ranges: Ranges | None) -> dict[str, float]:
    return {} if ranges is None else {name: high for name, (_, high) in ranges.by_tensor.items()}


class _Solver:
    """Finds the logarithm of every slot's factor, group by group until nothing moves."""

    def __init__(self, channels: Channels, channel_max: Mapping[str, np.ndarray]) -> None:
        self.layers = [
            _Magnitudes(layer, channels.roots(rows), channels.roots(columns))
            for layer, rows, columns in channels.layers
        ]
        self.logs = np.zeros(channels.count)
        self.activations = _activations(channels, channel_max)

    def solve(self) -> np.ndarray:
        """Logarithms of the factors that outputs are multiplied by."""
        for _ in range(_SWEEPS):
            before = self.logs.copy()
            done: set[int] = {PINNED}
            for layer in self.layers:
                slots = np.array(sorted(set(layer.rows.tolist()) - done), np.int64)
                done.update(slots.tolist())
                if slots.size:
                    self._settle(slots)
            if np.abs(self.logs - before).max() < _CONVERGED:
                break
        return self.logs

    def _settle(self, slots: np.ndarray) -> None:
        """Give each of these slots the factor that makes the range it is written with equal that it is read with."""
        written, read = _Mean(self.logs.size), _Mean(self.logs.size)
        for layer in self.layers:
            if not self.activations and np.isin(layer.rows, slots).any():
                written.add(layer.rows, layer.row_ranges(self.logs))
            if np.isin(layer.columns, slots).any():
                read.add(layer.columns, layer.column_ranges(self.logs))
        for rows, seen in self.activations:
            if np.isin(rows, slots).any():
                written.add(rows, seen * np.exp(self.logs[rows]))
        step = 0.5 * (read.logs() - written.logs())[slots]
        moved = self.logs[slots] + np.where(np.isfinite(step), step, 0.0)
        self.logs[slots] = np.clip(moved, -_EXTREME, _EXTREME)


class _Mean:
    """Geometric mean, over tensors, of the range that a slot has in each of them relative to the others."""

    def __init__(self, count: int) -> None:
        self._sum = np.zeros(count)
        self._tensors = np.zeros(count)

    def add(self, slots: np.ndarray, ranges: np.ndarray) -> None:
        """One tensor's ranges; a slot may occur in it more than once, then its largest counts."""
        largest = np.zeros(self._sum.size)
        np.maximum.at(largest, slots, ranges)
        present = largest > 0
        logs = np.log(largest[present])
        self._sum[present] += logs - logs.mean()
        self._tensors[present] += 1

    def logs(self) -> np.ndarray:
        """Logarithms; nan for slots that no tensor has."""
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = self._sum / self._tensors
        return mean


class _Magnitudes:
    """The largest weight of each row and column of a layer, under the factors of the moment."""

    def __init__(self, layer: Linear, rows: np.ndarray, columns: np.ndarray) -> None:
        self.layer, self.rows, self.columns = layer, rows, columns
        self._largest = np.abs(layer.blocks()).max(axis=3).astype(np.float64)
        bias = np.zeros(1) if layer.bias is None else np.abs(layer.bias.astype(np.float64))
        self._bias = np.broadcast_to(bias, (*bias.shape[:-1], len(rows))).reshape(-1, len(rows)).max(axis=0)

    def row_ranges(self, logs: np.ndarray) -> np.ndarray:
        """Shape (rows,); where the bias is out of proportion, its share."""
        found: np.ndarray = self._scaled(logs).max(axis=2).ravel()
        bias = self._bias * np.exp(logs[self.rows])
        both = (found > 0) & (bias > 0)
        usual = float(np.median(found[both] / bias[both])) if both.any() else 0.0
        largest: np.ndarray = np.maximum(found, bias * usual / _LARGE_BIAS)
        return largest

    def column_ranges(self, logs: np.ndarray) -> np.ndarray:
        """Shape (columns,)."""
        found: np.ndarray = self._scaled(logs).max(axis=1).ravel()
        return found

    def _scaled(self, logs: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = self._largest * factors(self.layer, np.exp(logs), self.rows, self.columns)
        return scaled


def factors(layer: Linear, scale: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What weights are multiplied by, shape (groups, rows, columns): the output's factor over the input's."""
    groups, outputs, inputs = layer.shape
    factor: np.ndarray = scale[rows].reshape(groups, outputs, 1) / scale[columns].reshape(groups, 1, inputs)
    return factor


def _activations(channels: Channels, channel_max: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Slots and largest magnitudes of the tensors that were observed."""
    known: list[tuple[Layout, np.ndarray]] = [
        (channels.layouts[name], seen) for name, seen in channel_max.items() if name in channels.layouts
    ]
    return [(channels.roots(layout.slots), np.asarray(seen, np.float64)) for layout, seen in known]


def _apply(graph: ir.Graph, channels: Channels, scale: np.ndarray) -> tuple[str, ...]:
    """Write the factors into weights, biases and added constants; names of the nodes that changed."""
    changed: dict[str, None] = {}
    for layer, rows, columns in channels.layers:
        if (scale[rows] == 1).all() and (scale[columns] == 1).all():
            continue
        bias = layer.bias
        set_constant(layer.node, 1, layer.scaled(factors(layer, scale, rows, columns)))
        if bias is not None and (scale[rows] != 1).any():
            set_constant(layer.node, 2, (bias * scale[rows]).astype(np.float32))
        changed[layer.node.name or ""] = None
    for shift in channels.shifts:
        added = shift.node.inputs[shift.index]
        if (scale[shift.slots] != 1).any() and added is not None and added.const_value is not None:
            spread = scale[shift.slots].reshape(-1, *(1,) * shift.behind)
            set_constant(shift.node, shift.index, (added.const_value.numpy() * spread).astype(np.float32))
            changed[shift.node.name or ""] = None
    for node, slots in channels.ceilings:
        if (scale[slots] != 1).any():
            _drop_ceiling(graph, node)
            changed[node.name or ""] = None
    return tuple(changed)


def _drop_ceiling(graph: ir.Graph, node: ir.Node) -> None:
    relu = ir.node("Relu", [node.inputs[0]], name=node.name)
    result, old = relu.outputs[0], node.outputs[0]
    result.name, result.shape, result.type = old.name, old.shape, old.type
    graph.insert_after(node, relu)
    old.replace_all_uses_with(result)
    graph.remove(node, safe=True)
