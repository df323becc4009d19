"""float16 becomes float32 inside, and stays at the border."""

import numpy as np
import onnx_ir as ir
from models import build, noise, operators, run

from edgeonnx.optimize.half import without_half


def half(*shape, seed=0):
    return noise(*shape, seed=seed).astype(np.float16)


def kinds(model):
    values = [*model.ir.graph.initializers.values(), *(o for node in model.ir.graph for o in node.outputs)]
    return {str(value.dtype) for value in values if value.dtype is not None}


def test_a_model_without_float16_is_left_as_it_is():
    model = build("(float[2] x) => (float[2] y) { y = Relu(x) }")
    assert without_half(model) is model


def test_the_border_stays_and_the_model_given_too():
    text = (
        "(float16[2,3] x, float[2,3] k) => (float16[2,3] y, float16[2,3] x, float[2,3] z) { y = Mul(x, w) z = Relu(k) }"
    )
    model = build(text, w=half(3))
    before = model.to_proto()
    made = without_half(model)
    assert model.to_proto() == before
    assert (made.inputs, made.outputs) == (model.inputs, model.outputs)
    assert operators(made) == ["Cast", "Mul", "Relu", "Cast"]
    assert made.ir.graph.initializers["w"].dtype == ir.DataType.FLOAT
    feeds = {"x": half(2, 3, seed=1), "k": noise(2, 3)}
    expected, got = run(model, feeds), run(made, feeds)
    assert got["y"].dtype == np.float16
    np.testing.assert_allclose(got["y"], expected["y"], rtol=2e-3)
    np.testing.assert_array_equal(got["x"], feeds["x"])


def test_operators_told_to_make_float16_make_float32():
    text = """(float[2] x) => (float[2] y) {
        a = Cast<to = 10>(x) s = Shape(a) e = RandomNormal<dtype = 10, shape = [2]>() d = Sub(e, e) f = Add(a, d)
        y = Cast<to = 1>(f)
    }"""
    made = without_half(build(text))
    assert kinds(made) <= {"FLOAT", "INT64"}
    np.testing.assert_array_equal(run(made, {"x": noise(2)})["y"], noise(2))


def test_a_weight_that_is_an_output():
    made = without_half(build("(float16[3] x) => (float16[3] y, float16[3] w) { y = Add(x, w) }", w=half(3)))
    assert [tensor.dtype for tensor in made.outputs] == ["float16", "float16"]
    np.testing.assert_array_equal(run(made, {"x": half(3, seed=1)})["w"], half(3))


def test_sequences_of_float16_have_no_cast():
    model = build("(seq(float16[N]) s) => (float16[M] y) { y = ConcatFromSequence<axis = 0>(s) }")
    assert without_half(model) is model


def test_a_model_without_nodes():
    model = build("(float16[2,3] x) => (float16[2,3] x) { }")
    x = np.ones((2, 3), np.float16)
    np.testing.assert_array_equal(without_half(model).session().run(None, {"x": x})[0], x)
