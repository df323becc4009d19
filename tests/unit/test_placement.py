"""Which nodes get integer kernels, and the reason each other one is given."""

import numpy as np
import pytest
from models import build, noise, weight

from edgeonnx import data
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.placement import Dialect, load_dialect, place
from edgeonnx.quantize.recipe import load_recipe
from edgeonnx.quantize.terms import agreed
from edgeonnx.ranges import Ranges
from edgeonnx.targets import list_targets

UNKNOWN = Ranges({}, 0)
CPU = load_dialect("cpu")
DIALECTS = data.names("targets/dialects")


def placed(text, scope="all", ranges=UNKNOWN, **weights):
    """Operators that are quantized, and operator -> reason of those that are not."""
    model = normalize(build(text, **weights))
    operator = {node.name: node.op_type for node in model.ir.graph}
    placement = place(model, CPU, scope, ranges)
    assert sorted([*placement.quantized, *placement.kept]) == sorted(operator)
    return [operator[n] for n in placement.quantized], {operator[n]: why for n, why in placement.kept.items()}


def test_the_dialect_of_the_cpu():
    assert CPU.compute == {"Conv", "Gemm", "MatMul"}
    assert CPU.fused == {"Clip", "Relu"}
    assert CPU.conv_min_channels == 4
    assert not CPU.carried & (CPU.compute | CPU.fused)
    with pytest.raises(ValueError, match="frozen"):
        CPU.compute = frozenset()
    with pytest.raises(ValueError, match="Extra inputs"):
        Dialect.model_validate({"compute": [], "fused": [], "carried": [], "speed": 3})


def test_scopes():
    text = """(float[1,4,8,8] x) => (float[a,b] y) {
        c = Conv(x, w)
        r = Relu(c)
        p = MaxPool<kernel_shape = [2,2]>(r)
        f = Flatten(p)
        m = MatMul(f, v)
        y = Erf(m)
    }"""
    weights = {"w": weight(4, 4, 3, 3), "v": weight(100, 3)}
    quantized, kept = placed(text, "all", **weights)
    assert quantized == ["Conv", "Relu", "MaxPool", "Flatten", "MatMul"]
    assert kept == {"Erf": "Erf has no integer kernel"}
    quantized, kept = placed(text, "compute", **weights)
    assert quantized == ["Conv", "Relu", "MatMul"]
    assert kept == {"MaxPool": "not arithmetic", "Flatten": "not arithmetic", "Erf": "Erf has no integer kernel"}


