"""Write QuantizeLinear and DequantizeLinear nodes into a model; the writer is onnxruntime's."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edgeonnx.model import Model
from edgeonnx.names import all_values, fresh, reserved
from edgeonnx.quantize.placement import Dialect, Placement
from edgeonnx.quantize.recipe import Recipe
from edgeonnx.quantize.upstream import convert_upstream
from edgeonnx.quiet import quiet_logging
from edgeonnx.ranges import Ranges
from edgeonnx.weights import apart, inferred

_TYPES = {
    "int8": QuantType.QInt8,
    "uint8": QuantType.QUInt8,
    "int16": QuantType.QInt16,
    "uint16": QuantType.QUInt16,
}
# Tells the writer that types stand in the model, so that it does not write it to disk to infer them.
_INFERRED = {"onnx.infer": "onnxruntime.quant"}
# QuantizeLinear, DequantizeLinear, QLinearConv, ConvInteger, MatMulIntegerToFloat, DynamicQuantizeMatMul, MatMulNBits.
_QUANTIZED = re.compile(r"^(Dynamic|De)?Quantize|^QLinear|^Q(Attention|Gemm|MoE)|^(Conv|MatMul)Integer|NBits$|BnB4$")


# onnxruntime's own kernels, where nothing else is said.
_PLAIN = Dialect(compute=frozenset(), fused=frozenset(), carried=frozenset())


def write_qdq(model: Model, ranges: Ranges, placement: Placement, recipe: Recipe, dialect: Dialect = _PLAIN) -> Model:
    """The model with the placed nodes between Dequantize and Quantize.

    Args:
        model: normalized, float.
        ranges: of every float32 activation that a placed node reads or writes.
        placement: which nodes.
        recipe: types, symmetry and granularity.
        dialect: where conversions stand, and which weights may have a scale for each channel.

    Returns:
        A model of the same inputs and outputs; weights of the placed nodes are integers.
    """
    writable, names = _out_of_the_way(inferred(model))
    parts = apart(writable, keep=_weights_of(writable, placement))
    proto = parts.light.to_proto(any_size=True)
    onnx.helper.set_model_props(proto, {**model.ir.metadata_props, **_INFERRED})
    written = _written(model, placement, dialect)
    operators = sorted({node.op_type for node in proto.graph.node if node.name in written})
    options = {
        "ActivationSymmetric": recipe.activations.symmetric,
        "WeightSymmetric": recipe.weights.symmetric,
        "OpTypesToExcludeOutputQuantization": operators if dialect.conversions == "before" else [],
        "QuantizeBias": dialect.bias,
        "MinimumRealRange": dialect.smallest_range or None,
        "TensorQuantOverrides": _one_scale(writable, written, recipe, dialect),
    }
    with quiet_logging():
        quantizer = QDQQuantizer(
            proto,
            per_channel=recipe.weights.per_channel,
            reduce_range=False,
            weight_qType=_TYPES[recipe.weights.dtype],
            activation_qType=_TYPES[recipe.activations.dtype],
            tensors_range=_tensor_data(ranges, names),
            nodes_to_quantize=list(written),
            nodes_to_exclude=[node.name for node in proto.graph.node if node.name not in written],
            op_types_to_quantize=operators,
            extra_options=options,
        )
        quantized = quantizer.quantize_model()
    quantized.producer_name = "edgeonnx"
    quantized.producer_version = ""
    quantized.graph.ClearField("value_info")
    onnx.helper.set_model_props(quantized, model.ir.metadata_props)
    made = parts.together(quantized)
    _read_float(made.ir.graph, written, model, dialect)
    _restore(made.ir.graph, model.ir.graph)
    RemoveUnusedNodesPass()(made.ir)
    if dialect.conversions == "before":
        return convert_upstream(Model(made.ir), dialect.compute, dialect.joining, dialect.passing)
    return Model(made.ir)


def _written(model: Model, placement: Placement, dialect: Dialect) -> tuple[str, ...]:
    """Names of the nodes that get conversions of their own."""
    if dialect.conversions == "around":
        return placement.quantized
    bare = {node.name for node in model.ir.graph if node.op_type in dialect.fused | dialect.passing}
    return tuple(name for name in placement.quantized if name not in bare)


def _one_scale(
    model: Model, written: tuple[str, ...], recipe: Recipe, dialect: Dialect
) -> dict[str, list[dict[str, Any]]]:
    """The writer's overrides for weights that must not have a scale for each channel."""
    if not recipe.weights.per_channel:
        return {}
    settings = {"quant_type": _TYPES[recipe.weights.dtype], "symmetric": recipe.weights.symmetric}
    names, limited = frozenset(written), {"Conv", "ConvTranspose", "Gemm", "MatMul"} - dialect.per_channel
    nodes = (node for node in model.ir.graph if node.name in names and node.op_type in limited)
    weights = (node.inputs[1] for node in nodes)
    return {value.name or "": [settings] for value in weights if value is not None and value.const_value is not None}


