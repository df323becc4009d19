"""Channels are followed, taken out, and what is left is what the whole model gives when nothing reads them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.prune.channels import find_channels
from edgeonnx.prune.probe import probe
from edgeonnx.prune.proof import proven, silence
from edgeonnx.prune.study import study
from edgeonnx.prune.surgery import remove
from edgeonnx.verbs.pruning import prunable
from tests.prune.graphs import GRAPHS, STUCK, WHY
from tests.zoo.zoo import CASES, QUANTIZED


def found(proto, feeds):
    model = prunable(Model.from_proto(proto))
    return model, find_channels(model.ir, probe(model, feeds))


def outputs(model, feeds):
    return model.session().run(None, feeds)


def differs(expected, got):
    assert np.array_equal(np.isfinite(expected), np.isfinite(got))
    finite = np.isfinite(expected)
    size = max(float(np.abs(expected[finite]).max(initial=0)), 1e-30)
    return float(np.abs(expected[finite] - got[finite]).max(initial=0)) / size


@pytest.mark.parametrize("name", GRAPHS)
def test_groups_are_found(name):
    case = GRAPHS[name]
    _, channels = found(case.build(), case.feeds())
    assert tuple(sorted(len(group.channels) for group in channels.groups)) == case.groups


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", GRAPHS)
def test_what_is_taken_out_is_what_nothing_reads(name, share):
    """The one promise of surgery: equal to the whole model with zeros where the channels were read."""
    case = GRAPHS[name]
    model, channels = found(case.build(), case.feeds())
    rng = np.random.default_rng(0)
    gone = []
    for group in channels.groups:
        count = min(len(group.channels) - 1, max(1, int(share * len(group.channels))))
        gone += rng.choice(group.channels, count, replace=False).tolist()
    smaller = remove(model, channels, gone)
    assert smaller.weight_bytes < model.weight_bytes
    for expected, got in zip(
        outputs(silence(model, channels, gone), case.feeds()), outputs(smaller, case.feeds()), strict=True
    ):
        assert differs(expected, got) < 1e-5


@pytest.mark.parametrize("name", GRAPHS)
def test_a_group_is_proven(name):
    case = GRAPHS[name]
    model, channels = found(case.build(), case.feeds())
    assert proven(model, channels, case.feeds()) is channels


@pytest.mark.parametrize("name", STUCK)
def test_what_cannot_go_says_why(name):
    case = STUCK[name]
    model, channels = found(case.build(), case.feeds())
    assert channels.groups == ()
    assert any(re.search(WHY[name], stuck.why) for stuck in channels.stuck), channels.stuck
    with pytest.raises(ModelError, match="no channels that can be pruned"):
        study(model, [case.feeds()], lambda *_: None)


def test_removing_nothing_is_the_model_itself():
    case = GRAPHS["chain"]
    model, channels = found(case.build(), case.feeds())
    assert remove(model, channels, ()) is model


def test_a_graph_that_breaks_is_not_pruned():
    """What channels may go is proven by running, not only reasoned: a wrong size must not ship."""
    case = GRAPHS["reshape to a size written down"]
    model, channels = found(case.build(), case.feeds())
    broken = dict(channels.values)
    del broken["f"]  # as if the walk had not seen the Reshape

    held = proven(model, replace(channels, values=broken), case.feeds())
    assert held.groups == ()
    assert "does not run" in held.stuck[-1].why


@pytest.mark.parametrize("name", QUANTIZED)
def test_every_kind_of_model_survives(name):
    """Whatever the graph, what is found can be taken out, or nothing is found."""
    case = CASES[name]
    model = prunable(Model.from_proto(case.build()))
    feeds = case.feed(0)
    channels = proven(model, find_channels(model.ir, probe(model, feeds)), feeds)
    gone = [channel for group in channels.groups for channel in group.channels[::2][: len(group.channels) - 1]]
    expected = outputs(silence(model, channels, gone), feeds)
    for one, other in zip(expected, outputs(remove(model, channels, gone), feeds), strict=True):
        if isinstance(one, np.ndarray) and one.dtype.kind == "f":
            assert differs(one.astype(np.float64), other.astype(np.float64)) < (
                2e-2 if one.dtype == np.float16 else 1e-4
            )
