"""Saturation on x86-64 without VNNI, on whatever machine this is; tests/device/ compares it with such a CPU."""

import numpy as np
import onnx
import pytest

from edgeonnx.calibration.ranges import min_max
from edgeonnx.errors import ModelError
from edgeonnx.model import Model, session_options
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.quantize.layers import quantized_layers
from edgeonnx.quantize.placement import load_dialect, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.range_reduction import reduce_range
from edgeonnx.quantize.recipe import Recipe, Weights
from edgeonnx.quantize.saturation import measured_saturation, saturating, saturating_layers
from tests.unit.models import build, noise, run, sqnr
from tests.unit.saturation_cases import CASES, Case, accumulate, feed, model, reference, scales

SATURATING = {name: case for name, case in CASES.items() if not case.exact}
EXACT = {name: case for name, case in CASES.items() if case.exact}


@pytest.mark.parametrize("name", SATURATING)
def test_the_emulation_is_exact(name):
    """To the bit; and saturation matters here, or this would hold for a model left as it is."""
    case = SATURATING[name]
    expected = reference(case, saturate=True)
    assert np.mean(expected != reference(case, saturate=False)) > 0.1
    np.testing.assert_array_equal(run(saturating(model(case)), feed(case))["y"], expected)


@pytest.mark.parametrize("name", EXACT)
def test_what_does_not_saturate_is_left_as_it_is(name):
    given = model(EXACT[name])
    assert saturating_layers(given) == ()
    assert [n.op_type for n in saturating(given).ir.graph] == [n.op_type for n in given.ir.graph]


def test_the_given_model_is_not_changed():
    given = model(CASES["conv3x3"])
    before = given.to_proto().SerializeToString(deterministic=True)
    saturating(given)
    assert given.to_proto().SerializeToString(deterministic=True) == before


def test_the_emulation_takes_free_dimensions():
    case = CASES["conv strides dilations"]
    proto = model(case).to_proto()
    for axis in (0, 2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"n{axis}"
    got = run(saturating(Model.from_proto(proto)), feed(case))["y"]
    np.testing.assert_array_equal(got, reference(case, saturate=True))


def test_the_emulation_keeps_its_name_where_a_layer_is_the_output():
    saturated = saturating(model(CASES["matmul float"]))
    assert [tensor.name for tensor in saturated.outputs] == ["y"]


def _with_weight(*pairs):
    """A MatMul whose only column has these pairs."""
    case = Case("MatMul", (1, 2 * len(pairs)), (2 * len(pairs), 1), bias=None)
    proto = model(case).to_proto()
    column = np.array(pairs, np.int8).reshape(-1, 1)
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.name == "w_int":
            proto.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(column, "w_int"))
    return Model.from_proto(proto)


@pytest.mark.parametrize(
    ("pairs", "saturates"),
    [
        ([(64, 64), (-64, -64)], False),  # 255 * 128 = 32640
        ([(64, 65)], True),
        ([(0, 0), (-64, -65)], True),
        ([(127, -128), (-128, 127)], False),  # of different signs
        ([(0, 127), (127, 0)], False),  # neighbours, but of two pairs
        ([(2, 127)], True),
    ],
)
def test_a_pair_saturates_beyond_16_bits(pairs, saturates):
    assert saturating_layers(_with_weight(*pairs)) == (("layer",) if saturates else ())


def test_the_share_of_changed_sums_is_measured():
    case = CASES["conv3x3"]
    quiet = {"x": np.full(case.x, feed(case)["x"].min(), np.float32)}  # raw zeros, which can't saturate
    changed = np.mean(accumulate(case, saturate=True) != accumulate(case, saturate=False))
    shares = measured_saturation(model(case), iter([feed(case), quiet]))
    assert shares == {"layer": pytest.approx(changed / 2 + _padded_share(case, quiet) / 2)}


def _padded_share(case, feeds):
    """Of a feed of its own: its padding is the zero point, which is not zero."""
    return measured_saturation(model(case), [feeds])["layer"]


def test_nothing_to_measure():
    assert measured_saturation(model(CASES["conv u8u8"]), []) == {}
    with pytest.raises(ValueError, match="got none"):
        measured_saturation(model(CASES["conv3x3"]), [])


def test_padding_that_is_not_known_is_refused():
    proto = model(CASES["conv same upper"]).to_proto()
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ModelError, match="layer: its auto_pad depends on a free dimension"):
        saturating(Model.from_proto(proto))


