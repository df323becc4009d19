"""Refit the layers behind channels that are gone, one after another, to what they gave in the whole model.

Each layer is solved by least squares on calibration data: its features as the pruned model now has them, errors of the
layers before it included; its targets as the whole model has them. Where its result is added to another branch's, and
the other is done already, it is fitted to the sum, so that it mends the other's errors too. It is held to its former
weights by a ridge, whose strength is chosen on samples that were not fitted; where none helps there, they stay.

Y. He, X. Zhang, J. Sun, Channel Pruning for Accelerating Very Deep Neural Networks, 2017, for convolutions; here for
every linear layer, depthwise ones included.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.graph import STANDARD, read_by
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, stays
from edgeonnx.prune.draft import Draft, Solution, arrays_of
from edgeonnx.prune.frontier import Frontier, stages
from edgeonnx.prune.layers import Floats, Layer
from edgeonnx.prune.rows import Feeds, blocks, picks, positions, tensors
from edgeonnx.prune.trace import Role

# Strengths of the ridge that are tried, as shares of the mean of a covariance's diagonal.
_RIDGES = (1e-4, 1e-2, 1e-1, 1.0)
# Variance that float32 leaves of what never changes, as a share of its square; and at least.
_ROUNDING = 1e-12
# One sample in so many is not fitted but judges.
_JUDGES = 5
# A fit must lower the error of the judges to this share at least.
_GAIN = 0.995


@dataclass(frozen=True)
class Aim:
    """What a layer is fitted to.

    Attributes:
        tensor: of the whole model.
        less: tensor of the pruned model that is added to the layer's output; None: nothing is.
    """

    tensor: str
    less: str | None = None


def refit(
    whole: Model,
    draft: Draft,
    channels: Channels,
    layers: Sequence[Layer],
    feeds: Sequence[Feeds],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Draft:
    """The draft with the layers refitted that read what changed.

    Args:
        whole: the model that outputs are compared with.
        draft: the same with channels gone.
        channels: of both.
        layers: that can be refitted, in order.
        feeds: calibration samples.
        progress: told (layers done, layers in all).
    """
    touched = _touched(draft, channels, layers)
    aims = _aims(draft, channels, touched)
    expected = _targets(whole, touched, aims, feeds)
    needs = [[name for name in (layer.data, aims[layer.node].less) if name] for layer in touched]
    frontier = Frontier(draft.model.ir.graph, touched, needs, feeds)
    for number, layer in enumerate(touched):
        progress(number, len(touched))
        seen = frontier.before(number, draft.model)
        solution = _fitted(draft, channels, layer, aims[layer.node], expected[layer.node], seen)
        if solution is not None:
            draft = draft.changed(arrays_of(layer, solution))
    return draft


def _touched(draft: Draft, channels: Channels, layers: Sequence[Layer]) -> list[Layer]:
    """Layers whose input is not what it was: behind a layer that lost channels."""
    changed: set[str] = set()
    cut = [a for a in channels.axes if not channels.kept(a, draft.gone).all()]
    losing = {a.node for a in cut}
    for node in draft.model.ir.graph:
        if node.name in losing or read_by(node) & changed:
            changed |= {value.name or "" for value in node.outputs}
    readers = {a.node for a in cut if a.role is Role.READS}
    return [layer for layer in layers if layer.data in changed or layer.node in readers]


def _aims(draft: Draft, channels: Channels, layers: Sequence[Layer]) -> dict[str, Aim]:
    """What each layer is fitted to: its own output, or the sum that it is the last to go into."""
    graph = draft.model.ir.graph
    last = stages(graph, layers)
    made = {value.name: value for node in graph for value in node.outputs}
    aims = {}
    for number, layer in enumerate(layers):
        uses = list(made[layer.output].uses())
        reader = uses[0].node if len(uses) == 1 and not made[layer.output].is_graph_output() else None
        aims[layer.node] = Aim(layer.output)
        if reader is not None and reader.op_type == "Add" and reader.domain in STANDARD:
            other = next((v for v in reader.inputs if v is not None and v.name != layer.output), None)
            name = "" if other is None or other.is_initializer() else other.name or ""
            alike = name and channels.shapes.get(name) == channels.shapes.get(layer.output)
            if alike and last.get(name, -1) < number:
                aims[layer.node] = Aim(reader.outputs[0].name or "", name)
    return aims


def _targets(
    whole: Model, layers: Sequence[Layer], aims: Mapping[str, Aim], feeds: Sequence[Feeds]
) -> dict[str, list[np.ndarray]]:
    """What each layer is fitted to, by node: float32 (rows, outputs) a sample."""
    found: dict[str, list[np.ndarray]] = {layer.node: [] for layer in layers}
    names = [name for layer in layers for name in (layer.data, aims[layer.node].tensor)]
    for number, seen in enumerate(tensors(whole, names, feeds)):
        for layer in layers:
            chosen = picks(layer, number, len(feeds), positions(layer, seen[layer.data]))
            found[layer.node].append(layer.targets(seen[aims[layer.node].tensor], chosen))
    return found


def _fitted(
    draft: Draft, channels: Channels, layer: Layer, aim: Aim, expected: Sequence[np.ndarray], found: Iterable[Feeds]
) -> Solution | None:
    """A layer's weights by least squares; None where they are best as they are."""
    features, targets = [], []
    for number, (seen, wanted) in enumerate(zip(found, expected, strict=True)):
        chosen = picks(layer, number, len(expected), positions(layer, seen[layer.data]))
        features.append(layer.rows(seen[layer.data], chosen))
        targets.append(wanted - layer.targets(seen[aim.less], chosen) if aim.less else wanted)
    problem = _Problem(layer, draft.solution(layer), channels, draft.gone)
    judges = [number % _JUDGES == _JUDGES - 1 for number in range(len(features))]
    if not any(judges):
        return None
    return problem.solve(features, targets, np.array(judges))


