"""Which nodes of a quantized model the CPU provider computes in integers, and which between conversions in float."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx

from edgeonnx.model import Model
from edgeonnx.quantize.kernels import optimized_graph

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# Kernels for integers whose names do not begin with QLinear.
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_INTEGER = frozenset(
    {
        *("ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits"),
        *("QAttention", "QEmbedLayerNormalization", "QGemm"),
    }
)
# These take integers and give float.
_TO_FLOAT = frozenset({_DEQUANTIZE, "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits", "QAttention"})
# What onnxruntime appends to the names of nodes it makes.
_SUFFIXES = re.compile(r"(/MatMulAddFusion|/duplicated|_token_\d+|_fused|_quant)+$")


@dataclass(frozen=True)
class Island:
    """A node computed in float between a Dequantize and a Quantize, which cost a pass each.

    Attributes:
        name: the node's.
        op_type: its operator.
        quantized: whether its weight is kept in integers, so that it was meant to be computed in them.
    """

    name: str
    op_type: str
    quantized: bool


@dataclass(frozen=True)
class Kernels:
    """What a quantized model becomes on the CPU provider.

    Attributes:
        integer: operator of a kernel that computes on integers, or gives them on -> how many there are.
        names: of the nodes that they are made of.
        islands: in the order they run.
    """

    integer: Mapping[str, int]
    names: frozenset[str]
    islands: tuple[Island, ...]


def cpu_kernels(model: Model, arm: bool = False) -> Kernels:
    """Read the graph that onnxruntime makes of a model.

    Args:
        model: its nodes are named.
        arm: whether the CPU is an Arm.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    graph = optimized_graph(model, arm)
    computing = list(_integer_nodes(graph))
    return Kernels(
        integer=dict(Counter(node.op_type for node in computing).most_common()),
        names=frozenset(plain_name(node.name) for node in computing),
        islands=tuple(_islands(graph)),
    )


def _integer_nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """Kernels for integers, and nodes that give on what such a kernel or a Quantize makes."""
    integers: set[str] = set()
    for node in graph.node:
        kernel = node.op_type.startswith("QLinear") or node.op_type in _INTEGER
        carries = node.op_type not in (_QUANTIZE, _DEQUANTIZE) and bool(node.input) and node.input[0] in integers
        if kernel or carries:
            yield node
        if node.op_type not in _TO_FLOAT and (kernel or carries or node.op_type == _QUANTIZE):
            integers.update(node.output)


def _islands(graph: onnx.GraphProto) -> Iterable[Island]:
    constant = {tensor.name for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    quantized = {node.input[0] for node in graph.node if node.op_type == _QUANTIZE}
    for node in graph.node:
        if node.op_type in (_QUANTIZE, _DEQUANTIZE) or not quantized & set(node.output):
            continue
        before = [makers[name] for name in node.input if name in makers and makers[name].op_type == _DEQUANTIZE]
        weights = [maker for maker in before if maker.input[0] in constant]
        if len(before) > len(weights):
            yield Island(plain_name(node.name), node.op_type, bool(weights))


def plain_name(name: str) -> str:
    """A node's name without what onnxruntime appended to it."""
    return _SUFFIXES.sub("", name)
