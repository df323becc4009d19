"""What a graph's tensors are on one sample: shapes, and the values of those that say how others are moved."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeonnx.errors import ModelError, first_line
from edgeonnx.graph import values_by_name, with_outputs
from edgeonnx.model import Model
from edgeonnx.prune.trace import Shape

# Sizes, axes, indexes; what is larger says nothing about how channels are moved.
_SMALL = 1 << 16


@dataclass(frozen=True)
class Probe:
    """Tensors of the main graph on one sample.

    Attributes:
        shapes: name -> shape; what is no tensor is not in it.
        known: name -> value, of small integers.
    """

    shapes: Mapping[str, Shape]
    known: Mapping[str, np.ndarray]


def probe(model: Model, feeds: Mapping[str, np.ndarray]) -> Probe:
    """Run a model once and look at every tensor.

    Raises:
        ModelError: it does not run on the sample.
    """
    names = [name for name in values_by_name(model.ir.graph) if name]
    computed = [name for name in names if name not in feeds and name not in model.ir.graph.initializers]
    try:
        found = with_outputs(model, computed).session().run(computed, dict(feeds))
    except Exception as error:  # onnxruntime's exception types are private and many
        raise ModelError(f"the model does not run on a sample: {first_line(error)}") from error
    arrays = {**feeds, **{n: array for n, array in zip(computed, found, strict=True) if isinstance(array, np.ndarray)}}
    known = {name: array for name, array in arrays.items() if array.dtype.kind in "iu" and array.size <= _SMALL}
    return Probe({name: array.shape for name, array in arrays.items()}, known)
