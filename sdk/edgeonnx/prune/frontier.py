"""What layers see while one after another is changed, without running the model from its inputs for each of them.

In front of each layer lie the tensors that it and what comes behind it read, and that no layer from it on changes any
more. They are kept, of every sample, and the next part of the graph is run from them. So all layers together cost one
run of the model, where memory is for it; where it is not, as in front of a network whose first activations are large,
the part begins at the last tensors that are kept.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import onnx_ir as ir

from edgeonnx.graph import read_by
from edgeonnx.model import Model
from edgeonnx.prune.layers import Layer
from edgeonnx.prune.rows import Feeds, tensors

# Bytes of activations that are kept at most.
_MEMORY = 512 << 20


class Frontier:
    """Activations in front of the layers that are still to be changed.

    Args:
        graph: of the model; its weights may change, not its nodes.
        layers: that are changed, in its order.
        needs: what is asked for in front of each layer: names of tensors that no layer from it on changes.
        feeds: samples.
        memory: bytes to keep at most.
    """

    def __init__(
        self,
        graph: ir.Graph,
        layers: Sequence[Layer],
        needs: Sequence[Collection[str]],
        feeds: Sequence[Feeds],
        memory: int = _MEMORY,
    ) -> None:
        self._needs, self._fronts = needs, _fronts(graph, layers, needs)
        self._kept, self._memory = list(feeds), memory

    def before(self, number: int, model: Model) -> Iterator[Mapping[str, np.ndarray]]:
        """What is asked for in front of a layer, sample by sample.

        Args:
            number: of the layer; not less than it was the last time.
            model: with the layers before it as they will stay.
        """
        front = self._fronts[number]
        seen = tensors(model, front, self._kept)
        first = next(seen)
        if not self._fits([first[name] for name in front]):
            yield from tensors(model, self._needs[number], self._kept)
            return
        for index, found in enumerate(chain([first], seen)):
            self._kept[index] = {name: found[name] for name in front}
            yield found

    def _fits(self, arrays: Sequence[object]) -> bool:
        """Whether such arrays of every sample may be kept; sequences can't be fed again."""
        sizes = [array.nbytes if isinstance(array, np.ndarray) else np.inf for array in arrays]
        return sum(sizes) * len(self._kept) <= self._memory


def stages(graph: ir.Graph, layers: Sequence[Layer]) -> dict[str, int]:
    """Name of a tensor -> number of the last layer that it depends on, -1 for none."""
    order = {layer.output: number for number, layer in enumerate(layers)}
    found: dict[str, int] = {}
    for node in graph:
        number = max((found.get(name, -1) for name in read_by(node)), default=-1)
        for value in node.outputs:
            found[value.name or ""] = order.get(value.name or "", number)
    return found


def _fronts(graph: ir.Graph, layers: Sequence[Layer], needs: Sequence[Collection[str]]) -> list[list[str]]:
    """In front of each layer: the tensors that are settled, and that it or something behind it reads."""
    stage = stages(graph, layers)
    inputs = {value.name for value in graph.inputs} - set(graph.initializers)
    until: dict[str, int] = {}  # tensor -> the last layer in front of which it is wanted
    for number, names in enumerate(needs):
        until.update(dict.fromkeys(names, number))
    for node in reversed(graph):
        outputs = [value.name for value in node.outputs if value.name in until]
        last = max((stage[name] for name in outputs if name), default=-1)
        for name in read_by(node) if outputs else ():
            if name in stage or name in inputs:
                until[name] = max(until.get(name, -1), last)
    return [
        [name for name, last in until.items() if number in range(stage.get(name, -1) + 1, last + 1)]
        for number in range(len(layers))
    ]
