"""Ranges are numpy's minimum and maximum of every activation, in memory that does not grow with the samples."""

import math
import tracemalloc

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import build, convnet, noise, operators, run, weight

from edgeonnx.calibration.ranges import min_max
from edgeonnx.errors import DataError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize, tensor_types


def floats(model):
    return [name for name, dtype in tensor_types(model).items() if dtype == ir.DataType.FLOAT]


def by_numpy(model, tensors, feeds):
    """The same by running a copy whose outputs are the tensors."""
    copy = model.copy()
    values = {value.name: value for node in copy.ir.graph for value in node.outputs}
    copy.ir.graph.outputs[:] = [values[name] for name in tensors if name in values]
    seen = [{**feed, **run(copy, feed, optimize=False)} for feed in feeds]
    return {name: (min(s[name].min() for s in seen), max(s[name].max() for s in seen)) for name in tensors}


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 21])
def test_equal_to_numpys_of_every_activation(opset):
    model = normalize(Model.from_proto(convnet(opset=opset)))
    tensors = floats(model)
    assert sorted(tensors) == sorted("xcrdqagfy")
    feeds = [{"x": noise(batch, 8, 12, 12, seed=batch, scale=2)} for batch in (1, 3, 2)]  # a free batch
    ranges = min_max(model, tensors, iter(feeds))
    expected = by_numpy(model, tensors, feeds)
    assert ranges.samples == 3
    assert ranges.by_tensor.keys() == expected.keys()
    for name, bounds in ranges.by_tensor.items():
        np.testing.assert_allclose(bounds, expected[name], rtol=1e-5, atol=1e-6)
    assert ranges.by_tensor["x"] == expected["x"]


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
    low, high = min_max(model, ["y"], [{"x": np.array([0, 1], np.float32)}]).by_tensor["y"]
    assert (low, high) == (-math.inf, 0)
    assert math.isnan(min_max(model, ["y"], [{"x": np.array([-1, 1], np.float32)}]).by_tensor["y"][0])


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
