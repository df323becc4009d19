"""How much each quantized node disturbs the model: signal to quantization noise, measured on samples.

Two measures. `local_sqnr` runs the float model once, each quantized layer computed beside its float self on the same
input, so that one pass tells of all layers: cheap, and blind to what follows them. `output_sqnr` compares the outputs
of two models: what counts, at the price of a run for each question.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.quantize.layers import Integers, Layer, quantized_layers

_SIGNAL, _NOISE = "edgeonnx.signal", "edgeonnx.noise"
_SILENT = 1e-30


@dataclass(frozen=True)
class Sensitivity:
    """Signal to noise ratio of quantized nodes, in dB; the lower, the more a node disturbs."""

    sqnr: Mapping[str, float]

    def worst_first(self) -> tuple[str, ...]:
        """Names of the nodes, the most disturbing first."""
        return tuple(sorted(self.sqnr, key=lambda name: self.sqnr[name]))


def local_sqnr(model: Model, quantized: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> Sensitivity:
    """Signal to noise of each quantized layer at its own output, on float inputs.

    Args:
        model: the float model that `quantized` was written from; the nodes of both have the same names.
        quantized: with QDQ nodes.
        feeds: samples, input name -> array; a few suffice.
    """
    layers = {layer.node.name or "": layer for layer in quantized_layers(quantized.ir)}
    names = [node.name or "" for node in model.ir.graph if node.name in layers]
    if not names:
        return Sensitivity({})
    session = _with_branches(model, [layers[name] for name in names]).session()
    powers = np.zeros((2, len(names)))
    for feed in feeds:
        powers += np.nan_to_num(np.array(session.run([_SIGNAL, _NOISE], dict(feed)), np.float64), posinf=0.0)
    return Sensitivity({name: decibels(s, n) for name, s, n in zip(names, *powers, strict=True)})


def output_sqnr(model: Model, quantized: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> float:
    """Signal to noise at the outputs, in dB: the least over the float outputs, each over all samples.

    Values that are not finite in the float model are left out; where only the quantized model's are not, the result is
    minus infinity.
    """
    names = [tensor.name for tensor in model.outputs if tensor.dtype.startswith("float")]
    one, other = model.session(), quantized.session()
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    for feed in feeds:
        pairs = zip(one.run(names, dict(feed)), other.run(names, dict(feed)), strict=True)
        for index, (expected, got) in enumerate(pairs):
            finite = np.isfinite(expected)
            difference = expected[finite].astype(np.float64) - got[finite]
            signal[index] += np.square(expected[finite], dtype=np.float64).sum()
            noise[index] += np.square(difference).sum() if np.isfinite(difference).all() else np.inf
    return min((decibels(s, n) for s, n in zip(signal, noise, strict=True)), default=np.inf)


def decibels(signal: float, noise: float) -> float:
    """Ratio of two powers in dB: infinite without noise, minus infinity with nothing else."""
    if noise <= _SILENT * max(signal, 1.0):
        return np.inf
    return -np.inf if not np.isfinite(noise) or signal <= 0 else float(10 * np.log10(signal / noise))


def _with_branches(model: Model, layers: list[Layer]) -> Model:
    """The float model with a branch beside each layer that computes it from rounded operands.

    Its outputs are two vectors: the power of each layer's output, and that of the difference.
    """
    copy = model.copy()
    graph = copy.ir.graph
    nodes = {node.name: node for node in graph}
    powers: dict[str, list[ir.Value]] = {_SIGNAL: [], _NOISE: []}
    for layer in layers:
        node = nodes[layer.node.name]
        branch = _Branch(graph, f"edgeonnx.branch.{node.name}")
        rounded = branch.layer(node, layer)
        end = node.outputs[0]
        difference = branch.add("Sub", [end, rounded])
        powers[_SIGNAL].append(branch.power(end))
        powers[_NOISE].append(branch.power(difference))
    graph.outputs.clear()
    for name, values in powers.items():
        joined = ir.node("Concat", values, {"axis": 0}, name=name)
        joined.outputs[0].name, joined.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
        joined.outputs[0].shape = ir.Shape([len(values)])
        graph.append(joined)
        graph.outputs.append(joined.outputs[0])
    return Model(copy.ir)


class _Branch:
    """Nodes and constants that are added to a graph under one prefix."""

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        self._graph, self._prefix, self._count = graph, prefix, 0

    def add(
        self,
        op_type: str,
        inputs: list[ir.Value | None],
        attributes: Mapping[str, ir.Attr] | None = None,
        domain: str = "",
    ) -> ir.Value:
        """A node; its output."""
        node = ir.Node(domain, op_type, inputs, list((attributes or {}).values()), name=self._next())
        node.outputs[0].name = f"{node.name}.out"
        self._graph.append(node)
        return node.outputs[0]

    def constant(self, array: np.ndarray) -> ir.Value:
        """An initializer."""
        value = ir.Value(name=self._next(), const_value=ir.tensor(array))
        self._graph.register_initializer(value)
        return value

    def layer(self, node: ir.Node, layer: Layer) -> ir.Value:
        """The layer's output before its activation, from rounded input and weights, rounded as it is stored."""
        weight = layer.weight.real().astype(np.float32)
        inputs = [self.rounded(node.inputs[0], layer.input), self.constant(weight), *node.inputs[2:]]
        return self.add(node.op_type, inputs, node.attributes)

    def rounded(self, value: ir.Value | None, stored: Integers) -> ir.Value:
        """A tensor, quantized and dequantized by operators of the domain that takes its integers."""
        domain = stored.dequantize.domain
        self._graph.opset_imports.setdefault(domain, 1)
        scale = self.constant(stored.scale.astype(np.float32))
        zero_point = self.constant(stored.zero_point)
        quantized = self.add("QuantizeLinear", [value, scale, zero_point], domain=domain)
        return self.add("DequantizeLinear", [quantized, scale, zero_point], domain=domain)

    def power(self, value: ir.Value) -> ir.Value:
        """Sum of squares, shape (1,)."""
        total = self.add("ReduceSumSquare", [value], {"keepdims": ir.AttrInt64("keepdims", 0)})
        return self.add("Reshape", [total, self.constant(np.array([1], np.int64))])

    def _next(self) -> str:
        self._count += 1
        return f"{self._prefix}.{self._count}"
