"""Say a model in an older operator set and file format, for devices with an older onnxruntime.

Version by version, so that each step undoes what one version brought. Rules for an operator that it changed:
    Its form before that version, where there is one (`older/forms.py`).
    As it is, where the older definition in ONNX's schemas takes it: attributes, number of inputs, types, defaults.
    In other operators, by the body that ONNX's schemas give it (`older/bodies.py`).
    Otherwise it is an error: nothing is left out.

onnx's own version converter is not used: it can lower few operators, and passes on others without a look at the schema.
Functions are inlined. Operators of other domains stay as they are.
"""

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, RemoveUnusedNodesPass

from edgeonnx.errors import ModelError, first_line
from edgeonnx.model import Model
from edgeonnx.optimize.domain import spell_alike
from edgeonnx.optimize.older.bodies import expand
from edgeonnx.optimize.older.fit import NoForm, fit, schema_of
from edgeonnx.optimize.older.forms import FORMS
from edgeonnx.optimize.passes._edit import nodes
from edgeonnx.optimize.passes.fold_constants import fold_constants
from edgeonnx.optimize.passes.shape_constants import shape_constants
from edgeonnx.weights import inferred

# What came before takes other forms throughout, and no onnxruntime of the last years needs it.
OLDEST = 11


def lower_opset(model: Model, opset: int | None = None, ir_version: int | None = None) -> tuple[Model, int]:
    """The model at these versions at most.

    Args:
        model: any.
        opset: highest operator set, 11 or newer; None: its own.
        ir_version: highest version of the file format; None: its own.

    Returns:
        The new model and how many versions lower it is; the model itself and 0 if it is old enough.

    Raises:
        ModelError: an operator has no form in that opset: which, of which node, why, and the lowest opset there is.
    """
    wanted = model.opset if opset is None else min(opset, model.opset)
    older = model.ir_version if ir_version is None else min(ir_version, model.ir_version)
    steps = model.opset - wanted + model.ir_version - older
    if not steps:
        return model, 0
    if wanted < model.opset:
        _check(model, wanted)
    current = _inlined(model)
    for version in range(model.opset, wanted, -1):
        current = _lowered(current, version)
    current.ir.ir_version = older
    return current, steps


def _check(model: Model, wanted: int) -> None:
    if wanted < OLDEST:
        raise ModelError(f"opset {model.opset} can't be lowered to {wanted}, only to {OLDEST} or newer")
    if model.opset > (newest := onnx.defs.onnx_opset_version()):
        raise ModelError(f"opset {model.opset} can't be lowered: the onnx here knows those up to {newest}; update onnx")


def _inlined(model: Model) -> Model:
    """The model without functions, its standard domain under one name, with types and shapes."""
    copy = model.copy()
    spell_alike(copy.ir)
    try:
        InlinePass()(copy.ir)
    except Exception as error:  # onnx-ir raises what its passes raise
        raise ModelError(f"the model's functions can't be inlined: {first_line(error)}") from error
    return inferred(Model(copy.ir))


def _lowered(model: Model, version: int) -> Model:
    """The model without what this version of the operator set brought."""
    current = model.copy()
    while sum(_lower(current.ir, node, version) for node in nodes(current.ir)):
        InlinePass()(current.ir)
        RemoveUnusedNodesPass()(current.ir)
        current = inferred(_folded(current))
    current.ir.opset_imports[""] = version - 1
    return current


def _folded(model: Model) -> Model:
    """The model with constants for what bodies compute from shapes: older forms want axes in attributes."""
    model, _ = shape_constants(model)
    model, _ = fold_constants(model)
    return model


def _lower(model: ir.Model, node: ir.Node, version: int) -> bool:
    """Bring a node to the version before; whether it became a call of a function, to be inlined."""
    newer, older = schema_of(node.op_type, version), schema_of(node.op_type, version - 1)
    if newer is None or newer.since_version < version:
        return False
    try:
        if form := FORMS.get((node.op_type, version)):
            form(node)
        if node.graph is not None:
            fit(node, newer, older)
    except NoForm as reason:
        _expand(model, node, version, reason)
        return True
    return False


def _expand(model: ir.Model, node: ir.Node, version: int, reason: NoForm) -> None:
    try:
        expand(model, node, version)
    except NoForm:
        raise ModelError(
            f"{node.op_type} {node.name or node.outputs[0].name} can't be said in opset {version - 1}: {reason}; "
            f"the lowest opset for this model is {version}"
        ) from reason
