"""Dynamic INT8 and weights in blocks: run by onnxruntime and compared with float."""

import importlib.util

import numpy as np
import pytest
from models import build, convnet, noise, operators, run, sqnr, weight

from edgeonnx.errors import RecipeError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms.dynamic import quantize_dynamic
from edgeonnx.quantize.algorithms.weights import quantize_weights

TRANSFORMER = """(float[N,6,64] x) => (float[N,6,10] y) {
    n = LayerNormalization<axis = -1>(x, g)
    q = MatMul(n, wq)
    k = MatMul(n, wk)
    kt = Transpose<perm = [0, 2, 1]>(k)
    s = MatMul(q, kt)
    p = Softmax(s)
    v = MatMul(n, wv)
    a = MatMul(p, v)
    h = Add(x, a)
    f = MatMul(h, w1)
    b = Add(f, b1)
    r = Relu(b)
    y = MatMul(r, w2)
}"""


def transformer():
    weights = {name: weight(64, 64, seed=seed).T.copy() for seed, name in enumerate(["wq", "wk", "wv"])}
    more = {"g": np.ones(64, np.float32), "w1": weight(96, 64).T.copy(), "b1": noise(96), "w2": weight(10, 96).T.copy()}
    return normalize(build(TRANSFORMER, **weights, **more))


def dense():
    text = """(float[N,64] x) => (float[N,6] y) {
        h = Gemm<transB = 1, alpha = 0.5>(x, w, b)
        r = Relu(h)
        y = Gemm(r, v)
    }"""
    return normalize(build(text, w=weight(48, 64), b=noise(1, 48), v=weight(6, 48).T.copy()))


MODELS = {"transformer": (transformer, (2, 6, 64)), "dense": (dense, (3, 64))}


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("per_channel", [True, False])
def test_dynamic(name, per_channel):
    make, shape = MODELS[name]
    model = make()
    before = model.to_proto().SerializeToString(deterministic=True)
    made, changed = quantize_dynamic(model, per_channel)
    assert len(changed) == {"transformer": 5, "dense": 2}[name]  # products of two activations stay
    assert set(changed) <= {node.name for node in model.ir.graph}
    assert operators(made).count("MatMulInteger") == len(changed)
    feed = {"x": noise(*shape)}
    assert sqnr(run(model, feed)["y"], run(made, feed)["y"]) > 28
    assert made.file_bytes < model.file_bytes * 0.6
    assert model.to_proto().SerializeToString(deterministic=True) == before


def test_dynamic_lstm():
    text = "(float[T,B,16] x) => (float[T,d,B,24] y) { y = LSTM<hidden_size = 24>(x, w, r, b) }"
    model = normalize(build(text, w=noise(1, 96, 16, scale=0.3), r=noise(1, 96, 24, scale=0.2), b=noise(1, 192)))
    made, changed = quantize_dynamic(model)
    assert len(changed) == 1
    assert "DynamicQuantizeLSTM" in operators(made)
    feed = {"x": noise(5, 2, 16)}
    assert sqnr(run(model, feed)["y"], run(made, feed)["y"]) > 25


def test_dynamic_leaves_convolutions_alone():
    model = normalize(build("(float[N,3,8,8] x) => (float[N,4,6,6] y) { y = Conv(x, w) }", w=weight(4, 3, 3, 3)))
    assert quantize_dynamic(model) == (model, ())
    mixed, changed = quantize_dynamic(normalize(Model.from_proto(convnet())))
    assert len(changed) == 1
    assert operators(mixed).count("Conv") == 2


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("method", ["rtn", "k_quant"])
@pytest.mark.parametrize(("bits", "least"), [(4, 15), (8, 38)])
def test_weights(name, method, bits, least, capsys):
    make, shape = MODELS[name]
    model = make()
    made, changed = quantize_weights(model, bits, method, block_size=16)
    assert len(changed) == {"transformer": 5, "dense": 2}[name]
    assert operators(made).count("MatMulNBits") == len(changed)
    feed = {"x": noise(*shape)}
    assert sqnr(run(model, feed)["y"], run(made, feed)["y"]) > least
    assert capsys.readouterr().out == ""


def test_layers_of_less_than_a_block_are_left_alone():
    model = dense()
    made, changed = quantize_weights(model, 4, "rtn", block_size=64)
    assert len(changed) == 1
    assert operators(made).count("MatMul") == 1
    assert quantize_weights(model, 4, "rtn", block_size=128) == (model, ())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((3, "rtn", 32), "4 or 8"),
        ((4, "rtn", 24), "power of two"),
        ((4, "rtn", 8), "power of two"),
        ((4, "awq", 32), "expected method"),
        ((8, "hqq", 32), "4 bits only"),
        ((4, "gptq", 32), "samples"),
    ],
)
def test_settings_are_checked(settings, words):
    with pytest.raises(RecipeError, match=words):
        quantize_weights(dense(), *settings)


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="torch is here")
def test_what_is_missing_is_named():
    with pytest.raises(RecipeError, match="pip install torch"):
        quantize_weights(dense(), 4, "hqq", 32)
    with pytest.raises(RecipeError, match="pip install torch"):
        quantize_weights(dense(), 4, "gptq", 32, [{"x": noise(1, 64)}])
