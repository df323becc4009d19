"""How much the last bit of a model's weights does to it, and what optimize makes of that."""

import numpy as np
from models import build, noise, weight

import edgeonnx
from edgeonnx.verbs.rounding import rounding

# Variance as the difference of two large numbers, and all of it divided by.
LOSSY = """(float[8,16] x) => (float[8,12] y) {
    a = MatMul(x, w) i = Add(a, big) h = Mul(i, scale) s = Mul(h, h) m = ReduceMean<axes = [1]>(s)
    n = ReduceMean<axes = [1]>(h) q = Mul(n, n) v = Sub(m, q) r = Abs(v) e = Add(r, small) k = Sqrt(e) y = Div(h, k)
}"""
PARTS = {
    "w": weight(16, 12),
    "big": np.full(12, 10, np.float32),
    "scale": np.full(12, 1.1, np.float32),
    "small": np.float32(0.1),
}
SAMPLES = [{"x": noise(8, 16, scale=0.1, seed=seed)} for seed in range(3)]


def test_a_plain_model_is_not_sensitive():
    model = build("(float[8,16] x) => (float[8,12] y) { h = MatMul(x, w) y = Relu(h) }", w=PARTS["w"])
    assert 0 < rounding(model, SAMPLES) < 1e-6


def test_a_model_that_takes_large_numbers_from_each_other_is():
    assert rounding(build(LOSSY, **PARTS), SAMPLES) > 1e-4


def test_factors_that_decide_about_shapes_stay():
    text = "(float[1,1,5,5] x) => (float y) { r = Resize(x, , f) y = ReduceSum<keepdims = 0>(r) }"
    model = build(text, f=np.array([1, 1, 2, 2], np.float32))
    assert rounding(model, [{"x": noise(1, 1, 5, 5)}]) == 0


def test_as_much_is_allowed_as_rounding_does():
    data = [{"x": sample["x"]} for sample in SAMPLES]
    result = edgeonnx.optimize(build(LOSSY, **PARTS), data=data, force=True)
    assert result.nodes < result.nodes_before
    assert result.difference.relative > 1e-5
    assert result.difference.relative <= result.tolerance <= 5e-2
    assert not result.differs
