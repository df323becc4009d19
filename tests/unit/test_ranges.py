"""Ranges are numpy's minimum and maximum of every activation, in memory that does not grow with the samples."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import build, convnet, noise, operators, run, weight

from edgeonnx.calibration.extremes import MinMax
from edgeonnx.calibration.needed import needed_tensors
from edgeonnx.calibration.plan import Plan
from edgeonnx.calibration.ranges import min_max
from edgeonnx.calibration.stream import calibrate
from edgeonnx.errors import DataError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.quantize.placement import load_dialect, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.recipe import load_recipe
from edgeonnx.ranges import Ranges

MODELS = Path(__file__).parents[1] / "data"


def floats(model):
    return [name for name, dtype in tensor_types(model).items() if dtype == ir.DataType.FLOAT]


def by_numpy(model, tensors, feeds):
    """The same by running a copy whose outputs are the tensors."""
    copy = model.copy()
    values = {value.name: value for node in copy.ir.graph for value in node.outputs}
    copy.ir.graph.outputs[:] = [values[name] for name in tensors if name in values]
    seen = [{**feed, **run(copy, feed, optimize=False)} for feed in feeds]
    return {name: (min(s[name].min() for s in seen), max(s[name].max() for s in seen)) for name in tensors}


def assert_alike(got, exact):
    """Equal but for rounding, except that 0 may stand for a lowest value above it: 0 is in any range anyway."""
    assert got.keys() == exact.keys()
    for name, (low, high) in got.items():
        lowest = 0 if low == 0 and exact[name][0] > 0 else exact[name][0]
        np.testing.assert_allclose((low, high), (lowest, exact[name][1]), rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 21])
def test_equal_to_numpys_of_every_activation(opset):
    model = normalize(Model.from_proto(convnet(opset=opset)))
    tensors = floats(model)
    assert sorted(tensors) == sorted("xcrdqagfy")
    feeds = [{"x": noise(batch, 8, 12, 12, seed=batch, scale=2)} for batch in (1, 3, 2)]  # a free batch
    ranges = min_max(model, tensors, iter(feeds))
    expected = by_numpy(model, tensors, feeds)
    assert ranges.samples == 3
    assert_alike(ranges.by_tensor, expected)
    assert ranges.by_tensor["x"] == expected["x"]


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv3"])
def test_equal_to_numpys_on_real_models(name):
    """Most tensors of these are not observed but follow from others, by all the rules there are for Convs."""
    model = normalize(Model.load(MODELS / f"{name}.onnx"))
    feeds = [{"input": np.abs(noise(1, 1, 28, 28, seed=seed))} for seed in range(20)]
    tensors = floats(model)
    assert len(Plan(model, tensors).observed) < 0.8 * len(tensors)
    assert_alike(min_max(model, tensors, feeds).by_tensor, by_numpy(model, tensors, feeds))


def test_large_tensors_of_a_blocked_layout():
    """Where pools take the place of reductions, and a negated tensor that of a minimum."""
    model = build(
        """(float[N,3,160,160] x) => (float[N,16,160,160] y) {
            a = Conv<pads = [1,1,1,1]>(x, v)
            b = Conv<pads = [1,1,1,1]>(a, w)
            r = Relu(b)
            y = Add(a, r)
        }""",
        v=weight(16, 3, 3, 3),
        w=weight(16, 16, 3, 3, seed=2),
    )
    feeds = [{"x": noise(1, 3, 160, 160, seed=seed, scale=seed + 1)} for seed in range(3)]
    assert_alike(min_max(model, list("xabry"), feeds).by_tensor, by_numpy(model, list("xabry"), feeds))


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("y = Relu(x)", (-2, 3)),
        ("y = LeakyRelu<alpha = 0.25>(x)", (-2, 3)),
        ("y = HardSigmoid<alpha = 0.25, beta = 0.25>(x)", (-2, 3)),
        ("y = Sigmoid(x)", (-2, 3)),
        ("y = Tanh(x)", (-2, 3)),
        ("y = HardSwish(x)", (-5, 3)),
        ("y = HardSwish(x)", (-1, 3)),
        ("y = HardSwish(x)", (-7, -2)),
        ("h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(h, x)", (-5, 3)),
        ("h = Sigmoid(x) y = Mul(x, h)", (-5, 3)),
        ("h = Sigmoid(x) y = Mul(x, h)", (-90, -2)),
        ("l = Constant<value_float = -1.0>() h = Constant<value_float = 1.5>() y = Clip(x, l, h)", (-2, 3)),
        ("h = Constant<value_float = 1.5>() y = Clip(x, , h)", (-2, 3)),
        ("y = Transpose(x)", (-2, 3)),
        ("k = Constant<value_floats = [-9.0, 1.0]>() y = Concat<axis = 0>(x, k)", (-2, 3)),
    ],
)
def test_what_follows_from_another_tensor_is_not_observed(body, values):
    model = build(f"(float[1001] x) => (float[M] y) {{ {body} }}")
    model = normalize(model)
    x = np.linspace(*values, 1001, dtype=np.float32)
    x[0] = values[0]
    assert Plan(model, ["x", "y"]).observed == ("x",)
    got = min_max(model, ["x", "y"], [{"x": x}]).by_tensor
    np.testing.assert_allclose(got["y"], by_numpy(model, ["y"], [{"x": x}])["y"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "body",
    [
        "y = LeakyRelu<alpha = -0.5>(x)",
        "y = HardSigmoid<alpha = -0.5>(x)",
        "h = HardSigmoid(x) y = Mul(x, h)",
        "y = Clip(x, x0)",
        "y = Abs(x)",
    ],
)
def test_what_does_not_follow_is_observed(body):
    """These look like operators whose range follows from what they read, and are not."""
    more = ", float x0" if "x0" in body else ""
    model = build(f"(float[3,5] x{more}) => (float[3,5] y) {{ {body} }}")
    assert Plan(model, ["x", "y"]).observed == ("x", "y")
    feeds = [{"x": noise(3, 5, scale=3), **({"x0": np.array(-0.5, np.float32)} if more else {})}]
    assert_alike(min_max(model, ["x", "y"], feeds).by_tensor, by_numpy(model, ["x", "y"], feeds))


def test_a_tensor_that_vanishes_has_the_range_it_is_quantized_to():
    """Its own is not observed, which would break the fused operator apart that computes both."""
    model = normalize(Model.from_proto(convnet()))
    placement = place(model, load_dialect("cpu"), "all", Ranges({}, 0))
    tensors = needed_tensors(model, placement.quantized)
    assert tensors == tuple("xrqagfy")
    feeds = [{"x": noise(1, 8, 12, 12, seed=seed, scale=2)} for seed in range(4)]
    ranges = calibrate(model, tensors, lambda start: feeds[start:], MinMax(), len(feeds))
    exact = by_numpy(model, tensors, feeds)
    assert_alike({name: ranges.by_tensor[name] for name in tensors}, exact)
    assert ranges.by_tensor["c"] == ranges.by_tensor["r"]
    assert set(ranges.by_tensor) == {*tensors, "c", "d"}
    every = min_max(model, floats(model), feeds)
    recipe = load_recipe("balanced")
    one, other = (run(write_qdq(model, found, placement, recipe), feeds[0])["y"] for found in (ranges, every))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_ceiling_that_was_reached_shows_in_what_vanishes_into_it():
    """How far the values went beyond is not known; that none did would be false, and equalization reads it so."""
    model = build(
        "(float[N,4] x) => (float[N,3] y) { h = MatMul(x, w) y = Clip(h, zero, one) }",
        w=np.ones((4, 3), np.float32),
        zero=np.float32(0),
        one=np.float32(1),
    )
    for value, above in ((0.2, False), (2, True)):
        feeds = [{"x": np.full((1, 4), value, np.float32)}]
        ranges = calibrate(model, ["y"], lambda _start, feeds=feeds: feeds, MinMax(), 1)
        assert (ranges.by_tensor["h"][1] > 1) is above


def test_batches_give_what_samples_give():
    model = normalize(Model.from_proto(convnet()))
    feeds = [{"x": noise(1, 8, 12, 12, seed=seed, scale=1 + seed % 3)} for seed in range(21)]
    told = []
    ranges = min_max(model, floats(model), feeds, told.append)
    assert told == [8, 16, 21]
    assert ranges.samples == 21
    assert_alike(ranges.by_tensor, by_numpy(model, floats(model), feeds))


@pytest.mark.parametrize("body", ["m = ReduceMean<axes = [0], keepdims = 1>(x) y = Sub(x, m)", "y = Reshape(x, shape)"])
def test_a_model_whose_samples_meet_gets_them_one_by_one(body):
    """Its batch dimension is free, but a batch gives something else, or does not run at all."""
    model = build(f"(float[N,4] x) => (float[N,4] y) {{ {body} }}", opset=17, shape=np.array([1, 4], np.int64))
    feeds = [{"x": noise(1, 4, seed=seed)} for seed in range(12)]
    told = []
    ranges = min_max(model, ["x", "y"], feeds, told.append)
    assert told == [8, *range(9, 13)]
    assert_alike(ranges.by_tensor, by_numpy(model, ["x", "y"], feeds))


def test_samples_of_different_shapes():
    model = build("(float[N,L] x) => (float[N,L] y) { h = Neg(x) y = Exp(h) }")
    feeds = [{"x": noise(1, length, seed=length)} for length in (3, 3, 5, 1, 1, 700)]
    assert_alike(min_max(model, list("xhy"), feeds).by_tensor, by_numpy(model, list("xhy"), feeds))


@settings(max_examples=30, deadline=None)
@given(arrays=st.lists(hnp.arrays(np.float32, (2, 3), elements=st.floats(-(2**90), 2**90, width=32)), min_size=1))
def test_of_the_input_itself_exactly(arrays):
    model = build("(float[2,3] x) => (float[2,3] y) { y = Neg(x) }")
    ranges = min_max(model, ["x", "y"], ({"x": array} for array in arrays))
    low, high = float(np.min(arrays)), float(np.max(arrays))
    assert ranges.by_tensor == {"x": (low, high), "y": (-high, -low)}
    assert ranges.samples == len(arrays)


def test_scalars_and_vectors():
    model = build("(float s, float[N] v) => (float[N] y) { y = Mul(v, s) }")
    feeds = [{"s": np.array(k, np.float32), "v": np.arange(k, dtype=np.float32)} for k in (2, 5, 3)]
    ranges = min_max(model, ["s", "v", "y"], feeds)
    assert ranges.by_tensor == {"s": (2, 5), "v": (0, 4), "y": (0, 20)}


def test_a_model_read_from_a_file(tmp_path):
    path = build("(float[3] x) => (float[3] y) { y = Neg(x) }").save(tmp_path / "m.onnx")
    model = Model.load(path)
    assert min_max(model, ["y"], [{"x": np.array([1, 2, 3], np.float32)}]).by_tensor == {"y": (-3, -1)}
    assert operators(model) == ["Neg"]


def test_samples_are_read_once_and_memory_does_not_grow_with_them():
    """2000 samples of 40 KB would be 80 MB."""
    model = build("(float[1,10000] x) => (float[1,10000] y) { h = Neg(x) y = Exp(h) }")
    alive = 0

    class Sample(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def samples(count):
        nonlocal alive
        for index in range(count):
            array = np.full((1, 10000), index % 7, np.float32).view(Sample)
            alive += 1
            assert alive <= 2
            yield {"x": array}

    told = []
    tracemalloc.start()
    try:
        ranges = min_max(model, ["x", "h", "y"], samples(2000), told.append)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ranges.by_tensor["x"] == (0, 6)
    assert told == list(range(1, 2001))
    assert peak < 4 << 20


def test_what_is_not_finite_is_seen():
    model = build("(float[2] x) => (float[2] y) { y = Log(x) }")
    assert min_max(model, ["y"], [{"x": np.array([0, 1], np.float32)}]).by_tensor["y"] == (-math.inf, 0)


def test_a_mask_stands_for_infinity():
    """Quantized to such a range, all other values would be 0; so it must keep what reads it in float."""
    model = build("(float[2] x, float[2] m) => (float[2] y) { y = Add(x, m) }")
    mask = np.array([0, np.finfo(np.float32).min], np.float32)
    found = min_max(model, ["x", "y"], [{"x": np.array([1, 2], np.float32), "m": mask}]).by_tensor
    assert found == {"x": (1, 2), "y": (-math.inf, 1)}


def test_an_empty_tensor_counts_for_nothing():
    model = build("(float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    empty, full = np.zeros((0, 3), np.float32), np.array([[1, -2, 3]], np.float32)
    assert min_max(model, ["y"], [{"x": each} for each in (empty, full, empty)]).by_tensor == {"y": (0, 3)}
    assert all(math.isnan(end) for end in min_max(model, ["y"], [{"x": empty}]).by_tensor["y"])


def test_a_tensor_that_is_not_there():
    with pytest.raises(ValueError, match=r"got nobody$"):
        min_max(Model.from_proto(convnet()), ["x", "nobody"], [])


def test_no_samples():
    with pytest.raises(DataError, match="at least one sample, got none"):
        min_max(Model.from_proto(convnet()), ["x"], [])


def test_a_sample_that_does_not_fit_is_named():
    feeds = [{"x": noise(1, 8, 12, 12)}, {"x": noise(1, 7, 12, 12)}]
    with pytest.raises(
        DataError, match=r"^calibration sample 1: the model does not run: .*invalid dimensions for input: x"
    ):
        min_max(Model.from_proto(convnet()), ["x"], feeds)


def test_an_error_of_the_samples_own_goes_through():
    def samples():
        yield {"x": noise(1, 4)}
        raise DataError("disk on fire")

    with pytest.raises(DataError, match=r"^disk on fire$"):
        min_max(build("(float[1,4] x) => (float[1,3] y) { y = MatMul(x, w) }", w=weight(4, 3)), ["y"], samples())
