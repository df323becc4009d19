"""What channels are worth, how the rest make up for them, and how much of each group goes."""

import numpy as np
import pytest

from edgeonnx.anatomy import node_macs
from edgeonnx.errors import InputError
from edgeonnx.model import Model
from edgeonnx.prune.allocate import Level, allocate, counts
from edgeonnx.prune.cost import Cost
from edgeonnx.prune.draft import Draft, distance
from edgeonnx.prune.eliminate import LayerReader, eliminate, stood_in
from edgeonnx.prune.importance import METHODS
from edgeonnx.prune.layers import linear_layers
from edgeonnx.prune.probe import probe
from edgeonnx.prune.proof import silence
from edgeonnx.prune.refit import refit
from edgeonnx.prune.rows import moments, tensors
from edgeonnx.prune.sparsity import Pattern, Share, parse_sparsity, sparsify
from edgeonnx.prune.study import study
from edgeonnx.prune.surgery import remove
from edgeonnx.verbs.pruning import prunable
from tests.prune.exported import EXPORTED
from tests.prune.graphs import GRAPHS
from tests.unit.fashion import calibration, fashion_model
from tests.unit.models import build, noise, weight


def silent(*_):
    pass


def outputs(model, feeds):
    return [model.session().run(None, feed)[0].ravel() for feed in feeds]


@pytest.fixture(scope="module")
def resnet():
    return study(prunable(fashion_model("resnet8")), calibration(60), silent)