def test_an_old_opset_is_refused():
    proto = model(CASES["gemm"]).to_proto()
    proto.opset_import[0].version = 12
    with pytest.raises(ModelError, match="expected opset 13 or newer, got 12"):
        saturating(Model.from_proto(proto))


def test_a_weight_that_is_moved_about_is_refused():
    """onnxruntime transposes it in advance and multiplies in integers, which must not pass for exact."""
    proto = model(CASES["matmul"]).to_proto()
    for node in proto.graph.node:
        if node.name == "layer":
            node.input[1] = "w_t"
    w = next(tensor for tensor in proto.graph.initializer if tensor.name == "w_int")
    w.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(w).T.copy(), "w_int"))
    for node in proto.graph.node:
        if node.output[0] == "w_d":
            node.attribute[0].i = 0
    proto.graph.node.append(onnx.helper.make_node("Transpose", ["w_d"], ["w_t"], perm=[1, 0]))
    with pytest.raises(ModelError, match="layer: onnxruntime makes a QLinearMatMul of it"):
        saturating_layers(Model.from_proto(proto))


def test_a_bias_that_is_computed_is_refused():
    proto = model(CASES["gemm"]).to_proto()
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != "b_int"]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    proto.graph.input.append(onnx.helper.make_tensor_value_info("b_int", onnx.TensorProto.INT32, [20]))
    with pytest.raises(ModelError, match="layer: expected a constant bias, got b_d"):
        saturating(Model.from_proto(proto))


def test_a_stack_of_weights_is_refused():
    proto = model(CASES["matmul"]).to_proto()
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.name == "w_int":
            stacked = np.stack([onnx.numpy_helper.to_array(tensor)] * 2)
            proto.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(stacked, "w_int"))
        if tensor.name in ("w_scale", "w_zero"):
            single = onnx.numpy_helper.to_array(tensor)[0]
            proto.graph.initializer[index].CopyFrom(onnx.numpy_helper.from_array(np.asarray(single), tensor.name))
    with pytest.raises(ModelError, match="expected a weight of 2 dimensions, got 3"):
        saturating_layers(Model.from_proto(proto))


def _net():
    """Two Convs and a Gemm; a pair of large weights in the first Conv's first channel, many in the second Conv."""
    rng = np.random.default_rng(3)
    w1 = rng.uniform(-0.1, 0.1, (8, 8, 3, 3)).astype(np.float32)
    w1[:, :2, 0, 0] = [0.3, 0]  # sets the scale of each channel, alone in its pair
    w1[0, :2, 1, 1] = 0.3
    w2 = (rng.choice([-1, 1], (6, 1, 3, 3)) * rng.uniform(0.5, 1, (6, 8, 3, 3))).astype(np.float32)
    return normalize(
        build(
            """(float[1,8,9,9] x) => (float[1,5] y) {
                a = Conv<pads = [1,1,1,1]>(x, w1, b1)
                r = Relu(a)
                b = Conv(r, w2, b2)
                p = GlobalAveragePool(b)
                f = Flatten(p)
                y = Gemm<transB = 1>(f, w3, b3)
            }""",
            w1=w1,
            b1=noise(8, seed=2, scale=0.1),
            w2=w2,
            b2=noise(6, seed=4),
            w3=np.linspace(-0.3, 0.3, 30, dtype=np.float32).reshape(5, 6),
            b3=noise(5, seed=5),
        )
    )


def _feeds(count=4):
    return [{"x": noise(1, 8, 9, 9, seed=seed)} for seed in range(count)]


def _quantized(source, **weights):
    recipe = Recipe(name="test", title="", weights=Weights(**weights))
    ranges = min_max(source, list(tensor_types(source)), iter(_feeds()))
    return write_qdq(source, ranges, place(source, load_dialect("cpu"), "all", ranges), recipe)


def _plain(model):
    """Outputs on this machine with nothing fused, so that no integer kernel runs: exact on every CPU."""
    session = model.session(session_options(optimize=False))
    return np.concatenate([session.run(None, feeds)[0] for feeds in _feeds()])


def _weights(model):
    return {layer.node.name: layer.weight for layer in quantized_layers(model.ir)}


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_reduced_range_does_not_saturate(per_channel, symmetric):
    source = _net()
    quantized = _quantized(source, per_channel=per_channel, symmetric=symmetric)
    layers = saturating_layers(quantized)
    assert len(layers) >= 2
    reduced = reduce_range(quantized, source, layers)
    assert saturating_layers(reduced) == ()
    assert sqnr(_plain(source), _plain(reduced)) > sqnr(_plain(source), _plain(quantized)) - 6
    assert sqnr(_plain(source), _plain(reduced)) > 20


