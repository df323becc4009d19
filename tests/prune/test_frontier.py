"""What layers see is the same whether the model is run from its inputs or from what is kept in front of them."""

import numpy as np
import pytest

from edgeonnx.graph import between, read_by
from edgeonnx.model import Model
from edgeonnx.prune import rows
from edgeonnx.prune.draft import Draft
from edgeonnx.prune.frontier import Frontier
from edgeonnx.prune.layers import linear_layers
from edgeonnx.prune.probe import probe
from edgeonnx.verbs.pruning import prunable
from tests.prune.graphs import GRAPHS
from tests.unit.fashion import calibration, fashion_model
from tests.unit.models import build, noise, weight

BODIES = """
(float[N,3,8,8] x, bool[1] which) => (float[N,4,H,W] y) {
    c = Conv(x, a)
    r = Relu(c)
    w = Squeeze(which)
    m = If (w) <
        then_branch = g1 () => (float[N,16,H,W] t) { t = Sigmoid(r) },
        else_branch = g2 () => (float[N,16,H,W] e) { e = Mul(r, r) }
    >
    d = Conv(m, k)
    y = Conv(d, b)
}
"""


def with_bodies():
    """What an If's bodies take from outside lies on the frontier too."""
    parts = {"a": weight(16, 3, 3, 3), "k": weight(16, 16, 1, 1, seed=2), "b": weight(4, 16, 1, 1, seed=3)}
    return build(BODIES, **parts), [{"x": noise(1, 3, 8, 8, seed=s), "which": np.array([s > 0])} for s in range(2)]


def with_sequence():
    """A sequence can't be fed, so nothing is kept there."""
    text = (
        "(float[N,16] x) => (float[N,4] y) { c = MatMul(x, a) s = SequenceConstruct(c, x) d = MatMul(x, k) "
        "f = SequenceAt(s, zero) j = Add(d, f) y = MatMul(j, b) }"
    )
    parts = {
        "a": weight(16, 16),
        "k": weight(16, 16, seed=2),
        "b": weight(16, 4, seed=3),
        "zero": np.array(0, np.int64),
    }
    return build(text, **parts), [{"x": noise(2, 16)}]


def cases():
    graphs = ("residual", "split", "squeeze and excite", "concat", "attention", "a weight read twice", "perceptron")
    found = {name: (Model.from_proto(GRAPHS[name].build()), [GRAPHS[name].feeds()]) for name in graphs}
    return {**found, "bodies": with_bodies(), "sequence": with_sequence()}


@pytest.mark.parametrize("memory", [0, 5000, 1 << 20])
@pytest.mark.parametrize("name", cases())
def test_what_layers_see_is_what_the_whole_model_has(name, memory):
    """Each layer's weights change as its turn comes, as in a refit; what is kept must not be what was."""
    given, feeds = cases()[name]
    draft = Draft(prunable(given))
    layers = linear_layers(draft.model.ir.graph, probe(draft.model, feeds[0]).shapes)
    frontier = Frontier(draft.model.ir.graph, layers, [[layer.data] for layer in layers], feeds, memory)
    for number, layer in enumerate(layers):
        got = [np.array(seen[layer.data]) for seen in frontier.before(number, draft.model)]
        expected = [seen[layer.data] for seen in rows.tensors(draft.model, [layer.data], feeds)]
        for one, other in zip(expected, got, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
        draft = draft.changed({layer.weight: draft.array(layer.weight) * 1.5})


def test_each_node_runs_once(monkeypatch):
    """All layers together cost one run of the model."""
    model, ran = prunable(fashion_model("mobilenetv3")), []

    def watched(*arguments):
        part = between(*arguments)
        ran.extend(node.name for node in part.ir.graph)
        return part

    monkeypatch.setattr(rows, "between", watched)
    feeds = calibration(4)
    layers = linear_layers(model.ir.graph, probe(model, feeds[0]).shapes)
    frontier = Frontier(model.ir.graph, layers, [[layer.data] for layer in layers], feeds)
    for number in range(len(layers)):
        assert len(list(frontier.before(number, model))) == len(feeds)
    assert len(ran) == len(set(ran)) > len(layers)


def test_only_what_lies_between_is_left():
    model = build(
        "(float[N,3,8,8] x, float[N,16,6,6] z) => (float[N,4,H,W] y) { c = Conv(x, a) r = Relu(c) s = Add(r, z) "
        "y = Conv(s, b) }",
        a=weight(16, 3, 3, 3),
        b=weight(4, 16, 1, 1),
    )
    feeds = {"x": noise(1, 3, 8, 8), "z": noise(1, 16, 6, 6)}
    relu = rows.tensors(model, ["r", "y"], [feeds])
    seen = next(relu)
    part = between(model, {"r": seen["r"], "z": feeds["z"], "x": feeds["x"]}, ["y"])
    assert [node.op_type for node in part.ir.graph] == ["Add", "Conv"]
    assert {value.name for value in part.ir.graph.inputs} == {"r", "z"}
    assert set(part.ir.graph.initializers) == {"b"}
    (got,) = part.session().run(["y"], {"r": seen["r"], "z": feeds["z"]})
    np.testing.assert_allclose(got, seen["y"], rtol=1e-5, atol=1e-6)


def test_what_a_node_reads_is_what_its_bodies_read_too():
    model, _ = with_bodies()
    (branch,) = (node for node in model.ir.graph if node.op_type == "If")
    assert {"w", "r"} <= read_by(branch)
