"""Write QuantizeLinear and DequantizeLinear nodes into a model; the writer is onnxruntime's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edgeonnx.model import Model
from edgeonnx.quantize.placement import Placement
from edgeonnx.quantize.recipe import Recipe
from edgeonnx.ranges import Ranges

_TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}


def write_qdq(model: Model, ranges: Ranges, placement: Placement, recipe: Recipe) -> Model:
    """The model with the placed nodes between Dequantize and Quantize.

    Args:
        model: normalized, float.
        ranges: of every float32 activation that a placed node reads or writes.
        placement: which nodes.
        recipe: types, symmetry and granularity.

    Returns:
        A model of the same inputs and outputs; weights of the placed nodes are integers.
    """
    proto = model.to_proto()
    operators = {node.op_type for node in proto.graph.node if node.name in placement.quantized}
    with _quiet():
        quantizer = QDQQuantizer(
            proto,
            per_channel=recipe.weights.per_channel,
            reduce_range=False,
            weight_qType=_TYPES[recipe.weights.dtype],
            activation_qType=_TYPES[recipe.activations.dtype],
            tensors_range=_tensor_data(ranges),
            nodes_to_quantize=list(placement.quantized),
            nodes_to_exclude=list(placement.kept),
            op_types_to_quantize=sorted(operators),
            extra_options={
                "ActivationSymmetric": recipe.activations.symmetric,
                "WeightSymmetric": recipe.weights.symmetric,
            },
        )
        quantized = quantizer.quantize_model()
    quantized.producer_name = "edgeonnx"
    quantized.producer_version = ""
    quantized.graph.ClearField("value_info")
    made = Model.from_proto(quantized)
    _read_float(made.ir.graph, placement)
    RemoveUnusedNodesPass()(made.ir)
    return made


def _read_float(graph: ir.Graph, placement: Placement) -> None:
    """Let nodes kept in float read what is float: the writer hands them the rounded values, as it does all readers."""
    for node in graph:
        if node.name not in placement.kept:
            continue
        for index, value in enumerate(node.inputs):
            rounded = _source(_source(value, "DequantizeLinear"), "QuantizeLinear")
            producer = None if rounded is None else rounded.producer()
            if rounded is not None and (producer is None or producer.name in placement.kept):
                node.replace_input_with(index, rounded)


def _source(value: ir.Value | None, op_type: str) -> ir.Value | None:
    """What a value was made from by a node of this type; None if it was not."""
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == op_type else None


def quantized_nodes(model: Model) -> int:
    """Number of QuantizeLinear and DequantizeLinear nodes; 0 tells that nothing was quantized."""
    return sum(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.ir.graph)


def _tensor_data(ranges: Ranges) -> dict[str, TensorData]:
    return {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.by_tensor.items()
        if np.isfinite((low, high)).all()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """The writer logs through the root logger, advice that does not apply to a normalized model."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