def test_only_channels_that_saturate_change_and_no_more_than_they_must():
    source = _net()
    quantized = _quantized(source)
    name = saturating_layers(quantized)[0]
    before, after = _weights(quantized)[name], _weights(reduce_range(quantized, source, [name]))[name]
    np.testing.assert_array_equal(after.constant[1:], before.constant[1:])
    np.testing.assert_array_equal(after.scale[1:], before.scale[1:])
    assert before.constant[0, :2, 1, 1].tolist() == [127, 127]
    assert after.constant[0, :2, 1, 1].tolist() == [64, 64]  # 0.3 + 0.3 becomes 127, and halves are rounded


def test_a_weaker_pair_costs_less_than_a_bit():
    """A pair of 127 and 40 asks for a scale 167 / 127 as large, not for one twice as large."""
    weight = np.zeros((2, 1), np.float32)
    weight[:, 0] = [1.27, 0.40]
    source = normalize(build("(float[N,2] x) => (float[N,1] y) { y = MatMul(x, w) }", w=weight))
    feeds = [{"x": noise(3, 2, seed=seed)} for seed in range(3)]
    ranges = min_max(source, list(tensor_types(source)), iter(feeds))
    placement = place(source, load_dialect("cpu"), "all", ranges)
    quantized = write_qdq(source, ranges, placement, Recipe(name="test", title=""))
    (name,) = saturating_layers(quantized)
    after = _weights(reduce_range(quantized, source, [name]))[name]
    assert after.constant.ravel().tolist() == [97, 30]
    assert after.scale.item() == pytest.approx(1.67 / 127)


def test_a_layer_that_is_not_named_stays():
    source = _net()
    quantized = _quantized(source)
    first, *rest = saturating_layers(quantized)
    assert saturating_layers(reduce_range(quantized, source, rest)) == (first,)


def test_weights_that_layers_share_are_reduced_for_one_alone():
    source = normalize(
        build(
            "(float[N,4] x) => (float[N,4] y) { a = MatMul(x, w) \n r = Relu(a) \n y = MatMul(r, w) }",
            w=np.full((4, 4), 0.5, np.float32),
        )
    )
    ranges = min_max(source, list(tensor_types(source)), iter([{"x": noise(3, 4)}]))
    quantized = write_qdq(
        source, ranges, place(source, load_dialect("cpu"), "all", ranges), Recipe(name="test", title="")
    )
    first, second = saturating_layers(quantized)
    assert saturating_layers(reduce_range(quantized, source, [second])) == (first,)


def test_another_float_model_is_refused():
    quantized = _quantized(_net())
    other = normalize(build("(float[N,4] x) => (float[N,2] y) { y = MatMul(x, w) }", w=noise(4, 2)))
    with pytest.raises(ModelError, match="the float model has no weight for"):
        reduce_range(quantized, other, saturating_layers(quantized))


def test_a_bias_that_came_by_an_add_follows_the_weights():
    """The kernel takes for granted that its unit is that of the products."""
    case = CASES["matmul add"]
    _, integers, bias = case.integers()
    w_scale, b_scale, _ = scales(case)
    source = build(
        "(float[3,45] x) => (float[3,18] y) { [layer] a = MatMul(x, w) \n [add] y = Add(b, a) }",
        w=integers * w_scale,
        b=(bias * b_scale).astype(np.float32),
    )
    reduced = reduce_range(model(case), source, ["layer"])
    assert saturating_layers(reduced) == ()
    expected = reference(case, saturate=False)
    # Fused, so that the kernel's idea of the bias counts; nothing saturates, whatever CPU this is.
    assert sqnr(expected, run(reduced, feed(case))["y"]) > 30


def test_a_gemm_that_normalization_made_is_known_by_its_name():
    """It is named as onnxruntime names a MatMul and an Add that it joins, and joined already."""
    source = normalize(
        build(
            "(float[3,4] x) => (float[3,4] y) { a = MatMul(x, w) \n y = Add(a, b) }",
            w=np.full((4, 4), 0.5, np.float32),
            b=noise(4),
        )
    )
    ranges = min_max(source, list(tensor_types(source)), iter([{"x": noise(3, 4)}]))
    placement = place(source, load_dialect("cpu"), "all", ranges)
    quantized = write_qdq(source, ranges, placement, Recipe(name="test", title=""))
    layers = saturating_layers(quantized)
    assert layers == tuple(node.name for node in source.ir.graph)
    assert len(layers) == 1
    assert saturating_layers(reduce_range(quantized, source, layers)) == ()
