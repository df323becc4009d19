"""What a bundle carries for input health: a small graph that measures inputs, and what calibration saw there."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.baseline import watched
from edgeonnx.model import Model, TensorSpec
from edgeonnx.runtime._manifest import Baseline, Health

FILE = "health.onnx"
# Since this version the axes of a reduction are an input, before it an attribute.
_AXES_AS_INPUT = 18
_OLDEST = 13
# Every onnxruntime that is supported loads it, whatever the operator set.
_IR_VERSION = 8
# Fewer samples don't tell what is usual.
_FEWEST = 8
# How far beyond the range a value may be before it counts as outside: share of the range, and of its ends.
_SLACK = 1e-3
_ROUNDING = 1e-6


def health_entries(
    core: Model, prepare: Model | None, baselines: Mapping[str, Baseline]
) -> tuple[Health | None, dict[str, bytes]]:
    """The manifest's `health`, and the entries it names; None and no entries where nothing is known of the inputs.

    Args:
        core: the model proper.
        prepare: its preprocessing alone, outputs named `NAME.prepared`; None where the device feeds it as it is.
        baselines: what calibration saw, by name of core's inputs.
    """
    known = {name: seen for name, seen in baselines.items() if name in watched(core.inputs) and seen.samples >= _FEWEST}
    if not known:
        return None, {}
    graph = health_graph(core.inputs, prepare, known)
    return Health(FILE, known), {FILE: graph.to_proto().SerializeToString(deterministic=True)}


def health_graph(inputs: tuple[TensorSpec, ...], prepare: Model | None, baselines: Mapping[str, Baseline]) -> Model:
    """The graph that measures inputs.

    Args:
        inputs: the model proper's.
        prepare: its preprocessing alone, or None.
        baselines: of those inputs that are to be measured.

    Returns:
        Takes what the preprocessing takes. For each baseline an output `NAME.health`, float32, shape (5, samples): low,
        high, mean, standard deviation, share of values outside the baseline's range.
    """
    model = _bare(inputs) if prepare is None else prepare.copy().ir
    graph = model.graph
    values = {str(value.name).removesuffix(".prepared"): value for value in graph.outputs}
    opset = model.opset_imports[""]
    outputs = []
    for name, by_sample in watched(inputs).items():
        if name in baselines:
            nodes, output = _measured(name, values[name], baselines[name], by_sample, opset)
            graph.extend(nodes)
            outputs.append(output)
    graph.outputs[:] = outputs
    RemoveUnusedNodesPass()(model)
    graph.inputs[:] = [value for value in graph.inputs if value.uses()]
    model.ir_version = _IR_VERSION
    return Model(model)


def _bare(inputs: tuple[TensorSpec, ...]) -> ir.Model:
    """A graph that hands the model's inputs on."""
    values, nodes = [], []
    for tensor in inputs:
        shape = None if tensor.shape is None else ir.Shape(tensor.shape)
        kind = ir.DataType.STRING if tensor.dtype == "str" else ir.DataType.from_numpy(np.dtype(tensor.dtype))
        values.append(ir.Value(name=tensor.name, shape=shape, type=ir.TensorType(kind)))
        nodes.append(ir.node("Identity", [values[-1]], name=f"health.{tensor.name}.prepared"))
        nodes[-1].outputs[0].name = f"{tensor.name}.prepared"
    outputs = [node.outputs[0] for node in nodes]
    graph = ir.Graph(values, outputs, nodes=nodes, opset_imports={"": _OLDEST}, name="health")
    return ir.Model(graph, ir_version=_IR_VERSION)


def _measured(
    name: str, value: ir.Value, baseline: Baseline, by_sample: bool, opset: int
) -> tuple[list[ir.Node], ir.Value]:
    """The nodes that measure one input, and the output they end in."""
    nodes: list[ir.Node] = []

    def op(op_type: str, *operands: ir.Value | np.ndarray, **attributes: Any) -> ir.Value:
        inputs = [op("Constant", value=ir.tensor(each)) if isinstance(each, np.ndarray) else each for each in operands]
        nodes.append(ir.node(op_type, inputs, attributes, name=f"health.{name}.{len(nodes)}.{op_type.lower()}"))
        nodes[-1].outputs[0].name = f"{nodes[-1].name}.out"
        return nodes[-1].outputs[0]

    def reduced(op_type: str, of: ir.Value) -> ir.Value:
        if opset >= _AXES_AS_INPUT:
            return op(op_type, of, np.array([1]), keepdims=1)
        return op(op_type, of, axes=[1], keepdims=1)

    floats = op("Cast", value, to=ir.DataType.FLOAT)
    rows = op("Reshape", floats, np.array([0 if by_sample else 1, -1]))
    mean = reduced("ReduceMean", rows)
    away = op("Sub", rows, mean)
    std = op("Sqrt", reduced("ReduceMean", op("Mul", away, away)))
    low, high = _bounds(baseline)
    inside = op("And", op("GreaterOrEqual", rows, low), op("LessOrEqual", rows, high))
    outside = reduced("ReduceMean", op("Cast", op("Not", inside), to=ir.DataType.FLOAT))
    measures = op("Concat", reduced("ReduceMin", rows), reduced("ReduceMax", rows), mean, std, outside, axis=1)
    output = op("Transpose", measures, perm=[1, 0])
    output.name, output.type = f"{name}.health", ir.TensorType(ir.DataType.FLOAT)
    output.shape = ir.Shape([5, "samples"])
    return nodes, output


def _bounds(baseline: Baseline) -> tuple[np.ndarray, np.ndarray]:
    """The range with its slack, rounded outwards, as float32."""
    low, high = baseline.low, baseline.high
    slack = _SLACK * (high - low) + _ROUNDING * max(abs(low), abs(high), math.ulp(0.0))
    limit = np.finfo(np.float32).max
    return tuple(np.array(np.clip(end, -limit, limit), np.float32) for end in (low - slack, high + slack))  # type: ignore[return-value]