@pytest.mark.parametrize(
    ("channels", "group", "reason"),
    [
        (1, 1, "reads 1 channels, fewer than 4"),
        (3, 1, "reads 3 channels, fewer than 4"),
        (4, 1, None),
        (4, 4, None),  # depthwise
        (6, 3, None),
    ],
)
def test_convs_of_few_channels(channels, group, reason):
    text = f"(float[1,{channels},8,8] x) => (float[a,b,c,d] y) {{ h = Conv<group = {group}>(x, w) y = Relu(h) }}"
    quantized, kept = placed(text, w=weight(12, channels // group, 3, 3))
    assert quantized == ([] if reason else ["Conv", "Relu"])
    assert kept == ({"Conv": reason, "Relu": reason} if reason else {})


def test_activations_go_with_the_node_before_them():
    assert placed("(float[2,4] x) => (float[2,4] y) { y = Relu(x) }") == ([], {"Relu": "nothing to fuse into"})
    erf = "Erf has no integer kernel"
    assert placed("(float[2,4] x) => (float[2,4] y) { h = Erf(x) y = Relu(h) }")[1] == {"Erf": erf, "Relu": erf}
    text = "(float[2,4] x) => (float[2,4] y) { h = Add(x, w) r = Relu(h) y = Clip(r, lo, hi) }"
    weights = {"w": noise(4), "lo": np.float32(0), "hi": np.float32(6)}
    assert placed(text, "all", **weights)[0][0] == "Add"
    assert placed(text, "compute", **weights)[0] == []


def test_activations_whose_input_is_needed_by_others_too():
    text = "(float[2,4] x) => (float[2,4] h, float[2,4] y) { h = MatMul(x, w) y = Relu(h) }"
    assert placed(text, w=weight(4, 4)) == (["MatMul"], {"Relu": "h is an output of the model too"})
    text = """(float[2,4] x, bool c) => (float[2,4] y) {
        h = MatMul(x, w) r = Relu(h)
        y = If(c) <
            then_branch = t () => (float[2,4] a) { a = Neg(h) },
            else_branch = e () => (float[2,4] b) { b = Neg(r) }
        >
    }"""
    assert placed(text, w=weight(4, 4))[1]["Relu"] == "h is read in a subgraph too"


def test_a_conv_whose_weights_are_computed():
    text = "(float[1,4,8,8] x, float[4,4,3,3] w) => (float[a,b,c,d] y) { y = Conv(x, w) }"
    assert placed(text) == ([], {"Conv": "weights are not constant"})


def test_a_matmul_of_two_activations():
    assert placed("(float[2,4] a, float[4,2] b) => (float[2,2] y) { y = MatMul(a, b) }")[0] == ["MatMul"]


def test_operators_of_other_domains():
    text = "(float[2,4] x) => (float[2,4] y) { h = com.microsoft.Gelu(x) y = MatMul(h, w) }"
    quantized, kept = placed(text, domains=["com.microsoft"], w=weight(4, 4))
    assert (quantized, kept) == (["MatMul"], {"Gelu": "operator of domain com.microsoft"})


@pytest.mark.parametrize("kind", ["int32", "int64", "double"])
def test_numbers_that_have_no_eight_bit_form(kind):
    text = f"({kind}[2,4] a, {kind}[4,2] b) => ({kind}[2,2] y) {{ h = MatMul(a, b) y = Transpose(h) }}"
    why = f"computes in {kind}"
    assert placed(text) == ([], {"MatMul": why, "Transpose": why})


def test_shape_arithmetic_stays_as_it_is():
    text = """(float[N,4] x) => (float[N,2,2] y, int64[3] t) {
        s = Shape<start = 0, end = 1>(x)
        t = Concat<axis = 0>(s, two, two)
        m = MatMul(x, w)
        y = Reshape(m, t)
    }"""
    quantized, kept = placed(text, w=weight(4, 4), two=np.array([2]))
    assert sorted(quantized) == ["MatMul", "Reshape"]
    assert kept == {"Shape": "Shape has no integer kernel", "Concat": "computes in int64"}


def test_tensors_without_a_finite_range():
    text = "(float[2,4] x, bool[4] m) => (float[2,4] y) { h = MatMul(x, w) k = Where(m, h, no) y = Softmax(k) }"
    ranges = Ranges({"x": (-1, 1), "h": (-2, 2), "k": (-np.inf, 2), "y": (0, 1)}, 3)
    quantized, kept = placed(text, ranges=ranges, w=weight(4, 4), no=np.float32(-np.inf))
    assert quantized == ["MatMul"]
    assert kept == {"Where": "no holds values that are not finite", "Softmax": "k holds values that are not finite"}


def test_tensors_of_too_wide_a_range():
    text = "(float[2,4] x) => (float[2,4] y) { h = MatMul(x, w) y = Transpose(h) }"
    _, kept = placed(text, ranges=Ranges({"h": (-3e38, 3e38)}, 3), w=weight(4, 4))
    assert kept["MatMul"] == "h spans more than float32 can tell"


def test_what_a_scale_shared_with_a_mask_would_hide():
    text = "(float[1,2,4] x, float[2,4] m) => (float[1,2,4] y) { h = MatMul(x, w) a = Add(h, m) y = Softmax(a) }"
    ranges = Ranges({"x": (-1, 1), "h": (-2, 2), "m": (-1e4, 0), "a": (-10002, 2), "y": (0, 1)}, 3)
    quantized, kept = placed(text, ranges=ranges, w=weight(4, 4))
    assert quantized == ["MatMul"]
    assert kept == dict.fromkeys(["Add", "Softmax"], "h takes fewer than 16 of the steps of a")


def test_every_dialect_is_read_and_has_sources():
    assert {target.dialect for target in list_targets()} <= set(DIALECTS)
    assert {"cpu", "openvino", "qnn", "xnnpack", "tensorrt", "coreml", "web"} <= set(DIALECTS)
    for dialect in map(load_dialect, DIALECTS):
        assert all(source["url"].startswith("https://") for source in dialect.sources)
        assert dialect.sources
        groups = [dialect.compute, dialect.fused, dialect.carried, dialect.passing]
        assert sum(map(len, groups)) == len(frozenset().union(*groups))
        assert bool(dialect.compute) != bool(dialect.refusal)
        assert dialect.per_channel <= {"Conv", "ConvTranspose", "Gemm", "MatMul"}


@pytest.mark.parametrize(
    ("dialect", "recipe", "activations", "weights", "said"),
    [
        ("cpu", "balanced", ("uint8", False), "int8", 0),
        ("cpu", "int16-activations", ("uint16", False), "int8", 0),
        ("openvino", "int16-activations", ("uint8", False), "int8", 1),
        ("tensorrt", "balanced", ("int8", True), "int8", 1),
        ("xnnpack", "balanced", ("int8", False), "int8", 1),
        ("qnn", "int16-activations", ("uint16", False), "int8", 0),
        ("qnn", "balanced", ("uint8", False), "int8", 1),  # the scope
    ],
)
def test_the_provider_has_the_last_word_on_types(dialect, recipe, activations, weights, said):
    given, changes = agreed(load_recipe(recipe), load_dialect(dialect), dialect)
    assert (given.activations.dtype, given.activations.symmetric) == activations
    assert (given.weights.dtype, given.weights.symmetric) == (weights, True)
    assert len(changes) == said
    assert all(dialect in change for change in changes)


def test_what_is_not_run_in_float_is_quantized_in_one_scope():
    given, (change,) = agreed(load_recipe("balanced"), load_dialect("qnn"), "QNNExecutionProvider")
    assert given.scopes == ("all",)
    assert change == "scopes: only all, since QNNExecutionProvider does not run what stays in float"


def test_schemes_without_placement_stay_as_they_are():
    recipe = load_recipe("float16")
    assert agreed(recipe, load_dialect("tensorrt"), "x") == (recipe, ())
