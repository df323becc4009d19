"""Dynamic quantization: weights in INT8, activations rounded as they come, with ranges of their own at each run.

Needs no samples. For transformers and recurrent networks, whose activations vary more than one range can serve. Never
for Conv: onnxruntime computes ConvInteger 4 to 10 times slower than float. GRU has no integer kernel at all.
"""

import numpy as np
import onnx_ir as ir
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
from onnxruntime.quantization.quant_utils import QuantizationMode

from edgeonnx.graph import STANDARD, constant, operand
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms._onnxruntime import quiet, split_gemms

_OPERATORS = ("MatMul", "LSTM")


def quantize_dynamic(
    model: Model, per_channel: bool = True, reduce_range: bool = False
) -> tuple[Model, tuple[str, ...]]:
    """Quantize every MatMul, Gemm and LSTM that has constant float32 weights.

    Args:
        model: normalized, float.
        per_channel: a scale for each output channel of the weights, rather than one for all.
        reduce_range: weights of 7 bits, for x86 processors without VNNI, whose 16-bit sums saturate.

    Returns:
        The model and the names of the nodes that were quantized; the same model and () if there are none. A Gemm
        becomes an integer MatMul and an Add.
    """
    split = split_gemms(model)
    names = [node.name or "" for node in split.ir.graph if _is_dense(node) and _has_weights(node)]
    if not names:
        return model, ()
    with quiet():
        quantizer = ONNXQuantizer(
            split.to_proto(),
            per_channel,
            reduce_range,
            QuantizationMode.IntegerOps,
            False,  # not static: no calibration
            QuantType.QInt8,
            QuantType.QUInt8,
            None,
            names,
            [],
            list(_OPERATORS),
            {"MatMulConstBOnly": True},
        )
        quantizer.quantize_model()
    proto = quantizer.model.model
    proto.producer_name, proto.producer_version = "edgeonnx", ""
    made = Model.from_proto(proto)
    left = {node.name for node in made.ir.graph if _is_dense(node)}
    done = tuple(name for name in names if name not in left)
    return (made, done) if done else (model, ())


def _is_dense(node: ir.Node) -> bool:
    return node.op_type in _OPERATORS and node.domain in STANDARD


def _has_weights(node: ir.Node) -> bool:
    array = constant(operand(node, 1))
    return array is not None and array.dtype == np.float32
