"""Bring a model into the one form that quantization works on.

An opset that has per-channel QuantizeLinear and kernels for it, functions inlined, no Constant nodes, no float16,
BatchNormalization and constant arithmetic folded, every node and tensor named apart, the element type of every tensor
known. Operators of other domains, and nodes inside If, Loop and Scan, stay as they are.
"""

import tempfile
from pathlib import Path

import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import (
    InlinePass,
    LiftConstantsToInitializersPass,
    NameFixPass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)

from edgeonnx.errors import ModelError, first_line
from edgeonnx.model import Model, session_options
from edgeonnx.names import distinct_names
from edgeonnx.optimize.apart import take_apart
from edgeonnx.optimize.domain import spell_alike
from edgeonnx.optimize.half import without_half
from edgeonnx.optimize.opset import fit_opset
from edgeonnx.optimize.types import with_types

_OLDEST_IR = 7


def normalize(model: Model) -> Model:
    """The same function in the form described above; inputs and outputs keep names, types and order.

    Raises:
        ModelError: the model can't be brought to a usable opset, or onnxruntime does not accept it.
    """
    simple = fit_opset(plain(model))
    distinct_names(simple.ir)
    folded = _fold(without_half(simple))
    if any(node.op_type == "Cast" and _is_weight(node.inputs[0]) for node in folded.ir.graph):
        folded = _fold(folded)  # weights that are cast: onnxruntime casts them only after it has folded
    return with_types(folded)


def plain(model: Model) -> Model:
    """One spelling of the standard domain, functions and fused products taken apart, constants as weights, all named.

    Raises:
        ModelError: a function calls itself, or is given other than it takes.
    """
    copy = model.copy()
    copy.ir.ir_version = max(copy.ir_version, _OLDEST_IR)
    spell_alike(copy.ir)
    try:
        InlinePass()(copy.ir)
    except Exception as error:  # onnx-ir raises what its passes raise
        raise ModelError(f"{model.path or 'the model'}: its functions can't be inlined: {first_line(error)}") from error
    copy.ir.functions.clear()
    take_apart(copy.ir)
    RemoveInitializersFromInputsPass()(copy.ir)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(copy.ir)
    NameFixPass()(copy.ir)
    return Model(copy.ir, model.path)


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()


def _fold(model: Model) -> Model:
    """Let onnxruntime fold what is constant, at the level that uses standard operators alone."""
    copy = model.copy()
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(copy.ir)
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "folded.onnx"
        options = session_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized)
        # Weights in a file beside it, so that they may exceed protobuf's 2 GiB.
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "folded.data")
        copy.session(options)
        folded = Model.load(optimized)
        ir.external_data.load_to_model(folded.ir)
    RemoveUnusedNodesPass()(folded.ir)
    RemoveUnusedOpsetsPass()(folded.ir)
    distinct_names(folded.ir)
    for node in folded.ir.graph.all_nodes():
        # onnxruntime keeps them in no order, and the same model is to give the same bytes.
        attributes = sorted(node.attributes.items())
        node.attributes.clear()
        node.attributes.update(attributes)
    folded.ir.ir_version = model.ir_version
    return Model(folded.ir)


def tensor_types(model: Model) -> dict[str, ir.DataType]:
    """Element type of every named tensor of the main graph that is not an initializer, as far as known."""
    graph = model.ir.graph
    values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
    known = (v for v in values if v.name not in graph.initializers)
    return {v.name: v.dtype for v in known if v.name and v.dtype is not None and isinstance(v.type, ir.TensorType)}
