"""Gemm in the one form that integer kernels take: alpha and beta 1, the bias a vector of the output channels.

onnxruntime 1.32's QDQ writer drops a beta other than 1 without applying it to the bias, and fails on, or writes
models that do not run for, per-channel weights beside a bias of any other shape.
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import STANDARD, constant, new_constant, operand, set_constant
from edgeonnx.model import Model


def plain_gemms(model: Model) -> tuple[Model, tuple[str, ...]]:
    """Bring every Gemm with constant float32 weights into that form; the function stays the same.

    A constant bias that differs from row to row has no place in an integer kernel: it goes into an Add.

    Args:
        model: normalized, float.

    Returns:
        The model and the names of the Gemms that changed; the same model and () if all were plain.
    """
    copy = model.copy()
    changed = [node.name or "" for node in list(copy.ir.graph) if _is_gemm(node) and _make_plain(node)]
    return (copy, tuple(changed)) if changed else (model, ())


def _is_gemm(node: ir.Node) -> bool:
    weight = constant(operand(node, 1))
    return node.op_type == "Gemm" and node.domain in STANDARD and weight is not None and weight.dtype == np.float32


def _make_plain(node: ir.Node) -> bool:
    weight, bias = constant(node.inputs[1]), constant(operand(node, 2))
    alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    assert weight is not None
    changed = False
    if alpha != 1:
        set_constant(node, 1, (weight * np.float32(alpha)).astype(np.float32))
        node.attributes["alpha"] = ir.AttrFloat32("alpha", 1.0)
        changed = True
    if bias is None or bias.dtype != np.float32:
        return changed
    channels = weight.shape[0 if node.attributes.get_int("transB", 0) else 1]
    if beta == 1 and bias.shape == (channels,):
        return changed
    bias = (bias * np.float32(beta)).astype(np.float32)
    node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    if bias.ndim == 2 and bias.shape[0] > 1:
        _add_after(node, bias)
    else:
        set_constant(node, 2, np.broadcast_to(bias.reshape(-1), (channels,)))
    return True


def _add_after(node: ir.Node, bias: np.ndarray) -> None:
    """Gemm without its bias, then an Add of it under the old output's name."""
    graph, result = node.graph, node.outputs[0]
    assert isinstance(graph, ir.Graph)
    old = node.inputs[2]
    product = ir.node(
        "Gemm", [node.inputs[0], node.inputs[1]], {k: a.value for k, a in node.attributes.items()}, name=node.name
    )
    product.outputs[0].name = f"{result.name}_product"
    product.outputs[0].shape, product.outputs[0].type = result.shape, result.type
    added = ir.node("Add", [product.outputs[0], new_constant(graph, f"{node.name}.2", bias)], name=f"{node.name}_bias")
    added.outputs[0].name, added.outputs[0].shape, added.outputs[0].type = result.name, result.shape, result.type
    graph.insert_after(node, [product, added])
    result.replace_all_uses_with(added.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if old is not None and not old.uses() and not old.is_graph_output():
        del graph.initializers[old.name or ""]