def _weights_of(model: Model, placement: Placement) -> set[str]:
    """Names of the weights that placed nodes read."""
    placed = frozenset(placement.quantized)
    nodes = (node for node in model.ir.graph if node.name in placed)
    return {value.name or "" for node in nodes for value in node.inputs if value is not None}


def _out_of_the_way(model: Model) -> tuple[Model, dict[str, str]]:
    """A copy for the writer, and the names that changed in it.

    Inputs and outputs make way whose names the writer may give to what it adds. An output that is an input has no
    place in it: the writer takes every output for the result of a node.
    """
    copy = model.copy()
    graph = copy.ir.graph
    graph.outputs[:] = [value for value in graph.outputs if not value.is_graph_input()]
    used = {value.name or "" for value in all_values(graph)}
    renamed = {}
    for value in dict.fromkeys([*graph.inputs, *graph.outputs]):
        if reserved(value.name):
            name = value.name or ""
            value.name = renamed[name] = fresh(name, used)
    return Model(copy.ir), renamed


def _restore(graph: ir.Graph, original: ir.Graph) -> None:
    """Inputs and outputs as they were, in name and order."""
    results = iter(list(graph.outputs))
    inputs = dict(zip(original.inputs, graph.inputs, strict=True))
    outputs = [inputs[value] if value in inputs else next(results) for value in original.outputs]
    graph.outputs[:] = outputs
    wanted = {**inputs, **dict(zip(original.outputs, outputs, strict=True))}
    holders = {value.name: value for value in all_values(graph)}
    for value, made in wanted.items():
        holder = holders.get(value.name)
        if holder is not None and holder is not made:
            holder.name = fresh(value.name or "", {name or "" for name in holders})
        made.name = value.name


def _read_float(graph: ir.Graph, written: Collection[str], source: Model, dialect: Dialect) -> None:
    """Let nodes kept in float read what is float: the writer hands them the rounded values, as it does all readers.

    With conversions around nodes, the result of a MatMul or Gemm counts as float: their integer kernels can give it
    without rounding, and where all readers are in float that is both nearer and cheaper. A Conv has no such kernel;
    and where an activation has vanished into the rounding, there is nothing else to read. With conversions before
    nodes, every result is float.
    """
    everywhere, placed = dialect.conversions == "before", frozenset(written)
    makers = {output.name: node.op_type for node in source.ir.graph for output in node.outputs}
    kept = {node.name for node in source.ir.graph} - placed
    for node in graph:
        if node.name not in kept:
            continue
        for index, value in enumerate(node.inputs):
            rounded = _source(_source(value, "DequantizeLinear"), "QuantizeLinear")
            producer = None if rounded is None else rounded.producer()
            if rounded is None:
                continue
            unrounded = producer is None or producer.name in kept or makers.get(rounded.name) in ("Gemm", "MatMul")
            if everywhere or unrounded:
                node.replace_input_with(index, rounded)


def _source(value: ir.Value | None, op_type: str) -> ir.Value | None:
    """What a value was made from by a node of this type; None if it was not."""
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == op_type else None


def quantized_nodes(model: Model) -> int:
    """Number of nodes that make or read quantized tensors, in subgraphs and functions too; 0: nothing is quantized."""
    scopes: list[ir.Graph | ir.Function] = [model.ir.graph, *model.ir.functions.values()]
    return sum(_QUANTIZED.search(node.op_type) is not None for scope in scopes for node in scope.all_nodes())


def _tensor_data(ranges: Ranges, names: Mapping[str, str]) -> dict[str, TensorData]:
    return {
        names.get(name, name): TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.by_tensor.items()
        if np.isfinite((low, high)).all()
    }
