"""The INT8 core in one call, for tests: normalize, calibrate, place, write."""

from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.calibration.ranges import min_max
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.quantize.placement import Placement, load_dialect, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.recipe import load_recipe
from edgeonnx.ranges import Ranges


@dataclass(frozen=True)
class Quantized:
    """A model before and after, and what was decided in between."""

    normal: Model
    ranges: Ranges
    placement: Placement
    model: Model


def quantize(model, feeds, scope="all", recipe=None):
    """Quantize a model, protobuf or wrapped, on some feeds by the balanced recipe."""
    normal = normalize(model if isinstance(model, Model) else Model.from_proto(model))
    tensors = [name for name, dtype in tensor_types(normal).items() if dtype == ir.DataType.FLOAT]
    ranges = min_max(normal, tensors, feeds)
    placement = place(normal, load_dialect("cpu"), scope, ranges)
    made = write_qdq(normal, ranges, placement, recipe or load_recipe("balanced"))
    return Quantized(normal, ranges, placement, made)


def surroundings(model):
    """Node name -> (operators that make its inputs, operators that read its outputs); None for inputs and weights."""
    found = {}
    for node in model.ir.graph:
        made_by = [value.producer().op_type if value.producer() else None for value in node.inputs if value is not None]
        read_by = [usage.node.op_type for value in node.outputs for usage in value.uses()]
        found[node.name] = (made_by, read_by)
    return found
