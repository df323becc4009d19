"""Each operator of the dialect, quantized between two Convs and run: how near to float, where the integers stand."""

import numpy as np
import pytest
from models import convnet, noise, operators, proto, run, sqnr, weight
from quantized import quantize, surroundings

from edgeonnx.model import Model
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.quantize.placement import load_dialect
from edgeonnx.quantize.qdq import quantized_nodes
from edgeonnx.quantize.recipe import Recipe

FEEDS = [{"x": noise(1, 4, 8, 8, seed=seed)} for seed in range(16)]
SECOND = {"w3": weight(4, 4, 3, 3, seed=7)}
BOTH = "d = Conv<pads = [1,1,1,1]>(x, w3) "


def ints(*values):
    return np.array(values, np.int64)


# Operator of the dialect -> (what stands between the first Conv's output c and the last one's input o, weights).
BETWEEN = {
    "Add": (BOTH + "o = Add(c, d)", SECOND),
    "AveragePool": ("o = AveragePool<kernel_shape = [2,2], strides = [2,2]>(c)", {}),
    "Clip": ("o = Clip(c, lo, hi)", {"lo": np.float32(-0.5), "hi": np.float32(1.5)}),
    "Concat": (BOTH + "o = Concat<axis = 1>(c, d)", {**SECOND, "w2": weight(3, 8, 1, 1, seed=2)}),
    "Conv": ("o = Conv<pads = [1,1,1,1], group = 4>(c, w4, b4)", {"w4": weight(4, 1, 3, 3, seed=8), "b4": noise(4)}),
    "Flatten": ("f = Flatten(c) o = Reshape(f, s)", {"s": ints(1, 4, 8, 8)}),
    "Gather": ("o = Gather<axis = 1>(c, i)", {"i": ints(3, 1, 2, 0)}),
    "Gemm": ("f = Flatten(c) g = Gemm(f, w4, b4) o = Reshape(g, s)", {
        "w4": weight(64, 256, seed=8).T.copy(), "b4": noise(64), "s": ints(1, 4, 4, 4),
    }),
    "GlobalAveragePool": ("o = GlobalAveragePool(c)", {}),
    "LeakyRelu": ("o = LeakyRelu<alpha = 0.1>(c)", {}),
    "MatMul": ("o = MatMul(c, w4)", {"w4": weight(8, 8, seed=8)}),
    "MaxPool": ("o = MaxPool<kernel_shape = [2,2], strides = [2,2]>(c)", {}),
    "Mul": (BOTH + "o = Mul(c, d)", SECOND),
    "Relu": ("o = Relu(c)", {}),
    "Reshape": ("o = Reshape(c, s)", {"s": ints(1, 4, 16, 4)}),
    "Resize": ('o = Resize<mode = "linear">(c, , s)', {"s": np.array([1, 1, 2, 2], np.float32)}),
    "Sigmoid": ("o = Sigmoid(c)", {}),
    "Slice": ("o = Slice(c, a, e, s)", {"a": ints(1), "e": ints(7), "s": ints(2)}),
    "Softmax": ("o = Softmax<axis = 1>(c)", {}),
    "Split": ("d, e = Split<axis = 1>(c, s) o = Concat<axis = 1>(e, d)", {"s": ints(2, 2)}),
    "Squeeze": ("f = Squeeze(c, s) o = Unsqueeze(f, s)", {"s": ints(0)}),
    "Transpose": ("o = Transpose<perm = [0,1,3,2]>(c)", {}),
    "Unsqueeze": ("f = Unsqueeze(c, s) o = Squeeze(f, s)", {"s": ints(2)}),
    "Where": (BOTH + "m = Greater(x, z) o = Where(m, c, d)", {**SECOND, "z": np.float32(0)}),
}  # fmt: skip


def between(body, weights):
    text = f"(float[1,4,8,8] x) => (float y) {{ c = Conv<pads = [1,1,1,1]>(x, w1) {body} y = Conv(o, w2) }}"
    model = proto(text, **{"w1": weight(4, 4, 3, 3), "w2": weight(3, 4, 1, 1, seed=2), **weights})
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def nearness(made, feeds=FEEDS):
    """SQNR over all samples together, in dB."""
    outputs = [(run(made.normal, feed)["y"], run(made.model, feed)["y"]) for feed in feeds]
    return sqnr(*(np.stack(side) for side in zip(*outputs, strict=True)))


def test_every_operator_of_the_dialect_is_tried():
    dialect = load_dialect("cpu")
    assert set(BETWEEN) == dialect.compute | dialect.fused | dialect.carried


@pytest.mark.parametrize("name", BETWEEN)
def test_near_to_float(name):
    made = quantize(between(*BETWEEN[name]), FEEDS)
    assert set(made.placement.kept.values()) <= {"Greater has no integer kernel"}
    assert nearness(made) > 25
    # Every quantized operator stands between Dequantize and Quantize; the fused ones are gone.
    dialect, around = load_dialect("cpu"), surroundings(made.model)
    for node in made.model.ir.graph:
        if node.op_type in dialect.compute | dialect.carried:
            assert "DequantizeLinear" in around[node.name][0]
            assert set(around[node.name][1]) <= {"QuantizeLinear"}
    assert not dialect.fused & set(operators(made.model))


