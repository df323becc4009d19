"""A batch of one, for targets that take fixed shapes alone."""

import onnx

from edgeonnx.model import Model, TensorSpec
from edgeonnx.weights import converted


def fixed_but_batch(tensor: TensorSpec) -> bool:
    """Whether every dimension of an input is a number, but for the first of several, which is a batch."""
    shape = tensor.shape
    return shape is not None and all(isinstance(size, int) for size in (shape[1:] or shape))


def fix_batch(model: Model) -> Model:
    """The model with a batch of one, in each input where the batch alone is free, and wherever its name stands.

    Shapes that the file states of other tensors are inferred anew. A model without a free batch is given back as it is.
    """
    names = {tensor.name for tensor in model.inputs if fixed_but_batch(tensor) and not tensor.fixed}
    return converted(model, lambda proto: _fixed(proto, names)) if names else model


def _fixed(proto: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    graph = proto.graph
    first = [value.type.tensor_type.shape.dim[0] for value in graph.input if value.name in names]
    symbols = {dim.dim_param for dim in first} - {""}
    for dim in first:
        dim.dim_value = 1
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in symbols:
                dim.dim_value = 1
    graph.ClearField("value_info")
    return onnx.shape_inference.infer_shapes(proto)
