"""Float16: half the size, and twice the speed where there is hardware for it; a CPU computes much of it in float32."""

from collections.abc import Iterable

import onnx_ir as ir

from edgeonnx.errors import ModelError
from edgeonnx.model import Model, first_line
from edgeonnx.quantize.algorithms._onnxruntime import quiet


def to_float16(
    model: Model, keep_io_types: bool = True, keep_operators: Iterable[str] = (), keep_nodes: Iterable[str] = ()
) -> tuple[Model, tuple[str, ...]]:
    """Convert weights and activations to float16; the work is onnxruntime's `convert_float_to_float16`.

    Weights beyond float16's range are clipped to it, at 65504; smaller ones than it knows become its smallest.

    Args:
        model: normalized, float.
        keep_io_types: whether inputs and outputs stay float32.
        keep_operators: operator types that stay float32, besides those that have no form in float16.
        keep_nodes: names of nodes that stay float32.

    Returns:
        The model and the names of the nodes that compute in float16; the same model and () if none does.

    Raises:
        ModelError: the converter can't convert the model; its words follow.
    """
    # Imported here because it is slow to import, and few recipes want it.
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    kept = [*DEFAULT_OP_BLOCK_LIST, *keep_operators]
    try:
        with quiet():
            proto = convert_float_to_float16(
                model.to_proto(), keep_io_types=keep_io_types, op_block_list=kept, node_block_list=list(keep_nodes)
            )
    except Exception as error:  # the converter raises what it stumbles over
        raise ModelError(
            f"float16 conversion failed: {first_line(error)}; name the operator in keep_operators"
        ) from error
    proto.producer_name, proto.producer_version = "edgeonnx", ""
    made = Model.from_proto(proto)
    before = {node.name for node in model.ir.graph}
    done = tuple(node.name or "" for node in made.ir.graph if node.name in before and _is_half(node))
    return (made, done) if done else (model, ())


def _is_half(node: ir.Node) -> bool:
    """Whether a node reads or writes float16."""
    return any(value is not None and value.dtype == ir.DataType.FLOAT16 for value in (*node.inputs, *node.outputs))
