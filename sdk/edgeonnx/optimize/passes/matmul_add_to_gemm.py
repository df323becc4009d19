"""A product of matrices and the vector added to it in one operator.

Rules:
    MatMul of two matrices, then Add of a constant of its columns (or one number for all), is a Gemm, in float32.
    What is not two-dimensional stays: the Reshapes around it cost what is gained.
"""

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import constant, each, edited, replaced, standard

_OPSET = 7


def matmul_add_to_gemm(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, lambda made: sum(map(_join, each(made, "Add")))) if model.opset >= _OPSET else (model, 0)


def _join(node: ir.Node) -> bool:
    for product, bias in (tuple(node.inputs), tuple(node.inputs[::-1])):
        maker = None if product is None else product.producer()
        if product is None or maker is None or maker.op_type != "MatMul" or not standard(maker):
            continue
        alone = len(product.uses()) == 1 and not product.is_graph_output() and maker.graph is node.graph
        flat = all(_matrix(value) for value in maker.inputs)
        if alone and flat and product.dtype == ir.DataType.FLOAT and _by_column(bias, maker.inputs[1]):
            replaced(node, "Gemm", [*maker.inputs, bias])
            return True
    return False


def _matrix(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == 2


def _by_column(bias: ir.Value | None, weight: ir.Value | None) -> bool:
    array = constant(bias)
    if array is None or array.ndim > 2 or weight is None or weight.shape is None:
        return False
    return array.size == 1 or (array.size == array.shape[-1] and weight.shape[1] == array.size)
