"""The shapes that tensors take for given inputs."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgeonnx.model import Model

Shape = tuple[int, ...]


def with_shapes(model: Model) -> Model:
    """The model with ranks and types inferred, if any tensor of its main graph lacks them; else the model itself."""
    if all(value.shape is not None for node in model.ir.graph for value in node.outputs):
        return model
    return Model(_inferred(model.copy().ir))


def shapes_for(model: Model, feeds: Mapping[str, np.ndarray]) -> dict[str, Shape]:
    """The shape of each tensor of the main graph for these inputs, as far as it can be inferred."""
    copy = model.copy().ir
    for value in copy.graph.inputs:
        if value.name and value.name in feeds:
            value.shape = ir.Shape(feeds[value.name].shape)
    for value in [*copy.graph.outputs, *(output for node in copy.graph for output in node.outputs)]:
        value.shape = None
    graph = _inferred(copy).graph
    values = [*graph.inputs, *(output for node in graph for output in node.outputs)]
    return {value.name: sizes for value in values if value.name and (sizes := _sizes(value)) is not None}


def _inferred(model: ir.Model) -> ir.Model:
    try:
        return ShapeInferencePass(data_prop=True, strict_mode=False)(model).model
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return model  # what is not known costs time, no more


def _sizes(value: ir.Value) -> Shape | None:
    if value.shape is None:
        return None
    sizes = [size for size in value.shape if isinstance(size, int)]
    return tuple(sizes) if len(sizes) == len(value.shape) else None
