"""The model while it is being pruned: of its full shape, with other weights; channels that go are not read any more.

So every tensor keeps its name and shape, and what is tried needs other weights alone. The last step is `remove`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import constant, set_constant
from edgeonnx.model import Model, session_options
from edgeonnx.prune.layers import Layer
from edgeonnx.prune.surgery import set_weight

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Solution:
    """Other weights of a layer.

    Attributes:
        weight: of the layer's shape.
        bias: shape (outputs,); None for a layer without.
    """

    weight: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True)
class Draft:
    """A model with some of its channels given up.

    Attributes:
        model: of full shape.
        gone: channels that nothing reads any more.
    """

    model: Model
    gone: frozenset[int] = frozenset()

    def changed(self, arrays: Mapping[str, np.ndarray], gone: Iterable[int] = ()) -> "Draft":
        """The draft with other weights, by name, and more channels given up."""
        copy = self.model.copy()
        for name, array in arrays.items():
            value = copy.ir.graph.initializers[name]
            set_weight(value, array.astype(self.array(name).dtype))
        return Draft(Model(copy.ir), self.gone | frozenset(gone))

    def array(self, name: str) -> np.ndarray:
        """A weight as it is now."""
        array = constant(self.model.ir.graph.initializers[name])
        assert array is not None
        return array

    def solution(self, layer: Layer) -> Solution:
        """A layer's weights as they are now."""
        return Solution(self.array(layer.weight), None if layer.bias is None else self.array(layer.bias))


def arrays_of(layer: Layer, solution: Solution) -> dict[str, np.ndarray]:
    """A layer's weights by name."""
    arrays = {layer.weight: solution.weight}
    if layer.bias is not None and solution.bias is not None:
        arrays[layer.bias] = solution.bias
    return arrays


def with_biases(model: Model, layers: Iterable[Layer]) -> tuple[Model, tuple[Layer, ...]]:
    """The model with a bias of zeros for each Conv and Gemm that had none: what channels gave on average goes there."""
    copy = model.copy()
    nodes = {node.name: node for node in copy.ir.graph}
    found = []
    for layer in layers:
        bias = layer.bias
        if bias is None and layer.kind != "MatMul":
            weight = constant(nodes[layer.node].inputs[1])
            assert weight is not None
            bias = set_constant(nodes[layer.node], 2, np.zeros(layer.outputs, weight.dtype)).name
        found.append(replace(layer, bias=bias))
    return Model(copy.ir), tuple(found)


class Bench:
    """Runs a draft with other weights, without a new session for each: they are fed.

    Args:
        draft: what to run.
        names: of the weights that may be other.
        feeds: samples; they stay in memory.
    """

    def __init__(self, draft: Draft, names: Iterable[str], feeds: Iterable[Feeds]) -> None:
        copy = draft.model.copy()
        graph = copy.ir.graph
        self._now = {name: draft.array(name) for name in names}
        for name, array in self._now.items():
            value = graph.initializers.pop(name)
            value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
            value.const_value = None
            graph.inputs.append(value)
        self._session = Model(copy.ir).session(session_options())
        self._feeds = [dict(feed) for feed in feeds]
        self._names = [t.name for t in draft.model.outputs if t.dtype.startswith("float")]

    def outputs(self, other: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
        """The float outputs on all samples, each flat and of all samples together.

        Args:
            other: weights in place of the draft's, by name.
        """
        given = dict(self._now)
        for name, array in (other or {}).items():
            given[name] = array.astype(self._now[name].dtype)
        found = [self._session.run(self._names, {**given, **feed}) for feed in self._feeds]
        return [np.concatenate([arrays[i].ravel() for arrays in found]) for i in range(len(self._names))]


def distance(expected: Iterable[np.ndarray], got: Iterable[np.ndarray]) -> float:
    """How far outputs are from those expected: the mean over outputs of squared errors over variance."""
    shares = []
    for one, other in zip(expected, got, strict=True):
        finite = np.isfinite(one)
        wanted = one[finite].astype(np.float64)
        error = float(np.square(wanted - other[finite]).sum())
        power = float(np.square(wanted - wanted.mean()).sum()) if wanted.size else 0.0
        shares.append((error if np.isfinite(error) else np.inf) / max(power, 1e-30))
    return float(np.mean(shares)) if shares else 0.0
