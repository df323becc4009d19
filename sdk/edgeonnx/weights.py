"""Large weights set aside, for tools that take a model as one protobuf message, which ends at 2 GiB."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from edgeonnx.model import Model

# What is smaller may be a shape or an axis, which tools must see to understand the model.
_LARGE = 1024


@dataclass(frozen=True)
class Apart:
    """A model without its large weights.

    Attributes:
        light: the model; what is set aside stands among its inputs, with type and shape.
        weights: what was set aside, by name.
        inputs: names of the inputs of the whole model, weights that are inputs too included.
    """

    light: Model
    weights: dict[str, ir.TensorProtocol]
    inputs: tuple[str, ...]

    def together(self, proto: onnx.ModelProto) -> Model:
        """What a tool made of the light model, with the weights put back where it kept them."""
        made = Model.from_proto(proto)
        graph = made.ir.graph
        for value in [value for value in graph.inputs if value.name in self.weights]:
            if value.name not in self.inputs:
                graph.inputs.remove(value)
            if value.uses() or value.is_graph_output():
                value.const_value = self.weights[value.name or ""]
                graph.register_initializer(value)
        return made


def apart(model: Model, keep: Collection[str] = ()) -> Apart:
    """Set the large weights of the main graph aside.

    Args:
        model: left as it is.
        keep: names of weights to leave in.
    """
    copy = model.copy()
    graph = copy.ir.graph
    inputs = tuple(value.name or "" for value in graph.inputs)
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes <= _LARGE or name in keep:
            continue
        weights[name] = tensor
        del graph.initializers[name]
        value.const_value = None
        value.type, value.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        if name not in inputs:
            graph.inputs.append(value)
    return Apart(Model(copy.ir), weights, inputs)


def converted(model: Model, tool: Callable[[onnx.ModelProto], onnx.ModelProto]) -> Model:
    """The model as a tool makes it that has no need of large weights."""
    parts = apart(model)
    return parts.together(tool(parts.light.to_proto()))


def inferred(model: Model) -> Model:
    """The model with the types and shapes that ONNX's inference finds."""
    return converted(model, _infer)


def _infer(proto: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(proto, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return proto  # a shape that it finds wrong, a domain without a version; onnxruntime has the last word
