"""A spec as standard ONNX operators: alone, to prepare samples, or joined to the model it belongs to."""

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.image import check_image, picture_spec, prepare
from edgeonnx.pipeline.spec import ClassificationOutput, PipelineSpec

PROBABILITIES = "probabilities"

# Since this version Unsqueeze takes its axes, and Softmax its axis, as they are given here.
_OPSET = 13


def join(model: Model, spec: PipelineSpec) -> Model:
    """The model with its pre- and postprocessing in the same graph; the model's own nodes are untouched.

    A declared input keeps its name and becomes a picture, height x width x channels, uint8. A classifier with
    `activation = "softmax"` gains the output `probabilities`.

    Args:
        model: of opset 13 or newer: see `edgeonnx.optimize.normalize.raise_opset`.
        spec: its pipeline.

    Raises:
        PipelineError: the spec does not fit the model (expected and got, at which input or output).
    """
    check(model, spec)
    copy = model.copy()
    graph = copy.ir.graph
    for tensor in model.inputs:
        if tensor.name in spec.input:
            position = next(i for i, value in enumerate(graph.inputs) if value.name == tensor.name)
            picture, nodes = prepare(tensor, spec.input[tensor.name])
            graph.inputs[position].replace_all_uses_with(nodes[-1].outputs[0])
            graph.inputs[position] = picture
            graph.insert_before(graph[0], nodes)
            _fix_batch(graph, tensor)
    if spec.output is not None and spec.output.activation == "softmax":
        scores = next(v for v in graph.outputs if v.name == scores_name(model, spec.output))
        softmax = ir.node("Softmax", [scores], {"axis": -1}, name="pipeline.softmax")
        result = softmax.outputs[0]
        result.name, result.type, result.shape = PROBABILITIES, scores.type, scores.shape
        graph.append(softmax)
        graph.outputs.append(result)
    return Model(copy.ir)


def preprocessing(model: Model, spec: PipelineSpec) -> Model:
    """The preprocessing alone, by the same nodes as `join`: from a sample as the user has it to the model's inputs.

    Inputs that the spec does not declare pass through.

    Raises:
        PipelineError: the spec does not fit the model.
    """
    check(model, spec)
    inputs: list[ir.Value] = []
    nodes: list[ir.Node] = []
    outputs: list[ir.Value] = []
    for tensor in model.inputs:
        dtype = _element_type(tensor)
        if tensor.name in spec.input:
            entry, steps = prepare(tensor, spec.input[tensor.name])
        else:
            shape = None if tensor.shape is None else ir.Shape(tensor.shape)
            entry = ir.Value(name=tensor.name, type=ir.TensorType(dtype), shape=shape)
            steps = [ir.node("Identity", [entry], name=f"{tensor.name}.as_it_is")]
        result = steps[-1].outputs[0]
        result.name, result.dtype = f"{tensor.name}.prepared", dtype
        inputs.append(entry)
        outputs.append(result)
        nodes += steps
    opset = max(model.opset, _OPSET)
    graph = ir.Graph(inputs, outputs, nodes=nodes, opset_imports={"": opset}, name="preprocessing")
    return Model(ir.Model(graph, ir_version=model.ir_version))


def picture_specs(model: Model, spec: PipelineSpec) -> tuple[TensorSpec, ...]:
    """What the joined model takes: `model.inputs` with declared ones as pictures."""
    return tuple(picture_spec(t, spec.input[t.name]) if t.name in spec.input else t for t in model.inputs)


def scores_name(model: Model, output: ClassificationOutput) -> str:
    """Name of the output that holds a classifier's scores.

    Raises:
        PipelineError: not given and not the only one, or the model has no such output.
    """
    names = [tensor.name for tensor in model.outputs]
    if output.scores is None and len(names) == 1:
        return names[0]
    if output.scores not in names:
        raise PipelineError(f"output.scores: expected one of {', '.join(names)}, got {output.scores!r}")
    return output.scores


def check(model: Model, spec: PipelineSpec) -> None:
    """See that a spec fits a model.

    Raises:
        PipelineError: an input or output it does not have, of another rank, type or number of channels.
    """
    by_name = {tensor.name: tensor for tensor in model.inputs}
    for name, image in spec.input.items():
        if name not in by_name:
            raise PipelineError(f"input.{name}: the model has no such input; it has {', '.join(by_name)}")
        check_image(by_name[name], image)
    if spec.output is not None:
        scores_name(model, spec.output)
        if spec.output.activation == "softmax" and any(t.name == PROBABILITIES for t in model.outputs):
            raise PipelineError(f"output.activation: the model already has an output named {PROBABILITIES}")


def _fix_batch(graph: ir.Graph, tensor: TensorSpec) -> None:
    """Outputs whose free batch is that of a picture input come one at a time too."""
    batch = tensor.shape[0] if tensor.shape else None
    for output in graph.outputs:
        if isinstance(batch, str) and output.shape and output.shape[0] == batch:
            output.shape = ir.Shape([1, *output.shape[1:]])


def _element_type(tensor: TensorSpec) -> ir.DataType:
    if tensor.dtype == "str":
        return ir.DataType.STRING
    return ir.DataType.from_numpy(np.dtype(tensor.dtype))
