"""Biases beside tiny weights, end to end: the writer's own guard, what it misses, and Gemms it gets wrong."""

import numpy as np
import pytest
from fashion import int8
from models import build, noise, operators, run, weight

from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms.gemm import plain_gemms
from edgeonnx.quantize.algorithms.overflow import guard_bias
from edgeonnx.quantize.layers import quantized_layers

CONV, GEMM = "Conv(x, w, b)", "Gemm<transB = 1>(x, w, b)"


def one_layer(call, w, b):
    inputs = "N,4,8,8" if call == CONV else f"N,{w.shape[1] if 'transB' in call else w.shape[0]}"
    outputs = "N,6,6,6" if call == CONV else "N,6"
    return normalize(build(f"(float[{inputs}] x) => (float[{outputs}] y) {{ y = {call} }}", w=w, b=b))


def samples(model, count=4):
    shape = [size if isinstance(size, int) else 3 for size in model.inputs[0].shape]
    return [{"x": noise(*shape, seed=seed)} for seed in range(count)]


def error(model, quantized, feed):
    """Of the worst output, optimized (integer kernels) or not, as a share of the largest."""
    expected = run(model, feed)["y"]
    got = [run(quantized, feed, optimize=optimize)["y"] for optimize in (True, False)]
    return max(np.abs(one - expected).max() for one in got) / np.abs(expected).max()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("call", [CONV, GEMM])
@pytest.mark.parametrize("kind", ["tiny", "zero", "some"])
def test_bias_beside_weights_that_are_nearly_nothing(call, kind, per_channel, dtype):
    w = weight(6, 4, 3, 3) if call == CONV else weight(6, 16)
    w[:2] *= 1e-9
    w[1] = 0
    if kind != "some":
        w *= 1e-9 if kind == "tiny" else 0
    model = one_layer(call, w, noise(6, seed=5))
    feeds = samples(model)
    quantized = int8(model, feeds, per_channel, dtype=dtype, symmetric=dtype == "int8")
    made, _ = guard_bias(model, quantized)
    assert error(model, made, feeds[0]) < 0.03


def test_uint8_weights_lose_their_bias_without_the_guard():
    model = one_layer(GEMM, weight(6, 16) * np.float32(1e-10), noise(6))
    feeds = samples(model)
    quantized = int8(model, feeds, per_channel=False, dtype="uint8", symmetric=False)
    made, changed = guard_bias(model, quantized)
    assert len(changed) == 1
    assert error(model, quantized, feeds[0]) > 0.9
    assert error(model, made, feeds[0]) < 0.01


def test_there_is_room_for_the_accumulator():
    """The writer lets a bias fill int32 to the brim; the sum of products then wraps around."""
    w = np.full((2, 4096, 1, 1), 3.7e-6, np.float32)
    text = "(float[N,4096,4,4] x) => (float[N,2,4,4] y) { y = Conv(x, w, b) }"
    model = normalize(build(text, w=w, b=np.array([1, -1], np.float32)))
    feeds = [{"x": np.abs(noise(1, 4096, 4, 4, seed=seed)).clip(0, 4)} for seed in range(2)]
    quantized = int8(model, feeds)
    made, _ = guard_bias(model, quantized)
    assert error(model, quantized, feeds[0]) > 1
    assert error(model, made, feeds[0]) < 0.01


def test_weights_shared_by_two_layers():
    text = """(float[N,6] x) => (float[N,6] y) {
        h = Gemm<transB = 1>(x, w, b)
        y = Gemm<transB = 1>(h, w, c)
    }"""
    w = weight(6, 6)
    w[0] *= 1e-9
    w[1] = 0
    model = normalize(build(text, w=w, b=noise(6), c=10 * noise(6, seed=3)))
    feeds = samples(model)
    made, changed = guard_bias(model, int8(model, feeds, dtype="uint8", symmetric=False))
    assert len(changed) == 2
    assert error(model, made, feeds[0]) < 0.03
    scales = [layer.weight.scale for layer in quantized_layers(made.ir)]
    np.testing.assert_array_equal(*scales)


def test_an_ordinary_model_is_left_alone():
    model = one_layer(CONV, weight(6, 4, 3, 3), noise(6))
    quantized = int8(model, samples(model))
    before = quantized.to_proto().SerializeToString(deterministic=True)
    assert guard_bias(model, quantized) == (quantized, ())
    assert quantized.to_proto().SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("attributes", ["", "<beta = 0.5>", "<alpha = 2.0>", "<alpha = 0.5, beta = 3.0, transB = 1>"])
@pytest.mark.parametrize("shape", [(6,), (1, 6), (1,), (), (3, 1), (3, 6)])
def test_gemms_of_any_form(attributes, shape, per_channel):
    w = weight(6, 16)
    call = f"Gemm{attributes}(x, w, b)"
    model = one_layer(call, w if "transB" in attributes else w.T.copy(), noise(*shape, seed=4))
    feeds = samples(model)
    plain, changed = plain_gemms(model)
    assert bool(changed) == (attributes != "" or shape != (6,))
    np.testing.assert_allclose(run(plain, feeds[0])["y"], run(model, feeds[0])["y"], rtol=1e-5, atol=1e-6)
    assert error(model, int8(plain, feeds, per_channel), feeds[0]) < 0.03
    assert ("Add" in operators(plain)) == (len(shape) == 2 and shape[0] > 1)