@pytest.mark.parametrize(
    "name",
    [
        *("chain", "one dimension", "depthwise", "grouped", "flatten", "channels last"),
        *("transposed convolution", "transposed convolution with strides"),
    ],
)
def test_rows_times_matrix_is_the_layer(name):
    """Padding, strides, dilations, groups: what least squares sees is what the layer computes."""
    case = GRAPHS[name]
    model, feeds = prunable(Model.from_proto(case.build())), case.feeds()
    layers = linear_layers(model.ir.graph, probe(model, feeds).shapes)
    assert layers
    names = [n for layer in layers for n in (layer.data, layer.output)]
    (seen,) = tensors(model, names, [feeds])
    draft = Draft(model)
    for layer in layers:
        picks = np.arange(seen[layer.output].size // layer.outputs)
        rows, solution = layer.rows(seen[layer.data], picks), draft.solution(layer)
        made = (rows @ layer.matrices(solution.weight)).transpose(1, 0, 2).reshape(len(picks), -1)
        made = made + (0 if solution.bias is None or layer.kind == "MatMul" else solution.bias)
        np.testing.assert_allclose(made, layer.targets(seen[layer.output], picks), rtol=1e-4, atol=1e-4)
        assert np.array_equal(layer.weight_of(layer.matrices(solution.weight)), solution.weight)


@pytest.mark.parametrize("padding", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding(padding):
    model = build(
        f'(float[N,3,7,6] x) => (float[N,4,H,W] y) {{ y = Conv<auto_pad="{padding}",strides=[2,2]>(x, a) }}',
        a=weight(4, 3, 3, 2),
    )
    feeds = {"x": noise(1, 3, 7, 6)}
    (layer,) = linear_layers(model.ir.graph, probe(model, feeds).shapes)
    (expected,) = model.session().run(None, feeds)
    picks = np.arange(expected.size // 4)
    made = (layer.rows(feeds["x"], picks) @ layer.matrices(Draft(model).array("a")))[0]
    np.testing.assert_allclose(made, layer.targets(expected, picks), rtol=1e-4, atol=1e-5)


def test_a_copy_of_a_channel_costs_nothing_and_is_made_up_for():
    """Two channels that are the same: one goes first, and the other takes its weights."""
    first = weight(8, 3, 3, 3)
    first[5] = first[2]
    model = prunable(
        build(
            "(float[N,3,8,8] x) => (float[N,4,H,W] y) { c = Conv(x, a) y = Conv(c, b) }", a=first, b=weight(4, 8, 1, 1)
        )
    )
    feeds = [{"x": noise(1, 3, 8, 8, seed=seed)} for seed in range(8)]
    looked = study(model, feeds, silent)
    (group,) = looked.channels.groups
    reader = next(layer for layer in looked.layers if layer.weight == "b")
    labels = looked.channels.weights["b", 1]
    reading = LayerReader(reader, Draft(looked.model).solution(reader), looked.seen[reader.node], labels)
    (step,) = eliminate(group, [reading], [1])
    assert set(step.gone) <= {int(labels[2]), int(labels[5])}
    draft = stood_in(Draft(looked.model), looked.channels, looked.layers, looked.seen, step.gone)
    smaller = remove(draft.model, looked.channels, step.gone)
    assert distance(outputs(model, feeds), outputs(smaller, feeds)) < 1e-4


def test_refitting_brings_outputs_back(resnet):
    """On samples that were not fitted."""
    gone = [channel for group in resnet.channels.groups for channel in group.channels[::4]]
    unseen = calibration(100)[60:]
    expected = outputs(resnet.model, unseen)
    plain = Draft(silence(resnet.model, resnet.channels, gone), frozenset(gone))
    refitted = refit(resnet.model, plain, resnet.channels, resnet.layers, resnet.feeds)
    before, after = (
        distance(expected, outputs(plain.model, unseen)),
        distance(expected, outputs(refitted.model, unseen)),
    )
    assert after < before / 4
    assert refitted.gone == plain.gone
    removed = remove(refitted.model, resnet.channels, gone)
    assert distance(outputs(refitted.model, unseen), outputs(removed, unseen)) < 1e-8


def test_a_channel_that_never_changes_gets_no_wild_weights():
    """What rounding leaves of its variance says nothing about the filter that reads it."""
    made = weight(16, 16, 1, 1, seed=2)
    made[3] = 0
    text = (
        "(float[N,3,12,12] x) => (float[N,4,H,W] y) { p = Conv(x, a) q = Relu(p) c = Conv(q, k, e) r = Relu(c) "
        "d = Conv<group=16>(r, w) y = Conv(d, b) }"
    )
    parts = {"a": weight(16, 3, 3, 3), "k": made, "b": weight(4, 16, 1, 1, seed=4)}
    model = prunable(build(text, **parts, w=weight(16, 1, 3, 3, seed=3), e=noise(16, seed=5) + 30))
    feeds = [{"x": noise(1, 3, 12, 12, seed=seed)} for seed in range(20)]
    looked = study(model, feeds, silent)
    group = next(one for one in looked.channels.groups if any(axis.weight == "a" for axis in one.makers))
    refitted = looked.without(group.channels[:8], True, silent)
    (before,) = (value.const_value.numpy() for name, value in looked.model.ir.graph.initializers.items() if name == "w")
    after = refitted.array("w")
    assert not np.array_equal(after, before)
    assert np.abs(after[3]).max() < 2 * np.abs(before[3]).max()


@pytest.mark.parametrize("method", METHODS)
def test_every_importance_is_better_than_the_worst_first(resnet, method):
    """Whatever the measure, going by it must hurt less than going against it."""
    levels = resnet.levels(method, (8,), silent)
    for group in resnet.channels.groups:
        level = levels[group.name][0]
        others = [c for c in group.channels if c not in level.gone][-len(level.gone) :]
        assert len(others) == len(level.gone)
        draft = stood_in(Draft(resnet.model), resnet.channels, resnet.layers, resnet.seen, others)
        expected = outputs(resnet.model, resnet.feeds[:20])
        against = distance(expected, outputs(draft.model, resnet.feeds[:20]))
        assert level.error <= against * 2 + 1e-3


def test_levels_ascend(resnet):
    for levels in resnet.levels("reconstruction", (8, 16), silent).values():
        numbers = [len(level.gone) for level in levels]
        assert numbers == sorted(set(numbers))
        assert levels[-1].error > levels[0].error * 0.5


@pytest.mark.parametrize(("size", "align"), [(1, 8), (2, 8), (7, 8), (16, 8), (24, 16), (64, 8), (100, 16), (1280, 8)])
def test_numbers_that_may_go_leave_something(size, align):
    found = counts(size, align)
    assert all(0 < count < size for count in found)
    assert found == sorted(set(found))
    if size >= 2 * align:
        assert all((size - count) % align == 0 for count in found)


def test_cost_is_what_the_pruned_model_counts(resnet):
    graph, shapes = resnet.model.ir.graph, resnet.channels.shapes
    macs = {n.name: float(c or 0) for n, c in zip(graph, node_macs(resnet.model, shapes), strict=True)}
    cost = Cost(graph, resnet.channels, macs)
    gone = [channel for group in resnet.channels.groups for channel in group.channels[::4]]
    smaller = remove(resnet.model, resnet.channels, gone)
    counted = sum(c or 0 for c in node_macs(smaller, probe(smaller, resnet.feeds[0]).shapes))
    assert cost.total(cost.removed(gone)) == pytest.approx(counted)


@pytest.mark.parametrize("name", ["both directions", "gated recurrent units", "transposed convolution", "attention"])
def test_cost_counts_what_is_summed_over_and_what_is_made(name):
    """A recurrent layer sums over its inputs and over its own hidden units."""
    case = {**GRAPHS, **EXPORTED}[name]
    looked = study(prunable(Model.from_proto(case.build())), [case.feeds()], silent)
    graph = looked.model.ir.graph
    macs = {n.name: float(c or 0) for n, c in zip(graph, node_macs(looked.model, looked.channels.shapes), strict=True)}
    cost = Cost(graph, looked.channels, macs)
    gone = [channel for group in looked.channels.groups for channel in group.channels[::4]]
    smaller = remove(looked.model, looked.channels, gone)
    counted = sum(c or 0 for c in node_macs(smaller, probe(smaller, case.feeds()).shapes))
    assert cost.total(cost.removed(gone)) == pytest.approx(counted)


def test_a_line_goes_through_both_measurements(resnet):
    graph = resnet.model.ir.graph
    half = [channel for group in resnet.channels.groups for channel in group.channels[1::2]]
    whole = {node.name: 10.0 for node in graph}
    part = {node.name: 6.0 for node in graph}
    cost = Cost(graph, resnet.channels, whole, part, half)
    assert cost.total(cost.removed(())) == pytest.approx(10.0 * len(whole))
    assert cost.total(cost.removed(half)) < 10.0 * len(whole)


def test_the_cheapest_group_goes_first(resnet):
    graph = resnet.model.ir.graph
    macs = {n.name: float(c or 0) for n, c in zip(graph, node_macs(resnet.model, resnet.channels.shapes), strict=True)}
    cost = Cost(graph, resnet.channels, macs)
    levels = {group.name: [Level(group.channels[: len(group.channels) // 2], 0.5)] for group in resnet.channels.groups}
    free = resnet.channels.groups[-1]
    levels[free.name] = [Level(free.channels[: len(free.channels) // 2], 0.0)]
    taken = allocate(levels, cost, 0.99 * cost.total(cost.removed(())))
    assert [name for name, level in taken.items() if level] == [free.name]
    everything = allocate(levels, cost, 0.0)
    assert set(everything.values()) == {1}


@pytest.mark.parametrize("sparsity", [Share(0.5), Pattern(2, 4)])
def test_zeros_are_where_they_should_be(resnet, sparsity):
    draft, nodes = sparsify(Draft(resnet.model), resnet.layers, resnet.feeds[:30], sparsity)
    assert nodes
    for layer in (layer for layer in resnet.layers if layer.node in nodes):
        matrices = layer.matrices(draft.array(layer.weight))
        assert (matrices == 0).mean() == pytest.approx(0.5, abs=0.05)
        if isinstance(sparsity, Pattern):
            whole = matrices[:, : layer.features // 4 * 4]
            assert ((whole.reshape(len(whole), -1, 4, whole.shape[-1]) == 0).sum(2) >= 2).all()
    largest = {}
    for layer in (layer for layer in resnet.layers if layer.node in nodes):
        array = Draft(resnet.model).array(layer.weight)
        largest[layer.weight] = np.where(np.abs(array) > np.median(np.abs(array)), array, 0)
    unseen = calibration(100)[60:]
    expected = outputs(resnet.model, unseen)
    by_size = outputs(Draft(resnet.model).changed(largest).model, unseen)
    assert distance(expected, outputs(draft.model, unseen)) < distance(expected, by_size)


@pytest.mark.parametrize("text", ["0", "1", "1.5", "4:4", "0:4", "two", "2:", ""])
def test_what_is_no_sparsity_is_told(text):
    with pytest.raises(InputError, match="expected a share"):
        parse_sparsity(text)


def test_moments_are_of_the_rows(resnet):
    layer = resnet.layers[0]
    found = moments(resnet.model, [layer], resnet.feeds[:3])[layer.node]
    assert found.rows > 0
    covariance = found.covariance(centred=True)[0]
    assert np.linalg.eigvalsh(covariance).min() > -1e-6 * covariance.max()
