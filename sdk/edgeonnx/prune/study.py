"""Look at a model before it is pruned: its channels, and what accuracy giving up more and more of each group costs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.prune.allocate import Level, counts
from edgeonnx.prune.channels import Channels, Group, find_channels
from edgeonnx.prune.draft import Bench, Draft, distance, with_biases
from edgeonnx.prune.eliminate import eliminate, readers_of, stood_in
from edgeonnx.prune.importance import activation, norm, sensitivity
from edgeonnx.prune.layers import Layer, linear_layers
from edgeonnx.prune.probe import probe
from edgeonnx.prune.proof import proven, silence
from edgeonnx.prune.refit import refit
from edgeonnx.prune.rows import Moments, moments
from edgeonnx.prune.trace import Role

Feeds = Mapping[str, np.ndarray]
Progress = Callable[[str, int, int], None]

# Samples that outputs are compared on at most; one in so many is one, and no weight is fitted to it.
_PROBES, _JUDGES = 48, 5


@dataclass(frozen=True)
class Study:
    """A model, looked at.

    Attributes:
        model: of full shape; every Conv and Gemm that reads channels has a bias.
        channels: of it.
        layers: that can be refitted.
        feeds: calibration samples.
        seen: what layers see on those of them that do not judge, by node.
    """

    model: Model
    channels: Channels
    layers: tuple[Layer, ...]
    feeds: Sequence[Feeds]
    seen: Mapping[str, Moments]

    def levels(self, method: str, aligns: Sequence[int], progress: Progress) -> dict[str, list[Level]]:
        """What it costs to give up more and more of each group by itself, its readers made up for it.

        Args:
            method: of `importance`; decides which channels go first.
            aligns: numbers that stay are multiples of one of these, where a group is large enough.
            progress: told (stage, groups done, groups in all).
        """
        draft = Draft(self.model)
        readers = {a.weight: a for group in self.channels.groups for a in group.readers}
        biases = {layer.bias for layer in self.layers if layer.weight in readers and layer.bias}
        bench = Bench(draft, sorted({*readers, *biases}), _judging(self.feeds)[0][:_PROBES])
        expected, found = bench.outputs(), {}
        for done, group in enumerate(self.channels.groups):
            progress("sensitivity of channels", done, len(self.channels.groups))
            reading = readers_of(group.readers, self.channels, self.layers, draft, self.seen)
            scores = self._scores(method, group, draft, bench, expected)
            numbers = sorted({count for align in aligns for count in counts(len(group.channels), align)})
            steps = eliminate(group, reading, numbers, scores)
            found[group.name] = [Level(s.gone, distance(expected, bench.outputs(s.arrays))) for s in steps]
        return found

    def without(self, gone: Collection[int], refitted: bool, progress: Progress) -> Draft:
        """The model without some channels.

        Args:
            gone: the channels.
            refitted: have the layers left make up for them.
            progress: told (stage, layers done, layers in all).
        """
        if not refitted:
            return Draft(silence(self.model, self.channels, gone), frozenset(gone))
        draft = stood_in(Draft(self.model), self.channels, self.layers, self.seen, gone)
        draft = Draft(silence(draft.model, self.channels, gone), draft.gone)
        return refit(
            self.model,
            draft,
            self.channels,
            self.layers,
            self.feeds,
            lambda done, total: progress("refit layers", done, total),
        )

    def _scores(
        self, method: str, group: Group, draft: Draft, bench: Bench, expected: Sequence[np.ndarray]
    ) -> dict[int, float] | None:
        match method:
            case "norm":
                return norm(group, self.channels, draft)
            case "activation":
                return activation(group, self.channels, self.layers, draft, self.seen)
            case "sensitivity":
                return sensitivity(group, self.channels, self.layers, draft, self.seen, bench, expected)
            case _:
                return None


def study(model: Model, feeds: Sequence[Feeds], progress: Progress) -> Study:
    """Find a model's channels, prove that they can be taken out, and see what its layers see.

    Args:
        model: float, of opset 13 or newer, functions inlined, constants as initializers.
        feeds: calibration samples.
        progress: told (stage, steps done, steps in all).

    Raises:
        ModelError: nothing in it can be pruned; the message says why.
    """
    progress("follow channels", 0, 2)
    seen_once = probe(model, feeds[0])  # a bias more changes no shape
    model, layers = with_biases(model, linear_layers(model.ir.graph, seen_once.shapes))
    channels = proven(model, find_channels(model.ir, seen_once), feeds[0])
    if not channels.groups:
        why = "; ".join(dict.fromkeys(f"{s.node}: {s.why}" for s in channels.stuck)) or "it has no layers with weights"
        raise ModelError(f"{model.path or 'the model'} has no channels that can be pruned: {why}")
    progress("follow channels", 1, 2)
    reading = {a.node for a in channels.axes if a.role is Role.READS}
    seen = moments(model, [one for one in layers if one.node in reading], _judging(feeds)[1])
    return Study(model, channels, layers, feeds, seen)


def _judging(feeds: Sequence[Feeds]) -> tuple[list[Feeds], list[Feeds]]:
    """Samples that judge, and those that weights are fitted to; the same ones where there are too few to divide."""
    if len(feeds) < _JUDGES:
        return list(feeds), list(feeds)
    judges = list(feeds[_JUDGES - 1 :: _JUDGES])
    return judges, [feed for number, feed in enumerate(feeds) if number % _JUDGES != _JUDGES - 1]
