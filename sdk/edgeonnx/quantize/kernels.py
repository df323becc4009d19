"""Which layers of a QDQ model onnxruntime's CPU provider computes in integers: it is asked, not guessed."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from edgeonnx.errors import ModelError
from edgeonnx.model import Model, session_options
from edgeonnx.quantize.layers import Layer, integers, quantized_layers

# Integer kernels: where the zero points of input and weight stand, and the scale of a result that is quantized.
# https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
_KERNELS: dict[str, tuple[int, int, int | None]] = {
    "QLinearConv": (2, 5, 6),
    "QLinearMatMul": (2, 5, 6),
    "QGemm": (2, 5, 7),
    "MatMulIntegerToFloat": (4, 5, None),
}
# What onnxruntime adds to the name of a MatMul that it joins with the Add after it.
_WITH_ADD = "/MatMulAddFusion"


@dataclass(frozen=True)
class Kernel:
    """A layer that is computed in integers.

    Attributes:
        layer: its node, operands and their integers.
        unsigned: whether its input is uint8 when the kernel runs: on x86-64, int8 activations become uint8 first.
        last: the node whose result the sums become: the layer's own, or an Add that joined it.
        bias_index: which input of `last` is the bias; None if there is none.
        quantize: the QuantizeLinear that vanishes into it; None where its result is float.
    """

    layer: Layer
    unsigned: bool
    last: ir.Node
    bias_index: int | None
    quantize: ir.Node | None

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.node.name or ""

    @property
    def group(self) -> int:
        """Number of groups of a Conv; 1 for a product of matrices."""
        return self.layer.node.attributes.get_int("group", 1)

    @property
    def depthwise(self) -> bool:
        """Whether each group has one input and one output channel, for which there is a kernel of its own."""
        weight = self.weight
        return self.layer.node.op_type == "Conv" and weight.shape[1] == 1 and weight.shape[0] == self.group

    @property
    def weight(self) -> np.ndarray:
        """The integers of its weight, as they stand in the model."""
        constant = self.layer.weight.constant
        assert constant is not None  # quantized_layers yields constant weights alone
        return constant

    @property
    def bias(self) -> np.ndarray | None:
        """Its bias in int32, in units of the products; onnxruntime rounds one that stands in float."""
        value = None if self.bias_index is None else self.last.inputs[self.bias_index]
        if value is None:
            return None
        stored = integers(value)
        if stored is not None and stored.constant is not None:
            return stored.constant
        if value.const_value is None:
            raise ModelError(f"{self.name}: expected a constant bias, got {value.name}, which is computed")
        unit = self.layer.input.scale * self.layer.weight.scale
        rounded: np.ndarray = np.rint(value.const_value.numpy() / unit).astype(np.int32)
        return rounded

    @property
    def output_scale(self) -> np.ndarray | None:
        """The scale its result is quantized with, float32 of shape (); None where its result is float."""
        value = None if self.quantize is None else self.quantize.inputs[1]
        return None if value is None or value.const_value is None else value.const_value.numpy()


def named(model: Model) -> Model:
    """A copy in which every node has a name: layers are known by theirs."""
    copy = model.copy()
    for index, node in enumerate(copy.ir.graph):
        node.name = node.name or f"{node.op_type}_{index}"
    return copy


def integer_kernels(model: Model) -> tuple[Kernel, ...]:
    """The layers computed in integers, in topological order, as onnxruntime on x86-64 fuses them.

    Args:
        model: QDQ; its nodes are named.

    Raises:
        ModelError: onnxruntime does not accept the model, or multiplies by int8 weights in what is no layer to us.
    """
    layers = {layer.node.name: layer for layer in quantized_layers(model.ir)}
    found: dict[str | None, Kernel] = {}
    for node, kinds in _fused(model):
        joined = node.name not in layers and node.name.endswith(_WITH_ADD)
        name = node.name.removesuffix(_WITH_ADD) if joined else node.name
        if name in layers:
            found[name] = _kernel(layers[name], node, joined, kinds[0] == onnx.TensorProto.UINT8)
        elif kinds == (onnx.TensorProto.UINT8, onnx.TensorProto.INT8):
            raise ModelError(
                f"{name}: onnxruntime makes a {node.op_type} of it, with a weight that is not constant behind a "
                "DequantizeLinear; whether it saturates can't be told"
            )
    return tuple(found[name] for name in layers if name in found)


def _fused(model: Model) -> Iterator[tuple[onnx.NodeProto, tuple[int, int]]]:
    """Integer kernels in the graph onnxruntime makes of a model, named after the nodes they are made of.

    With each, the types of its input and of its weight.
    """
    graph = optimized_graph(model)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in _KERNELS:
            data, weight = (types.get(node.input[at], onnx.TensorProto.UINT8) for at in _KERNELS[node.op_type][:2])
            yield node, (data, weight)


def optimized_graph(model: Model, arm: bool = False) -> onnx.GraphProto:
    """The graph onnxruntime makes of a model for its CPU provider, without large weights.

    Args:
        model: any.
        arm: as on Arm, whose kernels take int8 activations as they are; else as on x86-64, wherever this runs.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "optimized.onnx"
        options = session_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(file)
        options.add_session_config_entry("session.qdqisint8allowed", "1" if arm else "0")
        # Weights go aside: only the graph is read, and it may not exceed 2 GiB.
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
        model.session(options)
        return onnx.load(file, load_external_data=False).graph


def _kernel(layer: Layer, kernel: onnx.NodeProto, joined: bool, unsigned: bool) -> Kernel:
    last, bias_index = layer.node, 2 if len(layer.node.inputs) > 2 and layer.node.inputs[2] is not None else None
    if joined:
        product = layer.node.outputs[0]
        last = product.consumers()[0]
        bias_index = 1 - last.inputs.index(product)
    scale = _KERNELS[kernel.op_type][2]
    quantizes = scale is not None and len(kernel.input) > scale and bool(kernel.input[scale])
    return Kernel(layer, unsigned, last, bias_index, _quantize(last) if quantizes else None)


def _quantize(node: ir.Node) -> ir.Node:
    """The QuantizeLinear behind a node, past activations that vanish into it."""
    while node.op_type != "QuantizeLinear":
        node = node.outputs[0].consumers()[0]
    return node
