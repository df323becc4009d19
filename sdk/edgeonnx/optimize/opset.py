"""Bring a model to an operator set that has QuantizeLinear by channel and a kernel for it."""

from functools import cache

import onnx
import onnx_ir as ir

from edgeonnx.errors import ModelError, first_line
from edgeonnx.model import Model
from edgeonnx.weights import converted

QDQ_OPSET = 13


def fit_opset(model: Model) -> Model:
    """The model at an opset whose QuantizeLinear the onnxruntime here can run: 13 to the newest such.

    Raises:
        ModelError: an operator has no conversion; the converter's words follow.
    """
    newest = onnx.defs.onnx_opset_version()
    if model.opset > newest:
        raise ModelError(
            f"{model.path or 'the model'} is of opset {model.opset}, the onnx here knows those up to {newest}; "
            "update onnx and onnxruntime, or export it again with an older opset"
        )
    raised = raise_opset(model)
    while raised.opset > QDQ_OPSET and not _has_kernel(raised.opset):
        raised = _convert(raised, raised.opset - 1)
    return raised


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
    raised = _convert(model, opset)
    _mend(raised, model.opset)
    return raised


def _convert(model: Model, opset: int) -> Model:
    try:
        return converted(model, lambda proto: onnx.version_converter.convert_version(proto, opset))
    except Exception as error:  # the converter is C++ and raises RuntimeError, ValueError and its own
        raised = opset > model.opset
        raise ModelError(
            f"opset {model.opset} can't be {'raised' if raised else 'lowered'} to {opset}: "
            f"{first_line(error)}; export the model again with opset {opset} or {'newer' if raised else 'older'}"
        ) from error


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


@cache
def _has_kernel(opset: int) -> bool:
    """Whether the onnxruntime here runs that opset's QuantizeLinear: it knows the newest opsets before it runs them."""
    text = "(float[1] x, float scale, uint8 zero) => (uint8[1] y) { y = QuantizeLinear(x, scale, zero) }"
    header = f"<ir_version: {onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid('', opset)])}, "
    proto = onnx.parser.parse_model(f'{header}opset_import: ["" : {opset}]> probe {text}')
    try:
        Model.from_proto(proto).session()
    except ModelError:
        return False
    return True
