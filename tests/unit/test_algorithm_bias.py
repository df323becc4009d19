"""Bias correction: after it, the mean of each channel is that of the float model."""

import numpy as np
import onnx_ir as ir
import pytest
from fashion import calibration, fashion_model, int8, logits
from models import build, convnet, noise, run, sqnr, weight

from edgeonnx.errors import DataError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms.bias import LARGEST, correct_bias
from edgeonnx.quantize.algorithms.observe import channel_means
from edgeonnx.quantize.layers import quantized_layers


def feeds(*shape, count=24):
    return [{"x": noise(1, *shape, seed=seed)} for seed in range(count)]


def mean_error(model, quantized, samples):
    """Distance of the output's channel means from the float model's."""
    pairs = [(run(model, feed)["y"], run(quantized, feed)["y"]) for feed in samples]
    return np.abs(np.mean([a - b for a, b in pairs], axis=0)).mean()


def test_means_come_back():
    model, samples = normalize(Model.from_proto(convnet())), feeds(8, 12, 12)
    quantized = int8(model, samples, per_channel=False)
    made, changed = correct_bias(model, quantized, samples)
    assert set(changed) <= {node.name for node in model.ir.graph if node.op_type in ("Conv", "Gemm")}
    assert changed
    assert mean_error(model, made, samples) < mean_error(model, quantized, samples) / 2


@pytest.mark.parametrize(
    ("text", "shape", "weights"),
    [
        ("y = Conv(x, w)", (4, 5, 5), {"w": weight(6, 4, 3, 3)}),
        ("y = Gemm(x, w)", (16,), {"w": weight(6, 16).T.copy()}),
    ],
)
def test_a_layer_without_bias_gets_one(text, shape, weights):
    # Inputs away from zero, so that rounding weights shifts the output.
    dims = ",".join(map(str, shape))
    rank = "N,6,3,3" if len(shape) == 3 else "N,6"
    model = normalize(build(f"(float[N,{dims}] x) => (float[{rank}] y) {{ {text} }}", **weights))
    samples = [{"x": np.abs(feed["x"]) + 2} for feed in feeds(*shape)]
    quantized = int8(model, samples, per_channel=False)
    made, changed = correct_bias(model, quantized, samples)
    assert len(changed) == 1
    (layer,) = quantized_layers(made.ir)
    assert layer.bias is not None
    assert layer.bias.constant.dtype == np.int32
    np.testing.assert_allclose(layer.bias.scale, layer.input.scale * layer.weight.scale)
    assert sqnr(run(model, samples[0])["y"], run(made, samples[0])["y"]) > sqnr(
        run(model, samples[0])["y"], run(quantized, samples[0])["y"]
    )


def test_a_matmul_has_its_error_put_into_the_add_after_it():
    text = "(float[N,3,16] x) => (float[N,3,6] y) { h = MatMul(x, w) \n y = Add(h, b) }"
    model = normalize(build(text, w=weight(6, 16).T.copy(), b=noise(6)))
    samples = [{"x": np.abs(feed["x"]) + 2} for feed in feeds(3, 16)]
    recipe_all = int8(model, samples, per_channel=False)
    assert correct_bias(model, recipe_all, samples)[0] is recipe_all  # the Add is in 8 bits: too coarse
    quantized = int8(model, samples, per_channel=False, only="MatMul")
    made, changed = correct_bias(model, quantized, samples)
    assert len(changed) == 1
    assert mean_error(model, made, samples) < mean_error(model, quantized, samples) / 4


def test_a_bias_does_not_leave_int32():
    model, samples = normalize(Model.from_proto(convnet())), feeds(8, 12, 12, count=4)
    quantized = int8(model, samples)
    far = model.copy()
    for node in far.ir.graph:
        if node.op_type == "Conv":
            node.inputs[2].const_value = ir.tensor(node.inputs[2].const_value.numpy() + np.float32(1e9))
    made, _ = correct_bias(far, quantized, samples)
    biases = [layer.bias.constant for layer in quantized_layers(made.ir)]
    assert max(bias.max() for bias in biases) == LARGEST
    assert min(bias.min() for bias in biases) >= -LARGEST


def test_nothing_to_correct():
    model = normalize(build("(float[N,4] x) => (float[N,4] y) { y = Relu(x) }"))
    assert correct_bias(model, model, feeds(4)) == (model, ())


def test_samples_are_needed_more_than_once():
    model, samples = normalize(Model.from_proto(convnet())), feeds(8, 12, 12, count=2)
    quantized = int8(model, samples)
    with pytest.raises(TypeError, match="iterator"):
        correct_bias(model, quantized, iter(samples))
    with pytest.raises(DataError, match="at least one sample"):
        correct_bias(model, quantized, [])


def test_inputs_are_not_changed():
    model, samples = normalize(Model.from_proto(convnet())), feeds(8, 12, 12, count=2)
    quantized = int8(model, samples)
    before = quantized.to_proto().SerializeToString(deterministic=True)
    correct_bias(model, quantized, samples)
    assert quantized.to_proto().SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_trained_model_gains(per_channel):
    model, samples = fashion_model("resnet8"), calibration(50)
    quantized = int8(model, samples, per_channel)
    made, changed = correct_bias(model, quantized, samples)
    assert len(changed) == 9
    assert sqnr(logits(model), logits(made)) > sqnr(logits(model), logits(quantized)) + 1.5


def test_means_of_each_channel():
    model = normalize(build("(float[N,4,5] x) => (float[N,4,5] y) { y = Relu(x) }"))
    samples = feeds(4, 5, count=3)
    (name,) = [node.outputs[0].name for node in model.ir.graph]
    expected = np.mean([np.maximum(feed["x"], 0).mean(axis=(0, 2)) for feed in samples], axis=0)
    np.testing.assert_allclose(channel_means(model, {name: 1}, samples)[name], expected, rtol=1e-5)
