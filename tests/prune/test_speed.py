"""What a node's time is taken to be, and how a plan of a wished speed is found."""

import numpy as np
import pytest

from edgeonnx.anatomy import node_macs
from edgeonnx.bench.profile import Kernel, node_times, profile, work_times
from edgeonnx.bench.timing import Latency, Paired
from edgeonnx.errors import InputError
from edgeonnx.prune.cost import Cost
from edgeonnx.prune.probe import probe
from edgeonnx.prune.study import study
from edgeonnx.verbs.pruner import Pruner
from edgeonnx.verbs.pruning import prunable
from tests.unit.fashion import calibration, fashion_model
from tests.unit.models import build, weight


def silent(*_):
    pass


def macs_of(model):
    counts = node_macs(model, probe(model, calibration(1)[0]).shapes)
    return {node.name: float(count or 0) for node, count in zip(model.ir.graph, counts, strict=True)}


def test_a_fused_kernel_counts_for_the_node_that_works():
    """onnxruntime names a Conv with its Relu after the Relu, whose work would hang on its own channels alone."""
    model = prunable(fashion_model("resnet8"))
    kernels = profile(model, calibration(1)[0], runs=5)
    macs = macs_of(model)
    plain, _ = node_times(model, kernels)
    found = work_times(model, kernels, macs)
    assert sum(found.values()) == pytest.approx(sum(plain.values()))
    working = {name for name, count in macs.items() if count}
    assert working <= set(found)
    assert not working <= set(plain)


def test_a_node_with_a_kernel_of_its_own_keeps_its_time():
    model = prunable(
        build(
            "(float[N,3,8,8] x) => (float[N,4,H,W] y) { c = Conv(x, a) r = Relu(c) y = Conv(r, b) }",
            a=weight(16, 3, 3, 3),
            b=weight(4, 16, 1, 1),
        )
    )
    one, relu, two = (node.name for node in model.ir.graph)
    work = {one: 10.0, two: 5.0}

    def times(*names):
        return work_times(model, [Kernel(name, "any", 1.0, 0) for name in names], work)

    assert times(one, relu, two) == {one: 1.0, relu: 1.0, two: 1.0}
    assert times(relu, two) == {one: 1.0, two: 1.0}
    assert times("y") == {one: 1.0}


def test_shares_count_in_blocks():
    """Half of a block takes the time of a whole one."""
    looked = study(prunable(fashion_model("resnet8")), calibration(10), silent)
    graph, macs = looked.model.ir.graph, macs_of(looked.model)
    work, blocks = (Cost(graph, looked.channels, macs, block=block) for block in (1, 16))
    large = next(group for group in looked.channels.groups if len(group.channels) == 64)
    none = work.total(work.removed(()))
    assert blocks.total(blocks.removed(())) == pytest.approx(none)
    few, many = large.channels[:8], large.channels[:16]
    assert blocks.total(blocks.removed(few)) == pytest.approx(none)
    assert work.total(work.removed(few)) < none
    assert blocks.total(blocks.removed(many)) == pytest.approx(work.total(work.removed(many)))


class Clock:
    """Tells times of models of which a share does not fall with their work, as a call's cost does not."""

    def __init__(self, model, fixed):
        self._whole, self._fixed, self.asked = sum(macs_of(model).values()), fixed, 0

    def __call__(self, made):
        self.asked += 1
        share = sum(macs_of(made).values()) / self._whole
        ratio = 1 / (self._fixed + (1 - self._fixed) * share)
        return Paired(Latency(1, 1, 1), Latency(1, 1, 1), ratio, ratio * 0.99, ratio * 1.01)


@pytest.mark.parametrize("fixed", [0.0, 0.3])
def test_a_speed_is_reached_and_not_passed_by_much(fixed):
    """Where work foretells too much, the clock corrects; where a plan is too fast, accuracy is given back."""
    model = prunable(fashion_model("resnet8"))
    clock = Clock(model, fixed)
    pruner = Pruner(model, calibration(20), "norm", silent, clock)
    plan = pruner.plan(1.3, None)
    made = pruner._shape(plan.gone)
    asked = clock.asked
    assert 1.3 <= clock(made).low <= 1.3 * 1.12
    assert asked <= 24


def test_a_speed_that_nothing_reaches_gets_the_fastest():
    model = prunable(fashion_model("resnet8"))
    clock = Clock(model, 0.9)
    pruner = Pruner(model, calibration(20), "norm", silent, clock)
    plan = pruner.plan(1.2, None)
    assert 1 < clock(pruner._shape(plan.gone)).ratio < 1.2
    with pytest.raises(InputError, match="more would empty a layer"):
        pruner.plan(1000.0, None)


def test_most_leaves_something_of_every_group():
    model = prunable(fashion_model("resnet8"))
    pruner = Pruner(model, calibration(20), "norm", silent, None)
    gone = np.array(pruner.most())
    for group in pruner.study.channels.groups:
        assert 0 < np.isin(group.channels, gone).sum() < len(group.channels)
