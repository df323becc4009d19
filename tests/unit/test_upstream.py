"""Conversions where providers want them that fuse by themselves: before what takes integers."""

import numpy as np
import onnx_ir as ir
import pytest
from models import build, noise, run, weight

from edgeonnx.calibration.ranges import min_max
from edgeonnx.optimize.compose import compose
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.quantize.placement import load_dialect, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.recipe import load_recipe
from edgeonnx.quantize.terms import agreed

RESIDUAL = """(float[1,4,8,8] x) => (float[1,4,8,8] y) {
    a = Conv<pads = [1,1,1,1]>(x, v)
    r = Relu(a)
    b = Conv<pads = [1,1,1,1]>(r, w)
    s = Add(b, r)
    y = Relu(s)
}"""
WEIGHTS = {"v": weight(4, 4, 3, 3), "w": weight(4, 4, 3, 3)}
FEEDS = [{"x": noise(1, 4, 8, 8)}]


def quantized(text, name="openvino", feeds=FEEDS, **weights):
    dialect = load_dialect(name)
    model = compose(normalize(build(text, **weights)), dialect.whole)
    tensors = [tensor for tensor, dtype in tensor_types(model).items() if dtype == ir.DataType.FLOAT]
    ranges = min_max(model, tensors, feeds)
    recipe, _ = agreed(load_recipe("balanced"), dialect, name)
    return model, write_qdq(model, ranges, place(model, dialect, "all", ranges), recipe, dialect)


def readers(value):
    return sorted(use.node.op_type for use in value.uses())


def near(model, made, feeds=FEEDS, steps=4):
    """Outputs, by noise of a few quantization steps of the widest."""
    for feed in feeds:
        for one, two in zip(run(model, feed).values(), run(made, feed).values(), strict=True):
            assert np.abs(one - two).max() < steps * np.ptp(one) / 255


@pytest.mark.parametrize("name", ["openvino", "tensorrt"])
def test_of_a_residual_sum_the_branch_that_is_not_fused_is_quantized(name):
    model, made = quantized(RESIDUAL, name, **WEIGHTS)
    near(model, made, steps=8)
    nodes = {node.op_type: node for node in made.ir.graph}
    (add,) = (node for node in made.ir.graph if node.op_type == "Add")
    assert [value.producer().op_type for value in add.inputs] == ["Conv", "DequantizeLinear"]
    convs = [node for node in made.ir.graph if node.op_type == "Conv"]
    assert [readers(conv.outputs[0]) for conv in convs] == [["Relu"], ["Add"]]
    assert readers(nodes["Add"].outputs[0]) == ["Relu"]


def test_the_cpu_wants_them_around():
    _, made = quantized(RESIDUAL, "cpu", **WEIGHTS)
    assert all(readers(n.outputs[0]) == ["QuantizeLinear"] for n in made.ir.graph if n.op_type in ("Conv", "Add"))


def test_a_sum_of_two_convs_is_fused_with_the_later():
    text = """(float[1,4,8,8] x) => (float[1,4,6,6] y) {
        a = Conv(x, v)
        b = Conv(x, w)
        y = Add(a, b)
    }"""
    _, made = quantized(text, **WEIGHTS)
    (add,) = (node for node in made.ir.graph if node.op_type == "Add")
    *_, last = (node for node in made.ir.graph if node.op_type == "Conv")
    assert sorted(value.producer().op_type for value in add.inputs) == ["Conv", "DequantizeLinear"]
    assert last.outputs[0] in add.inputs


def test_conversions_move_before_what_passes_values_on():
    text = """(float[1,4,8,8] x) => (float[1,4,2,2] y) {
        a = Conv(x, v)
        p = MaxPool<kernel_shape = [2,2]>(a)
        y = Conv(p, w)
    }"""
    model, made = quantized(text, **WEIGHTS)
    near(model, made)
    (pool,) = (node for node in made.ir.graph if node.op_type == "MaxPool")
    assert pool.inputs[0].producer().op_type == "DequantizeLinear"
    assert readers(pool.outputs[0]) == ["Conv"]


def test_biases_stay_in_float_where_they_must():
    text = "(float[1,4,8,8] x) => (float[1,4,6,6] y) { y = Conv(x, v, b) }"
    for name, op_types in (("openvino", ["DequantizeLinear"]), ("tensorrt", [])):
        _, made = quantized(text, name, v=WEIGHTS["v"], b=noise(4))
        (conv,) = (node for node in made.ir.graph if node.op_type == "Conv")
        assert [value.producer().op_type for value in conv.inputs[2:] if value.producer()] == op_types


def test_no_scale_for_each_channel_where_none_is_taken():
    text = "(float[2,4] x) => (float[2,3] y) { y = MatMul(x, m) }"
    for name, size in (("cpu", 3), ("qnn", 1)):
        _, made = quantized(text, name, feeds=[{"x": noise(2, 4)}], m=weight(4, 3))
        (matmul,) = (node for node in made.ir.graph if node.op_type == "MatMul")
        assert matmul.inputs[1].producer().inputs[1].const_value.numpy().size == size


HARD = "(float[2,4] x) => (float[2,4] y) {{ h = HardSigmoid<alpha = {alpha}, beta = 0.5>(x) y = Mul({order}) }}"


@pytest.mark.parametrize("order", ["x, h", "h, x"])
def test_a_hard_swish_is_put_together(order):
    model = normalize(build(HARD.format(alpha="0.16666667", order=order)))
    whole = compose(model, frozenset({"HardSwish"}))
    assert [node.op_type for node in whole.ir.graph] == ["HardSwish"]
    assert [str(tensor) for tensor in whole.outputs] == [str(tensor) for tensor in model.outputs]
    feed = {"x": 4 * noise(2, 4)}
    np.testing.assert_allclose(run(whole, feed)["y"], run(model, feed)["y"], atol=1e-6)


def test_what_is_no_hard_swish_stays():
    whole = HARD.format(alpha="0.16666667", order="x, h")
    read_twice = whole.replace("(float[2,4] y)", "(float[2,4] y, float[2,4] h)")
    for other in (HARD.format(alpha="0.2", order="x, h"), HARD.format(alpha="0.16666667", order="h, h"), read_twice):
        model = normalize(build(other))
        assert "HardSwish" not in {node.op_type for node in compose(model, frozenset({"HardSwish"})).ir.graph}
    model = normalize(build(whole))
    assert compose(model, frozenset()) is model
