"""Know the element type of every tensor, and its shape as far as it can be known.

In stages: ONNX's inference, which carries shapes through arithmetic on them but knows standard operators alone; then
onnxruntime's, which must know the type of every tensor of a model that it loads, other domains' included; then, where
that leaves a rank open, since a custom operator does not say or has inputs of free sizes, one run; and ONNX's again,
which carries on from there.
"""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgeonnx.libraries import foreign_operators
from edgeonnx.model import Model, TensorSpec, session_options
from edgeonnx.weights import inferred

_TENSOR = "tensor("
# onnxruntime's words for the types whose ONNX names differ.
_WORDS = {"float": "FLOAT", "double": "DOUBLE"}
# Sizes for free dimensions, the batch excepted: what a model does not take at one size it may at a larger.
_SIZES = (1, 8, 32, 128, 224)


def with_types(model: Model) -> Model:
    """The model with types and shapes, by the stages above.

    Raises:
        ModelError: onnxruntime does not accept it.
    """
    typed = inferred(model)
    foreign = bool(foreign_operators(typed.ir))
    outputs = [output for node in typed.ir.graph for output in node.outputs if output.name]
    unknown = [str(one.name) for one in outputs if one.type is None or (foreign and _open(one))]
    return inferred(_asked(typed, unknown)) if unknown else typed


def _open(value: ir.Value) -> bool:
    """Whether the rank of a tensor is open: that of a branch is, where a custom operator in it does not say its own."""
    return value.shape is None and isinstance(value.type, ir.TensorType)


def _asked(model: Model, unknown: list[str]) -> Model:
    """Have the unknown tensors returned by a session, which tells what it returns."""
    asking = model.copy()
    values = {value.name: value for node in asking.ir.graph for value in node.outputs}
    asking.ir.graph.outputs.clear()
    asking.ir.graph.outputs.extend(values[name] for name in unknown)
    session = Model(asking.ir).session(session_options(optimize=False))
    told = {tensor.name: tensor for tensor in session.get_outputs() if tensor.type.startswith(_TENSOR)}
    ranks = {} if all(tensor.shape for tensor in told.values()) else _ranks(session, model.inputs)
    answered = model.copy()
    for value in (o for node in answered.ir.graph for o in node.outputs if o.name in told):
        tensor = told[value.name or ""]
        word = tensor.type[len(_TENSOR) : -1]
        value.type = ir.TensorType(ir.DataType[_WORDS.get(word, word.upper())])
        sizes = tensor.shape or (None,) * ranks.get(tensor.name, 0)
        value.shape = ir.Shape(sizes) if sizes or tensor.name in ranks else None
    return Model(answered.ir)


def _ranks(session: ort.InferenceSession, inputs: tuple[TensorSpec, ...]) -> dict[str, int]:
    """The rank of each output in a run on zeros; none where the model does not run on any.

    Sizes are not taken from it: an operator may give more or less for other values.
    """
    names = [tensor.name for tensor in session.get_outputs()]
    if any(tensor.shape is None for tensor in inputs):
        return {}
    for size in _SIZES:
        feeds = {tensor.name: _zeros(tensor, size) for tensor in inputs}
        try:
            return {name: np.ndim(array) for name, array in zip(names, session.run(names, feeds), strict=True)}
        except Exception:  # onnxruntime's exception types are private and many; the next size may do
            continue
    return {}


def _zeros(tensor: TensorSpec, size: int) -> np.ndarray:
    """Zeros or empty strings, every free dimension but the first of one size."""
    sizes = [n if isinstance(n, int) else size if axis else 1 for axis, n in enumerate(tensor.shape or ())]
    return np.full(sizes, "", object) if tensor.dtype == "str" else np.zeros(sizes, tensor.dtype)
