"""Know the element type of every tensor, and its shape as far as it can be known without running.

In stages: ONNX's inference, which carries shapes through arithmetic on them but knows standard operators alone; then
onnxruntime's, which must know the type of every tensor of a model that it loads, other domains' included.
"""

import onnx_ir as ir

from edgeonnx.model import Model, session_options
from edgeonnx.weights import inferred

_TENSOR = "tensor("
# onnxruntime's words for the types whose ONNX names differ.
_WORDS = {"float": "FLOAT", "double": "DOUBLE"}


def with_types(model: Model) -> Model:
    """The model with types and shapes, by the stages above.

    Raises:
        ModelError: onnxruntime does not accept it.
    """
    typed = inferred(model)
    unknown = [o.name for node in typed.ir.graph for o in node.outputs if o.name and o.type is None]
    return _ask_onnxruntime(typed, unknown) if unknown else typed


def _ask_onnxruntime(model: Model, unknown: list[str]) -> Model:
    """Have the unknown tensors returned by a session, which tells what it returns."""
    asking = model.copy()
    values = {value.name: value for node in asking.ir.graph for value in node.outputs}
    asking.ir.graph.outputs.clear()
    asking.ir.graph.outputs.extend(values[name] for name in unknown)
    told = {tensor.name: tensor for tensor in Model(asking.ir).session(session_options(optimize=False)).get_outputs()}
    answered = model.copy()
    for value in (o for node in answered.ir.graph for o in node.outputs if o.name in told):
        tensor = told[value.name or ""]
        if tensor.type.startswith(_TENSOR):
            word = tensor.type[len(_TENSOR) : -1]
            value.type = ir.TensorType(ir.DataType[_WORDS.get(word, word.upper())])
            value.shape = ir.Shape(tensor.shape) if tensor.shape else None
    return Model(answered.ir)
