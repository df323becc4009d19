"""Ranges of activations, found by running the model on samples and reducing each tensor inside the graph.

Only two vectors leave the graph per sample, whatever the size of the activations, and nothing is kept but the
ranges themselves: memory does not grow with the number of samples.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import DataError
from edgeonnx.model import Model, first_line
from edgeonnx.ranges import Ranges

_LOW, _HIGH = "edgeonnx.low", "edgeonnx.high"


def min_max(
    model: Model,
    tensors: Sequence[str],
    feeds: Iterable[dict[str, np.ndarray]],
    progress: Callable[[int], None] = lambda _done: None,
) -> Ranges:
    """Ranges by the smallest and the largest value seen over all samples.

    Args:
        model: a normalized float model.
        tensors: names of float32 tensors of its main graph.
        feeds: input name -> array, one mapping a sample.
        progress: told the number of samples done.

    Raises:
        DataError: no samples, or onnxruntime refuses one of them.
    """
    session = _instrumented(model, tensors).session()
    low = np.full(len(tensors), np.inf, np.float32)
    high = np.full(len(tensors), -np.inf, np.float32)
    done = 0
    for done, feed in enumerate(feeds, 1):
        try:
            sample_low, sample_high = session.run([_LOW, _HIGH], feed)
        except Exception as error:  # onnxruntime's exception types are private and many
            message = f"calibration sample {done - 1}: the model does not run: {first_line(error)}"
            raise DataError(message) from error
        np.minimum(low, sample_low, out=low)
        np.maximum(high, sample_high, out=high)
        progress(done)
    if not done:
        raise DataError("calibration needs at least one sample, got none")
    pairs = zip(tensors, zip(low.tolist(), high.tolist(), strict=True), strict=True)
    return Ranges(dict(pairs), done)


def _instrumented(model: Model, tensors: Sequence[str]) -> Model:
    """A copy whose outputs are two vectors: the minimum and the maximum of each of `tensors`."""
    copy = model.copy()
    graph = copy.ir.graph
    values = {v.name: v for v in [*graph.inputs, *(o for node in graph for o in node.outputs)]}
    one = ir.Value(name="edgeonnx.one", const_value=ir.tensor(np.array([1], np.int64)))
    graph.register_initializer(one)
    graph.outputs.clear()
    for name, reduce in ((_LOW, "ReduceMin"), (_HIGH, "ReduceMax")):
        scalars = []
        for index, tensor in enumerate(tensors):
            scalar = ir.node(reduce, [values[tensor]], {"keepdims": 0}, name=f"{name}.{index}.reduce")
            vector = ir.node("Reshape", [scalar.outputs[0], one], name=f"{name}.{index}.vector")
            graph.extend([scalar, vector])
            scalars.append(vector.outputs[0])
        joined = ir.node("Concat", scalars, {"axis": 0}, name=name)
        joined.outputs[0].name = name
        joined.outputs[0].dtype = ir.DataType.FLOAT
        joined.outputs[0].shape = ir.Shape([len(tensors)])
        graph.append(joined)
        graph.outputs.append(joined.outputs[0])
    return copy
