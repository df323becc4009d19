"""Float16: near to float32, and what has no form in it stays in float32."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from edgeonnx.optimize.passes.float16 import beyond_float16, float16, half_nodes
from edgeonnx.ranges import Ranges
from tests.unit.fashion import fashion_model, top1
from tests.unit.models import build, noise, operators, run, sqnr, weight

NET = """(float[N,6,64] x) => (float[N,6,64] y) {
    n = LayerNormalization<axis = -1>(x, g)
    q = MatMul(n, w)
    p = Softmax(q)
    y = MatMul(p, v)
}"""


def net():
    return build(NET, g=np.ones(64, np.float32), w=weight(64, 64), v=weight(64, 64, seed=2))


def in_halves(model, x):
    """The output, computed in float16 where the model says so: onnxruntime's CPU provider takes float32 for it."""
    with np.errstate(all="ignore"):
        return ReferenceEvaluator(model.to_proto()).run(None, {"x": x})[0]


@pytest.mark.parametrize("keep_io", [True, False])
def test_a_small_transformer(keep_io):
    model = net()
    before = model.to_proto().SerializeToString(deterministic=True)
    made, count = float16(model, keep_io)
    assert model.to_proto().SerializeToString(deterministic=True) == before
    kind = ir.DataType.FLOAT if keep_io else ir.DataType.FLOAT16
    assert [value.dtype for value in (*made.ir.graph.inputs, *made.ir.graph.outputs)] == [kind, kind]
    assert count == len(half_nodes(made)) == 4
    assert made.weight_bytes <= model.weight_bytes / 2
    x = noise(2, 6, 64)
    got = run(made, {"x": x if keep_io else x.astype(np.float16)})["y"]
    assert sqnr(run(model, {"x": x})["y"], got) > 45


def test_an_operator_that_is_to_stay():
    model = net()
    made, count = float16(model, keep_operators=["Softmax"])
    assert count < 4 + operators(made).count("Cast")
    (softmax,) = [node for node in made.ir.graph if node.op_type == "Softmax"]
    assert softmax.name not in half_nodes(made)
    x = noise(1, 6, 64)
    assert sqnr(run(model, {"x": x})["y"], run(made, {"x": x})["y"]) > 45


def test_a_weight_that_float16_lacks():
    """Clipped to 65504 it would be another function."""
    text = "(float[N,4] x) => (float[N,4] y) { h = Div(x, k) r = Mul(h, k) y = Add(r, b) }"
    model = build(text, k=np.float32(1e6), b=noise(4))
    made, count = float16(model)
    assert count == 1
    (name,) = half_nodes(made)
    assert [node.op_type for node in made.ir.graph if node.name == name] == ["Add"]
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(in_halves(made, x), run(model, {"x": x})["y"], rtol=2e-3)


def test_a_number_that_was_seen():
    """The product overflows in float16; nothing in the file says so, samples do."""
    model = build("(float[N,4] x) => (float[N,4] y) { h = Mul(x, x) r = Sqrt(h) y = Neg(r) }")
    x = np.full((1, 4), 1000, np.float32)
    assert np.isinf(in_halves(float16(model)[0], x)).all()
    ranges = Ranges({"x": (-1000, 1000), "h": (0, 1e6), "r": (0, 1000), "y": (-1000, 0)}, 1)
    made, count = float16(model, ranges=ranges)
    assert count == 1
    np.testing.assert_allclose(in_halves(made, x), -x, rtol=2e-3)
    assert set(beyond_float16(model, ranges).values()) == {"h"}


def test_infinity_is_no_reason():
    model = build("(float[N,4] x) => (float[N,4] y) { y = Max(x, k) }", k=np.float32(-np.inf))
    assert beyond_float16(model) == {}
    assert beyond_float16(model, Ranges({"x": (-np.inf, np.nan)}, 1)) == {}


def test_nothing_to_do():
    model = build("(int64[N] x) => (int64[N] y) { y = Identity(x) }")
    assert float16(model) == (model, 0)


def test_a_trained_model():
    model = fashion_model("mobilenetv3")
    made, _ = float16(model)
    assert abs(top1(made) - top1(model)) <= 0.003


@pytest.mark.parametrize("keep_io", [True, False])
@pytest.mark.parametrize(
    "outputs", ["float[2,3] x, float[2,4] y", "float[2,4] y, float[2,4] y", "float[3,4] w, float[2,4] y"]
)
def test_outputs_that_are_inputs_constants_or_returned_twice(outputs, keep_io):
    model = build(f"(float[2,3] x) => ({outputs}) {{ y = MatMul(x, w) }}", w=weight(3, 4))
    made, count = float16(model, keep_io)
    assert count
    assert [tensor.name for tensor in made.outputs] == [tensor.name for tensor in model.outputs]
    x = noise(2, 3)
    got = made.session().run(None, {"x": x if keep_io else x.astype(np.float16)})
    for expected, array in zip(model.session().run(None, {"x": x}), got, strict=True):
        np.testing.assert_allclose(array.astype(np.float32), expected, atol=5e-3)


def test_a_model_that_computes_nothing_stays():
    model = build("(float[2,3] x) => (float[2,3] x) { }")
    assert float16(model) == (model, 0)