@pytest.mark.parametrize("name", BETWEEN)
def test_integer_kernels_agree_with_the_written_graph(name):
    """With graph optimizations onnxruntime fuses; without, it computes what the nodes say."""
    made = quantize(between(*BETWEEN[name]), FEEDS)
    for feed in FEEDS[:4]:
        fused, written = (run(made.model, feed, optimize)["y"] for optimize in (True, False))
        assert sqnr(written, fused) > 25


def test_weights_are_int8_a_channel_and_symmetric_activations_uint8():
    made = quantize(convnet(), [{"x": noise(2, 8, 12, 12)}])
    layers = list(quantized_layers(made.model.ir))
    assert [layer.node.op_type for layer in layers] == ["Conv", "Conv", "Gemm"]
    for layer, channels in zip(layers, (16, 16, 5), strict=True):
        assert layer.weight.constant.dtype == np.int8
        assert layer.weight.scale.shape == (channels,)
        assert not layer.weight.zero_point.any()
        assert np.abs(layer.weight.constant).max() == 127
        assert layer.bias.constant.dtype == np.int32
        assert layer.input.zero_point.dtype == np.uint8
        assert layer.input.scale.size == 1
        np.testing.assert_allclose(layer.bias.scale, layer.input.scale * layer.weight.scale, rtol=1e-6)
    # The Relu was taken in: its output starts at 0, so all 256 steps are for what is above.
    assert layers[0].output.zero_point == 0
    low, high = made.ranges.by_tensor["r"]
    assert low == 0
    np.testing.assert_allclose(layers[0].output.scale, high / 255, rtol=1e-6)


def test_a_recipe_decides_types_and_granularity():
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "title": "t",
            "weights": {"dtype": "uint8", "per_channel": False, "symmetric": False},
            "activations": {"dtype": "int8", "symmetric": True},
        }
    )
    made = quantize(convnet(), [{"x": noise(2, 8, 12, 12)}], recipe=recipe)
    for layer in quantized_layers(made.model.ir):
        assert layer.weight.constant.dtype == np.uint8
        assert layer.weight.scale.size == 1
        assert layer.input.zero_point.dtype == np.int8
        assert layer.input.zero_point == 0
    assert nearness(made, [{"x": noise(2, 8, 12, 12, seed=5)}]) > 20


@pytest.mark.parametrize("opset", [11, 13, 17, 21])
def test_opsets(opset):
    made = quantize(convnet(opset=opset), [{"x": noise(4, 8, 12, 12)}])
    assert made.model.opset == max(13, opset)
    assert nearness(made, [{"x": noise(4, 8, 12, 12)}]) > 25


def test_inputs_outputs_and_the_original_stay():
    model = convnet()
    made = quantize(model, [{"x": noise(2, 8, 12, 12)}])
    assert made.model.inputs == made.normal.inputs
    assert [tensor.name for tensor in made.model.outputs] == ["y"]
    assert made.model.outputs[0].dtype == "float32"
    assert quantized_nodes(made.normal) == 0
    assert quantized_nodes(made.model) > 0


@pytest.mark.parametrize("op_type", ["QLinearConv", "ConvInteger", "DynamicQuantizeMatMul", "MatMulNBits", "QGemm"])
def test_what_counts_as_quantized(op_type):
    model = Model.from_proto(proto("(float[2] x) => (float[2] y) { y = Relu(x) }"))
    assert quantized_nodes(model) == 0
    next(iter(model.ir.graph)).op_type = op_type
    assert quantized_nodes(model) == 1


def test_kept_nodes_read_float():
    """x is quantized for the second Conv; the first, kept, and Greater read it as it came."""
    text = """(float[1,3,8,8] x) => (float y) {
        c = Conv<pads = [1,1,1,1]>(x, w1)
        r = Relu(c)
        k = Concat<axis = 1>(x, r)
        d = Conv(k, w2)
        y = Erf(d)
    }"""
    model = proto(text, w1=weight(3, 3, 3, 3), w2=weight(4, 6, 1, 1))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    feeds = [{"x": noise(1, 3, 8, 8, seed=seed)} for seed in range(4)]
    made = quantize(model, feeds)
    assert sorted(made.placement.kept.values()) == [
        "Erf has no integer kernel",
        *["reads 3 channels, fewer than 4"] * 2,
    ]
    by_type = {node.op_type: node for node in made.model.ir.graph if node.name in made.placement.kept}
    assert by_type["Conv"].inputs[0] is made.model.ir.graph.inputs[0]
    assert by_type["Relu"].inputs[0] is by_type["Conv"].outputs[0]
    assert by_type["Erf"].inputs[0].producer().op_type == "DequantizeLinear"  # there is no other
    assert nearness(made, feeds) > 25


