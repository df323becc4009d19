"""Channels are followed, taken out, and what is left is what the whole model gives when nothing reads them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.prune.channels import find_channels
from edgeonnx.prune.einsum import letters
from edgeonnx.prune.probe import probe
from edgeonnx.prune.proof import proven, silence
from edgeonnx.prune.study import study
from edgeonnx.prune.surgery import remove
from edgeonnx.verbs.pruning import prunable
from tests.prune.exported import EXPORTED
from tests.prune.graphs import GRAPHS, STUCK, WHY
from tests.unit.models import build, noise, weight
from tests.zoo.zoo import CASES, QUANTIZED

ALL = {**GRAPHS, **EXPORTED}


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


@pytest.mark.parametrize("name", ALL)
def test_groups_are_found(name):
    case = ALL[name]
    _, channels = found(case.build(), case.feeds())
    assert tuple(sorted(len(group.channels) for group in channels.groups)) == case.groups


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("name", ALL)
def test_what_is_taken_out_is_what_nothing_reads(name, share):
    """The one promise of surgery: equal to the whole model with zeros where the channels were read."""
    case = ALL[name]
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


@pytest.mark.parametrize("name", ALL)
def test_a_group_is_proven(name):
    case = ALL[name]
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


def test_a_graph_that_fails_while_it_runs_is_not_pruned():
    """What goes wrong only with a sample ends the proof, not the user's run."""
    case = EXPORTED["sizes computed and written down in one"]
    model, channels = found(case.build(), case.feeds())
    held = proven(model, replace(channels, values={k: v for k, v in channels.values.items() if k != "f"}), case.feeds())
    assert held.groups == ()
    assert "does not run" in held.stuck[-1].why


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize(
    "name", ["where to cut is computed, of small constants", "sizes computed and written down in one"]
)
def test_sizes_left_open_stay_open(name, rows):
    """A model is looked at on one sample, and must run on batches of any size as before."""
    case = EXPORTED[name]
    model, channels = found(case.build(), case.feeds())
    gone = [channel for group in channels.groups for channel in group.channels[::2]]
    feeds = {"x": noise(rows, 3, 8, 8, seed=4)}
    (expected,), (got,) = (outputs(m, feeds) for m in (silence(model, channels, gone), remove(model, channels, gone)))
    assert differs(expected, got) < 1e-5


def test_what_was_folded_is_not_kept():
    """A weight in another form beside the one that it was made from would make the file larger."""
    case = build(
        "(float[N,8] x) => (float[N,4] y) { h = MatMul(x, a) t = Transpose<perm=[1,0]>(b) y = MatMul(h, t) }",
        a=weight(8, 16),
        b=weight(4, 16),
    )
    assert prunable(case).weight_bytes == case.weight_bytes


@pytest.mark.parametrize(
    ("equation", "ranks", "expected"),
    [
        ("ij,jk->ik", (2, 2), (["ij", "jk"], "ik")),
        ("ij,jk", (2, 2), (["ij", "jk"], "ik")),
        ("...i, ij -> ...j", (4, 2), (["789i", "ij"], "789j")),
        ("...ij,...jk", (4, 3), (["89ij", "9jk"], "89ik")),
    ],
)
def test_letters_of_an_equation(equation, ranks, expected):
    assert letters(equation, ranks) == expected


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