class _Problem:
    """Least squares for one layer."""

    def __init__(self, layer: Layer, start: Solution, channels: Channels, gone: frozenset[int]) -> None:
        self._layer, self._start = layer, start
        inner = channels.read_axis(layer.node, layer.weight)
        kept = np.ones(layer.features // layer.taps, bool) if inner is None else channels.kept(inner, gone)
        self._inner = np.repeat(kept, layer.taps)
        outer = channels.values.get(layer.output)
        labels = np.zeros(1, np.int64) if outer is None else outer.reshape(-1)
        self._outer = np.broadcast_to(stays(labels, gone), (layer.outputs,))

    def solve(self, features: list[np.ndarray], targets: list[np.ndarray], judges: np.ndarray) -> Solution | None:
        """The best of the ridges, by samples that judge; then fitted to all."""
        before = self._layer.matrices(self._start.weight)
        bias = self._start.bias
        offset = np.zeros(self._layer.outputs) if bias is None else bias.astype(np.float64)
        origins = None if bias is None else (features[0].mean(1), targets[0].mean(0))
        fit, judge = (_Sums(self._layer, origins) for _ in range(2))
        for side, sums in ((False, fit), (True, judge)):
            chosen = np.flatnonzero(judges == side)
            sums.add([features[number] for number in chosen], [targets[number] for number in chosen])
        least, best = judge.error(before, offset, self._outer) * _GAIN, None
        for ridge in _RIDGES:
            matrices, shift = fit.solve(before, offset, self._inner, ridge, bias is not None)
            error = judge.error(matrices, shift, self._outer)
            if error < least:
                least, best = error, ridge
        if best is None:
            return None
        matrices, shift = fit.with_those_of(judge).solve(before, offset, self._inner, best, bias is not None)
        return Solution(self._layer.weight_of(matrices), None if bias is None else shift)


class _Sums:
    """Sums over rows of features x and targets y, one set a group; all that least squares and its error need.

    Args:
        layer: that is fitted.
        origins: features (groups, features) and targets (outputs,) that are taken off all rows, whose small deviations
            from large means float32 would lose; None for a layer without a bias.
    """

    def __init__(self, layer: Layer, origins: tuple[np.ndarray, np.ndarray] | None) -> None:
        groups, width = layer.groups, layer.outputs // layer.groups
        self._rows = 0
        self._x0 = np.zeros((groups, layer.features), np.float32) if origins is None else origins[0]
        self._y0 = np.zeros((groups, width), np.float32) if origins is None else origins[1].reshape(groups, width)
        self._x = np.zeros((groups, layer.features))
        self._y = np.zeros((groups, width))
        self._xx = np.zeros((groups, layer.features, layer.features))
        self._xy = np.zeros((groups, layer.features, width))
        self._yy = np.zeros((groups, width))

    def add(self, features: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> None:
        """Add samples' rows: features of shape (groups, rows, features), targets of shape (rows, outputs)."""
        for part in blocks(features):
            flat = np.concatenate(targets[part])
            x = np.concatenate(features[part], 1) - self._x0[:, None]
            y = flat.reshape(len(flat), *self._y.shape).transpose(1, 0, 2) - self._y0[:, None]
            self._rows += len(flat)
            self._x += x.sum(1, dtype=np.float64)
            self._y += y.sum(1, dtype=np.float64)
            self._xx += x.transpose(0, 2, 1) @ x
            self._xy += x.transpose(0, 2, 1) @ y
            self._yy += np.square(y, dtype=np.float64).sum(1)

    def with_those_of(self, other: "_Sums") -> "_Sums":
        """The sums over both's rows; these are changed."""
        self._rows += other._rows
        self._x += other._x
        self._y += other._y
        self._xx += other._xx
        self._xy += other._xy
        self._yy += other._yy
        return self

    def solve(
        self, before: Floats, offset: Floats, inner: np.ndarray, ridge: float, biased: bool
    ) -> tuple[Floats, Floats]:
        """Matrices of shape (groups, features, outputs of a group) and offsets (outputs,)."""
        count = max(self._rows, 1)
        x, y = self._x / count, self._y / count
        xx, xy = self._xx / count, self._xy / count
        if biased:
            xx, xy = xx - x[:, :, None] * x[:, None, :], xy - x[:, :, None] * y[:, None, :]
        xx, xy = xx[:, inner][:, :, inner], xy[:, inner]
        start = before[:, inner]
        rounding = _ROUNDING * (1 + np.square(self._x0).mean(1))
        strength = (ridge * np.trace(xx, axis1=1, axis2=2) / max(xx.shape[1], 1) + rounding)[:, None, None]
        change = np.linalg.solve(xx + strength * np.eye(xx.shape[1]), xy - xx @ start)
        matrices = np.zeros_like(before)
        matrices[:, inner] = start + change
        shift = (self._y0 + y - np.einsum("gf,gfo->go", self._x0 + x, matrices)).reshape(-1) if biased else offset
        return matrices, shift

    def error(self, matrices: Floats, offset: Floats, outer: np.ndarray) -> float:
        """Sum of squared errors over the outputs that stay."""
        b = offset.reshape(self._y.shape) - self._y0 + np.einsum("gf,gfo->go", self._x0, matrices)
        fitted = np.einsum("gfo,gfk,gko->go", matrices, self._xx, matrices, optimize=True)
        crossed = np.einsum("gfo,gfo->go", matrices, self._xy)
        leaned = np.einsum("gf,gfo->go", self._x, matrices)
        total = self._yy - 2 * crossed + fitted + 2 * b * (leaned - self._y) + self._rows * b * b
        return float(total.reshape(-1)[outer].sum())
