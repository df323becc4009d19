"""Learned rounding: closer to float than nearest rounding, whatever the layer, and never out of int8."""

import numpy as np
import pytest
from fashion import calibration, fashion_model, int8, logits
from models import build, noise, run, sqnr, weight

from edgeonnx.errors import DataError
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms._compensate import compensate
from edgeonnx.quantize.algorithms._patches import patches
from edgeonnx.quantize.algorithms.rounding import round_weights
from edgeonnx.quantize.layers import quantized_layers

LAYERS = {
    "Conv": ("Conv<pads = [1, 2, 0, 1], strides = [2, 1], dilations = [1, 2]>(x, w, b)", (6, 4, 3, 3)),
    "Conv in groups": ('Conv<group = 2, auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w, b)', (6, 2, 3, 2)),
    "depthwise Conv": ('Conv<group = 4, auto_pad = "SAME_LOWER", strides = [2, 3]>(x, w, b)', (8, 1, 2, 2)),
    "pointwise Conv": ('Conv<auto_pad = "VALID">(x, w, b)', (6, 4, 1, 1)),
    "Gemm": ("Gemm(x, w, b)", (16, 6)),
    "transposed Gemm": ("Gemm<transB = 1>(x, w, b)", (6, 16)),
    "MatMul": ("MatMul(x, w)", (16, 6)),
}


def one_layer(kind, seed=0):
    call, shape = LAYERS[kind]
    inputs = "N,4,9,8" if "Conv" in kind else "N,16" if "Gemm" in kind else "N,5,16"
    rank = {"N,4,9,8": "N,o,p,q", "N,16": "N,6", "N,5,16": "N,5,6"}[inputs]
    weights = {"w": weight(*shape, seed=seed), **({"b": noise(shape[0] if "w, b" in call and "Conv" in kind else 6)})}
    if kind == "MatMul":
        del weights["b"]
    model = normalize(build(f"(float[{inputs}] x) => (float[{rank}] y) {{ y = {call} }}", **weights))
    return model, [size if isinstance(size, int) else 2 for size in model.inputs[0].shape]


def correlated(shape, count=32):
    """Inputs whose neighbours resemble each other, as those of real layers do."""
    feeds = []
    for seed in range(count):
        x = noise(*shape, seed=seed)
        for axis in range(1, len(shape)):
            x = x + np.roll(x, 1, axis) + 0.5 * np.roll(x, 2, axis)
        feeds.append({"x": x})
    return feeds


@pytest.mark.parametrize("kind", sorted(LAYERS))
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_results_come_nearer_to_float(kind, per_channel, dtype):
    model, shape = one_layer(kind)
    feeds = correlated(shape)
    quantized = int8(model, feeds, per_channel, dtype=dtype, symmetric=dtype == "int8")
    made, changed = round_weights(model, quantized, feeds)
    before, after = (np.concatenate([layer_error(model, m, feed) for feed in feeds]) for m in (quantized, made))
    assert np.mean(after**2) <= np.mean(before**2)
    for layer in quantized_layers(made.ir):
        assert layer.weight.constant.dtype == np.dtype(dtype)
        assert layer.weight.constant.min() >= (-127 if dtype == "int8" else 0)
    for old, new in zip(quantized_layers(quantized.ir), quantized_layers(made.ir), strict=True):
        np.testing.assert_array_equal(old.weight.scale, new.weight.scale)
        assert np.array_equal(old.weight.constant, new.weight.constant) == (not changed)


def layer_error(model, quantized, feed):
    """At the layer's own result, before it is rounded to 8 bits."""
    from edgeonnx.graph import with_outputs

    (layer,) = quantized_layers(quantized.ir)
    name = layer.node.outputs[0].name
    (got,) = with_outputs(quantized, [name]).session().run([name], feed)
    return (run(model, feed)["y"] - got).ravel()


@pytest.mark.parametrize("kind", [kind for kind in sorted(LAYERS) if "Conv" in kind])
def test_patches_are_what_the_kernel_sees(kind):
    model, shape = one_layer(kind)
    x = noise(*shape)
    (node,) = model.ir.graph
    w, b = (value.const_value.numpy() for value in node.inputs[1:])
    groups = node.attributes.get_int("group", 1)
    rows = patches(node, x, w.shape[2:], groups)
    wanted = run(model, {"x": x})["y"]
    got = np.einsum("gnk,gok->gon", rows, w.reshape(groups, len(w) // groups, -1)).reshape(len(w), len(x), -1)
    got = got.swapaxes(0, 1).reshape(wanted.shape) + b.reshape(-1, 1, 1)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_errors_are_made_up_for():
    """At 4 bits on correlated inputs, where rounding one weight at a time is far from best."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((500, 40)) @ random.standard_normal((40, 40))
    weights = random.standard_normal((8, 40))
    scale, zero = np.abs(weights).max(axis=1) / 7, np.zeros(8)
    products = inputs.T @ inputs
    nearest = np.round(weights / scale[:, None]) * scale[:, None]
    integers = compensate(weights, products, scale, zero, -7, 7)
    assert np.abs(integers).max() <= 7
    errors = [np.sum((inputs @ (weights - real).T) ** 2) for real in (nearest, integers * scale[:, None])]
    assert errors[1] < errors[0] / 2


def test_columns_that_are_always_zero():
    inputs = noise(50, 10).astype(np.float64)
    inputs[:, 4] = 0
    weights = noise(3, 10, seed=2).astype(np.float64)
    integers = compensate(weights, inputs.T @ inputs, np.full(3, 0.1), np.zeros(3), -127, 127)
    assert np.isfinite(integers).all()
    assert compensate(weights, np.zeros((10, 10)), np.full(3, 0.1), np.zeros(3), -127, 127).shape == (3, 10)


def test_a_trained_model_gains():
    model, feeds = fashion_model("mobilenetv3"), calibration(24)
    quantized = int8(model, feeds, per_channel=False)
    made, changed = round_weights(model, quantized, feeds)
    assert len(changed) > 5
    assert sqnr(logits(model), logits(made)) > sqnr(logits(model), logits(quantized)) + 1


def test_time_is_kept_and_reasons_are_given():
    model, shape = one_layer("Gemm")
    feeds = correlated(shape, count=4)
    quantized = int8(model, feeds)
    reasons = {}
    made, changed = round_weights(model, quantized, feeds, seconds=0, left_alone=reasons.__setitem__)
    assert made is quantized
    assert changed == ()
    assert list(reasons.values()) == ["the time is up"]


def test_a_layer_of_too_many_inputs_is_left_alone():
    model = normalize(build("(float[N,4700] x) => (float[N,2] y) { y = MatMul(x, w) }", w=weight(2, 4700).T.copy()))
    feeds = [{"x": noise(1, 4700, seed=seed)} for seed in range(4)]
    reasons = {}
    _, changed = round_weights(model, int8(model, feeds), feeds, left_alone=reasons.__setitem__)
    assert changed == ()
    assert "4700 inputs" in next(iter(reasons.values()))


def test_samples_are_checked():
    model, shape = one_layer("Gemm")
    feeds = correlated(shape, count=4)
    quantized = int8(model, feeds)
    with pytest.raises(DataError, match="at least 4 samples"):
        round_weights(model, quantized, feeds[:3])
    with pytest.raises(TypeError, match="iterator"):
        round_weights(model, quantized, iter(feeds))
