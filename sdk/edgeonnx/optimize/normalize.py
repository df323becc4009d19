"""Bring a model into the one form that quantization works on.

Opset 13 or newer (per-channel QuantizeLinear begins there), no Constant nodes, BatchNormalization and
constant arithmetic folded, every node named, the element type of every tensor known.
"""

import tempfile
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import (
    LiftConstantsToInitializersPass,
    NameFixPass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)

from edgeonnx.errors import ModelError
from edgeonnx.model import Model, first_line, session_options

QDQ_OPSET = 13


def normalize(model: Model) -> Model:
    """The same function in the form described above; inputs and outputs keep names, types and order.

    Raises:
        ModelError: the model can't be brought to opset 13, or onnxruntime does not accept it.
    """
    folded = _fold(raise_opset(model))
    if any(node.op_type == "Cast" and _is_weight(node.inputs[0]) for node in folded.ir.graph):
        folded = _fold(folded)  # float16 weights: onnxruntime casts them only after it has folded
    return _with_types(folded)


def raise_opset(model: Model, opset: int = QDQ_OPSET) -> Model:
    """The model at `opset` if its own is older, else the model itself.

    Raises:
        ModelError: an operator has no conversion; the converter's words follow.
    """
    if model.opset >= opset:
        return model
    if not model.opset:  # nothing to convert: it has no standard operators
        copy = model.copy()
        copy.ir.opset_imports[""] = opset
        return Model(copy.ir)
    try:
        proto = onnx.version_converter.convert_version(model.to_proto(), opset)
    except Exception as error:  # the converter is C++ and raises RuntimeError, ValueError and its own
        raise ModelError(
            f"opset {model.opset} can't be raised to {opset}, which INT8 needs: {first_line(error)}; "
            f"export the model again with opset {opset} or newer"
        ) from error
    raised = Model.from_proto(proto)
    _mend(raised, model.opset)
    return raised


def _mend(raised: Model, before: int) -> None:
    """Put right what the converter leaves unsaid, in a model raised from the opset `before`.

    Rules, each where the operator's meaning or defaults changed:
        Resize (11): it knew one form of coordinates, `asymmetric`; the new default is `half_pixel`. So for Upsample.
        Hardmax (13): it worked on all axes from `axis` on, flattened; there is no such form any more.

    Raises:
        ModelError: there is no way to say it in the new opset.
    """
    for node in raised.ir.graph.all_nodes():
        if node.op_type == "Resize" and before < 11:
            node.attributes["coordinate_transformation_mode"] = ir.AttrString(
                "coordinate_transformation_mode", "asymmetric"
            )
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")
        if node.op_type == "Hardmax" and before < 13:
            raise ModelError(
                f"opset {before} can't be raised to {raised.opset}: Hardmax means something else there; "
                f"export the model again with opset {raised.opset} or newer"
            )


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()


def _fold(model: Model) -> Model:
    """Let onnxruntime fold what is constant, at the level that uses standard operators alone."""
    copy = model.copy()
    RemoveInitializersFromInputsPass()(copy.ir)
    LiftConstantsToInitializersPass(lift_all_constants=True)(copy.ir)
    source = Model(copy.ir)
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "folded.onnx"
        options = session_options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized)
        source.session(options)
        folded = Model.from_proto(onnx.load(optimized))
    RemoveUnusedNodesPass()(folded.ir)
    RemoveUnusedOpsetsPass()(folded.ir)
    NameFixPass()(folded.ir)
    folded.ir.ir_version = max(model.ir_version, 7)
    return folded


def _with_types(model: Model) -> Model:
    proto = model.to_proto()
    return Model.from_proto(onnx.shape_inference.infer_shapes(proto, data_prop=True))


def tensor_types(model: Model) -> dict[str, ir.DataType]:
    """Element type of every named tensor of the main graph that is not an initializer, as far as known."""
    graph = model.ir.graph
    values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
    known = (v for v in values if v.name not in graph.initializers)
    return {v.name: v.dtype for v in known if v.name and v.dtype is not None and isinstance(v.type, ir.TensorType)}
