"""Per-channel figures of activations, reduced inside the graph: memory does not grow with samples or activations."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import DataError, first_line
from edgeonnx.graph import end_at, free_name, new_constant, values_by_name
from edgeonnx.model import Model

Feeds = Iterable[Mapping[str, np.ndarray]]
Progress = Callable[[int], None]


def silent(_done: int) -> None:
    """Progress that nobody watches."""


def channel_maxima(
    model: Model, axes: Mapping[str, int], feeds: Feeds, progress: Progress = silent
) -> dict[str, np.ndarray]:
    """Largest magnitude that each channel of each tensor takes.

    Args:
        model: float, normalized.
        axes: name of a float32 tensor of the main graph -> its channel axis; may count from the end.
        feeds: input name -> array, one mapping a sample.
        progress: told the number of samples done.

    Returns:
        Name -> float32 of shape (channels,).

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
    """
    largest: dict[str, np.ndarray] = {}
    for found in _reduced(model, axes, {}, feeds, "ReduceMax", progress):
        for name, values in found.items():
            largest[name] = np.maximum(largest[name], values) if name in largest else values
    return largest


def channel_means(
    model: Model,
    axes: Mapping[str, int],
    feeds: Feeds,
    ranks: Mapping[str, int] | None = None,
    progress: Progress = silent,
) -> dict[str, np.ndarray]:
    """Mean of each channel of each tensor, every sample counting the same.

    Args:
        model: float or QDQ.
        axes: name of a float32 tensor of the main graph -> its channel axis; may count from the end.
        feeds: input name -> array, one mapping a sample.
        ranks: number of axes of the tensors whose shape the model does not tell, as in a QDQ model.
        progress: told the number of samples done.

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.

    Returns:
        Name -> float64 of shape (channels,).
    """
    total: dict[str, np.ndarray] = {}
    samples = 0
    for found in _reduced(model, axes, ranks or {}, feeds, "ReduceMean", progress):
        samples += 1
        for name, values in found.items():
            total[name] = total.get(name, 0.0) + values.astype(np.float64)
    return {name: values / samples for name, values in total.items()}


def run_each(model: Model, outputs: list[str], feeds: Feeds, progress: Progress) -> Iterable[list[np.ndarray]]:
    """The named outputs for each sample.

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
    """
    session = model.session()
    done = 0
    for done, feed in enumerate(feeds, 1):
        try:
            found = session.run(outputs, dict(feed))
        except Exception as error:  # onnxruntime's exception types are private and many
            raise DataError(f"sample {done - 1}: the model does not run: {first_line(error)}") from error
        yield found
        progress(done)
    if not done:
        raise DataError("at least one sample is needed, got none")


def _reduced(
    model: Model, axes: Mapping[str, int], ranks: Mapping[str, int], feeds: Feeds, reduction: str, progress: Progress
) -> Iterable[dict[str, np.ndarray]]:
    if not axes:
        return
    copy = model.copy()
    graph = copy.ir.graph
    values = values_by_name(graph)
    ranks = {name: ranks[name] if name in ranks else _rank(values[name]) for name in axes}
    results = [_channel_vector(graph, values[name], ranks[name], axis, reduction) for name, axis in axes.items()]
    end_at(copy.ir, results)
    for found in run_each(copy, [value.name or "" for value in results], feeds, progress):
        yield dict(zip(axes, found, strict=True))


def _rank(value: ir.Value) -> int:
    if value.shape is None:
        raise DataError(f"the rank of {value.name} is not known; normalize the model first")
    return len(value.shape)


def _channel_vector(graph: ir.Graph, value: ir.Value, rank: int, axis: int, reduction: str) -> ir.Value:
    """Append nodes that reduce a tensor over all axes but one; for maxima, its magnitude."""
    name = free_name(graph, f"edgeonnx.{value.name}")
    source = value
    if reduction == "ReduceMax":
        magnitude = ir.node("Abs", [value], name=f"{name}.abs")
        graph.append(magnitude)
        source = magnitude.outputs[0]
    others = [index for index in range(rank) if index != axis % rank]
    if graph.opset_imports.get("", 0) >= 18:  # before that, axes are an attribute
        inputs = [source, new_constant(graph, f"{name}.axes", np.array(others, np.int64))]
        reduce = ir.node(reduction, inputs, {"keepdims": 0}, name=f"{name}.reduce")
    else:
        reduce = ir.node(reduction, [source], {"axes": others, "keepdims": 0}, name=f"{name}.reduce")
    result = reduce.outputs[0]
    result.name, result.type = name, ir.TensorType(ir.DataType.FLOAT)
    graph.append(reduce)
    return result
