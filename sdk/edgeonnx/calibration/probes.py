"""A copy of a model whose outputs are what an observer wants to see of its tensors, reduced inside the graph.

Memory does not grow with the activations: what leaves the graph are a few vectors of extremes and, if the observer
wants values, at most about 2000 values a tensor and sample.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeonnx.calibration.observer import Floats, Seen
from edgeonnx.calibration.taps import Editor, Shape, Tap, extremes, some_values
from edgeonnx.model import Model

Indexes = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """An output, and where its numbers belong.

    Attributes:
        tensors: indexes of the tensors whose extremes are joined in it.
        starts: where the numbers of each begin; None where each has one.
        low: whether they are minima.
        sign: -1 where they are maxima of negated tensors.
    """

    tensors: Indexes
    starts: Indexes | None
    low: bool
    sign: int

    def read(self, output: Floats) -> Floats:
        """The extreme of each tensor, of shape (len(tensors),)."""
        if self.starts is None:
            return output.reshape(-1)
        numbers = output.reshape(-1, output.shape[1])
        largest = numbers[0] if len(numbers) == 1 else numbers.max(axis=0, initial=-np.inf)
        return self.sign * np.maximum.reduceat(largest, self.starts)


class Probes:
    """A session that tells what an observer wants to see of some tensors.

    Args:
        model: float.
        tensors: names of float32 tensors of its main graph.
        wants_values: whether some values of each tensor are to leave the graph.
        shapes: the shape that each tensor has in one sample, where known. It decides how, not what.

    Raises:
        ModelError: onnxruntime does not accept the model.
    """

    def __init__(self, model: Model, tensors: Sequence[str], wants_values: bool, shapes: Mapping[str, Shape]) -> None:
        copy = model.copy()
        graph = copy.ir.graph
        values = {v.name: v for v in [*graph.inputs, *(o for node in graph for o in node.outputs)]}
        editor = Editor(graph)
        graph.outputs.clear()
        groups: dict[Hashable, list[tuple[int, Tap]]] = {}
        for index, name in enumerate(tensors):
            for tap in extremes(editor, values[name], shapes.get(name), wants_values):
                groups.setdefault(tap.join, []).append((index, tap))
        self._parts = [_joined(editor, group) for group in groups.values()]
        if wants_values:
            for name in tensors:
                editor.output(some_values(editor, values[name], shapes.get(name)))
        self._tensors, self._turns = len(tensors), editor.turns
        self._session = copy.session()
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray], turn: int) -> Seen:
        """What the tensors hold.

        Args:
            feeds: input name -> array.
            turn: the number of this run: other values are taken each time.
        """
        if self._turns:
            feeds = {**feeds, Editor.TURN: np.array([turn], np.int64)}
        outputs = self._session.run(self._outputs, feeds)
        low, high = np.zeros(self._tensors, np.float32), np.empty(self._tensors, np.float32)
        for part, output in zip(self._parts, outputs, strict=False):
            (low if part.low else high)[part.tensors] = part.read(output)
        if (empty := high < low).any():  # where no minimum is taken, an empty tensor would have one of 0
            low[empty] = np.inf
        return Seen(low, high, outputs[len(self._parts) :])


def _joined(editor: Editor, group: Sequence[tuple[int, Tap]]) -> _Part:
    """Let taps of the same form leave the graph as one output."""
    tensors = np.array([index for index, _ in group])
    taps = [tap for _, tap in group]
    first = taps[0]
    values: list[ir.Value] = [tap.value for tap in taps]
    editor.output(editor.add("Concat", *values, axis=first.axis))
    ends = np.cumsum([tap.channels for tap in taps])
    starts = np.array([0, *ends[:-1]]) if first.axis else None
    return _Part(tensors, starts, first.low, first.sign)
