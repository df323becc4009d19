"""What calls into onnxruntime's quantization tools share."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, constant, new_constant, operand
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms.gemm import plain_gemms
from edgeonnx.quiet import quiet_logging


@contextmanager
def quiet() -> Iterator[None]:
    """They log, warn and print: advice that does not apply to a normalized model, and progress bars."""
    with quiet_logging(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def split_gemms(model: Model) -> Model:
    """The model with every Gemm of constant weights as a MatMul of the same name and an Add, named with `_bias`."""
    plain, _ = plain_gemms(model)
    copy = plain.copy()
    for node in list(copy.ir.graph):
        weight = constant(operand(node, 1))
        if node.op_type != "Gemm" or node.domain not in STANDARD or weight is None or weight.dtype != np.float32:
            continue
        if not node.attributes.get_int("transA", 0) and node.attributes.get_float("beta", 1.0) == 1:
            _split(copy.ir.graph, node, weight)
    return copy


def _split(graph: ir.Graph, node: ir.Node, weight: np.ndarray) -> None:
    result, old = node.outputs[0], node.inputs[1]
    if node.attributes.get_int("transB", 0):
        old = new_constant(graph, f"{node.name}.weight", weight.T)
    product = ir.node("MatMul", [node.inputs[0], old], name=node.name)
    made, last = [product], product.outputs[0]
    last.shape, last.type = result.shape, result.type
    bias = operand(node, 2)
    if bias is not None:
        last.name = f"{result.name}_product"
        added = ir.node("Add", [last, bias], name=f"{node.name}_bias")
        made, last = [product, added], added.outputs[0]
        last.shape, last.type = result.shape, result.type
    last.name = result.name
    weights = node.inputs[1]
    graph.insert_after(node, made)
    result.replace_all_uses_with(last, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if weights is not None and not weights.uses() and not weights.is_graph_output():
        del graph.initializers[weights.name or ""]