def test_an_unplaced_relu_after_a_float_conv():
    text = "(float[1,1,8,8] x) => (float[a,b,c,d] y) { c = Conv(x, w1) r = Relu(c) y = Conv(r, w2) }"
    made = quantize(
        proto(text, w1=weight(4, 1, 3, 3), w2=weight(4, 4, 3, 3)), [{"x": noise(1, 1, 8, 8, seed=s)} for s in range(4)]
    )
    relu = next(node for node in made.model.ir.graph if node.op_type == "Relu")
    assert surroundings(made.model)[relu.name] == (["Conv"], ["QuantizeLinear"])


def test_other_domains_are_left_alone():
    text = "(float[2,8] x) => (float[2,4] y) { h = MatMul(x, w1) g = com.microsoft.Gelu(h) y = MatMul(g, w2) }"
    feeds = [{"x": noise(2, 8, seed=seed)} for seed in range(8)]
    made = quantize(proto(text, domains=["com.microsoft"], w1=weight(8, 8), w2=weight(8, 4)), feeds)
    assert operators(made.model).count("Gelu") == 1
    assert nearness(made, feeds) > 25


def test_nodes_inside_subgraphs_are_not_touched():
    text = """(float[2,4] x, bool c) => (float[2,4] y) {
        h = MatMul(x, w)
        y = If(c) <
            then_branch = t () => (float[2,4] a) { a = MatMul(h, w) },
            else_branch = e () => (float[2,4] b) { b = Neg(h) }
        >
    }"""
    feeds = [{"x": noise(2, 4, seed=seed), "c": np.array(seed % 2 == 0)} for seed in range(8)]
    made = quantize(proto(text, w=weight(4, 4)), feeds)
    inner = [node.op_type for graph in made.model.ir.graph.subgraphs() for node in graph]
    assert sorted(inner) == ["MatMul", "Neg"]
    assert operators(made.model).count("QuantizeLinear") == 1  # of x: nothing in integers reads h
    assert nearness(made, feeds) > 25


def test_a_matmul_of_two_activations():
    text = "(float[4,8] x) => (float[4,4] y) { t = Transpose(x) h = MatMul(x, t) y = Softmax(h) }"
    feeds = [{"x": noise(4, 8, seed=seed, scale=0.5)} for seed in range(8)]
    made = quantize(proto(text), feeds)
    matmul = next(node for node in made.model.ir.graph if node.op_type == "MatMul")
    assert surroundings(made.model)[matmul.name] == (["DequantizeLinear"] * 2, ["QuantizeLinear"])
    assert nearness(made, feeds) > 25


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_gemm(trans_b, bias):
    w = weight(6, 32)
    text = f"(float[2,32] x) => (float[2,6] y) {{ y = Gemm<transB = {trans_b}>(x, w{', b' if bias else ''}) }}"
    feeds = [{"x": noise(2, 32, seed=seed)} for seed in range(8)]
    more = {"b": noise(6)} if bias else {}
    made = quantize(proto(text, w=w if trans_b else w.T.copy(), **more), feeds)
    (layer,) = quantized_layers(made.model.ir)
    assert layer.weight.scale.shape == (6,)
    assert (layer.bias is not None) == bias
    assert nearness(made, feeds) > 25


def test_two_convs_that_share_their_weights():
    text = "(float[1,4,8,8] x) => (float[1,4,4,4] y) { h = Conv(x, w) y = Conv(h, w) }"
    made = quantize(proto(text, w=weight(4, 4, 3, 3)), FEEDS)
    first, second = quantized_layers(made.model.ir)
    np.testing.assert_array_equal(first.weight.real(), second.weight.real())
    assert len([v for v in made.model.ir.graph.initializers.values() if v.const_value.size == 144]) == 1
    assert nearness(made) > 25


def test_masks_of_infinity_do_no_harm():
    text = "(float[2,4] x, bool[4] m) => (float[2,4] y) { h = MatMul(x, w) k = Where(m, h, no) y = Softmax(k) }"
    feeds = [{"x": noise(2, 4, seed=seed), "m": np.array([True, True, False, True])} for seed in range(8)]
    made = quantize(proto(text, w=weight(4, 4), no=np.float32(-np.inf)), feeds)
    assert nearness(made, feeds) > 25


def test_tensors_that_are_always_zero():
    feeds = [{"x": np.zeros((1, 8, 12, 12), np.float32)}]
    made = quantize(convnet(), feeds)
    assert np.isfinite(run(made.model, {"x": noise(1, 8, 12, 12)})["y"]).all()
    assert nearness(made, feeds) > 25


def test_it_can_be_saved_and_loaded(tmp_path):
    made = quantize(convnet(), [{"x": noise(2, 8, 12, 12)}])
    again = Model.load(made.model.save(tmp_path / "q.onnx"))
    x = {"x": noise(2, 8, 12, 12, seed=9)}
    np.testing.assert_array_equal(run(again, x)["y"], run(made.model, x)["y"])
