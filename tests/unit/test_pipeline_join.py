"""Joining leaves the model as it is, whatever it looks like: the same nodes, the same results, joined and apart."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise, operators, proto, run, weight
from pictures import picture
from quantized import quantize

from edgeonnx.errors import PipelineError
from edgeonnx.model import Model
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.graph import entries, join, needed_opset, postprocessing, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

IMAGE = {"type": "image", "normalize": {"scale": 255}}
SOFTMAX = {"type": "classification", "activation": "softmax"}


def spec(output=None, **sources):
    return PipelineSpec.model_validate({"input": sources, "output": output})


def apart(model, pipeline, feeds):
    """Results of preprocessing, model and postprocessing run one after the other."""
    before = run(preprocessing(model, pipeline), feeds)
    outputs = run(model, {tensor.name: before.pop(f"{tensor.name}.prepared") for tensor in model.inputs})
    if pipeline.output is None:
        return outputs
    after = postprocessing(model, pipeline)
    known = {**outputs, **{f"{name}.raw": array for name, array in outputs.items()}, **before}
    found = run(after, {tensor.name: known[tensor.name] for tensor in after.inputs})
    return {name.removesuffix(".passed"): array for name, array in found.items()}


def same(model, pipeline, feeds):
    """The joined model, once it gives to the bit what its parts give."""
    joined = join(raise_opset(model, needed_opset(model, pipeline)), pipeline)
    onnx.checker.check_model(joined.to_proto(), full_check=True)
    got, expected = run(joined, feeds, optimize=False), apart(model, pipeline, feeds)
    assert list(got) == [tensor.name for tensor in joined.outputs]
    assert set(got) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)
    return joined


def network(opset=17):
    return build(
        "(float[1,3,8,6] x) => (float[1,4] y) { f = Flatten(x) y = MatMul(f, w) }", opset=opset, w=weight(144, 4)
    )


# QDQ


@st.composite
def quantized(draw):
    """A quantized convolution net of 3 channels, of some opset."""
    channels, kernel = draw(st.sampled_from([3, 4, 8])), draw(st.sampled_from([1, 3]))
    pads = [kernel // 2] * 4
    activation = draw(st.sampled_from(["Relu(c)", "HardSwish(c)", "Clip(c, z, s)"]))
    body = f"c = Conv<pads = {pads}>(x, w1, b1) r = {activation}"
    text = (
        f"(float[N,3,8,6] x) => (float[N,5] y) {{ {body} g = GlobalAveragePool(r) f = Flatten(g) y = Gemm(f, w2, b2) }}"
    )
    model = proto(
        text, opset=draw(st.sampled_from([14, 17])), b1=noise(channels),
        w1=weight(channels, 3, kernel, kernel, seed=draw(st.integers(0, 9))),
        w2=weight(5, channels).T.copy(), b2=noise(5), z=np.float32(0), s=np.float32(6),
    )  # fmt: skip
    return quantize(model, [{"x": noise(1, 3, 8, 6, seed=seed)} for seed in range(4)]).model


@settings(max_examples=15, deadline=None)
@given(model=quantized(), seed=st.integers(0, 99), output=st.sampled_from([None, SOFTMAX]))
def test_a_quantized_model_is_the_same_inside(model, seed, output):
    joined = same(model, spec(output, x=IMAGE), {"x": picture(seed=seed)})
    ours = {node.name: node for node in joined.to_proto().graph.node}
    for node in model.to_proto().graph.node:
        inside = ours[node.name]
        # The input's place is taken by what preprocessing makes of the picture; nothing else may differ.
        inside.input[:] = ["x" if name.startswith("pipeline.") else name for name in inside.input]
        assert inside.SerializeToString(deterministic=True) == node.SerializeToString(deterministic=True)
    weights = {tensor.name: tensor.SerializeToString() for tensor in joined.to_proto().graph.initializer}
    assert weights == {tensor.name: tensor.SerializeToString() for tensor in model.to_proto().graph.initializer}


# What operators changed between 13 and 21: axes of ReduceMean, Split, Pad, Resize.
RAISED = {
    "MatMul": ("f = Flatten(c) y = MatMul(f, w2)", {"w2": weight(400, 5)}),
    "Pad": ("y = Pad(c, p)", {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}),
    "ReduceMean": ("m = ReduceMean<axes = [2,3], keepdims = 0>(c) y = Softmax(m)", {}),
    "Resize": ('y = Resize<mode = "linear">(c, , s)', {"s": np.array([1, 1, 2, 2], np.float32)}),
    "Split": ("a, b = Split<axis = 1>(c) y = Add(a, b)", {}),
}


@pytest.mark.parametrize("operator", RAISED)
@pytest.mark.parametrize("opset", [16, 18, 21])
def test_raising_a_quantized_model_keeps_its_results_to_the_bit(operator, opset):
    body, weights = RAISED[operator]
    text = f"(float[1,8,12,12] x) => (float y) {{ c = Conv(x, w1) {body} }}"
    model = proto(text, opset=13, w1=weight(4, 8, 3, 3), **weights)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = quantize(model, [{"x": noise(1, 8, 12, 12, seed=seed)} for seed in range(4)]).model
    assert made.opset == 13
    raised = raise_opset(made, opset)
    assert raised.opset == opset
    assert operators(raised).count("DequantizeLinear") == operators(made).count("DequantizeLinear") > 0
    for seed in range(3):
        feeds = {"x": noise(1, 8, 12, 12, seed=50 + seed)}
        np.testing.assert_array_equal(run(raised, feeds)["y"], run(made, feeds)["y"])


def test_a_model_that_is_too_old_for_its_pipeline():
    with pytest.raises(PipelineError, match="the pipeline needs opset 13, the model is of 11; raise it first"):
        join(network(opset=11), spec(x=IMAGE))


# Forms of models


def test_several_sources_and_inputs_that_pass():
    model = build(
        "(int64[1] n, float[1,3,8,6] x, float[1,4] z, float[1,1,8,6] g) => (float[1,4] y, int64[1] m, float[1,48] h) {"
        " f = Flatten(x) d = MatMul(f, w) y = Add(d, z) m = Neg(n) h = Flatten(g) }",
        w=weight(144, 4),
    )
    pipeline = spec(
        SOFTMAX | {"scores": "y"}, photo={**IMAGE, "to": "x"}, depth={"type": "image", "color": "grey", "to": "g"}
    )
    joined = same(
        model, pipeline, {"n": np.array([7]), "photo": picture(), "z": noise(1, 4), "depth": picture(channels=1)}
    )
    assert [tensor.name for tensor in joined.inputs] == ["n", "photo", "z", "depth"]
    assert [tensor.name for tensor in joined.outputs] == ["probabilities", "m", "h"]
    assert tuple(entry.spec for entry in entries(model, pipeline)) == joined.inputs


def test_an_input_that_the_model_does_not_use():
    model = build("(float[1,3,8,6] x, float[2] z) => (float[2] y) { y = Neg(z) }")
    joined = same(model, spec(x=IMAGE), {"x": picture(), "z": noise(2)})
    assert operators(joined) == ["Neg"], "what makes the unused input is left out"
    assert [tensor.name for tensor in joined.inputs] == ["x", "z"]


def test_weights_that_are_inputs_too():
    model = proto(
        "(float[1,3,8,6] x, float[144,4] w) => (float[1,4] y) { f = Flatten(x) y = MatMul(f, w) }", w=weight(144, 4)
    )
    joined = same(Model.from_proto(model), spec(x=IMAGE), {"x": picture()})
    assert [value.name for value in joined.ir.graph.inputs] == ["x", "w"]
    assert [tensor.name for tensor in joined.inputs] == ["x"]


def test_an_input_handed_on_as_an_output():
    """ONNX lets a graph return what it is given."""
    graph = onnx.parser.parse_graph(
        "g (float[1,3,8,6] x, float[2] z) => (float[1,3,8,6] x, float[2] z, float[2] y) { y = Neg(z) }"
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = Model.from_proto(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8))
    joined = join(model, spec(photo={**IMAGE, "to": "x"}))
    got = run(joined, {"photo": picture(), "z": noise(2)})
    assert list(got) == ["x", "z", "y"]
    np.testing.assert_allclose(got["x"][0], picture().transpose(2, 0, 1) / 255, rtol=1e-6)
    with pytest.raises(
        PipelineError, match=r"input\.x: the model has an output called so; give the source another name"
    ):
        join(model, spec(x=IMAGE))


@pytest.mark.parametrize("name", ["f", "w", "h", "y2", "probabilities", "inner"])
def test_sources_and_results_named_as_something_inside(name):
    text = """(float[1,3,8,6] x, bool c) => (float[1,4] y, float[1,144] k) {
        f = Flatten(x) h = MatMul(f, w) probabilities = Neg(h) y2 = Abs(probabilities) k = Relu(f)
        y = If(c) < then_branch = t () => (float[1,4] inner) { inner = Neg(y2) },
                    else_branch = e () => (float[1,4] other) { other = Abs(h) } >
    }"""
    model = build(text, w=weight(144, 4))
    if name == "probabilities":
        same(model, spec(SOFTMAX | {"scores": "y"}, x=IMAGE), {"x": picture(), "c": np.array(True)})
        return
    pipeline = spec(SOFTMAX | {"scores": "y"}, **{name: {**IMAGE, "to": "x"}})
    same(model, pipeline, {name: picture(), "c": np.array(True)})


def test_a_source_named_as_a_result():
    with pytest.raises(
        PipelineError, match=r"input\.probabilities: a result is called so; give the source another name"
    ):
        join(network(), spec(SOFTMAX, probabilities={**IMAGE, "to": "x"}))


def test_sources_that_trade_names_with_inputs():
    model = build("(float[1,3,8,6] a, float[1,3,8,6] b) => (float[1,3,8,6] y) { y = Sub(a, b) }")
    same(model, spec(a={**IMAGE, "to": "b"}, b={**IMAGE, "to": "a"}), {"a": picture(seed=1), "b": picture(seed=2)})
    with pytest.raises(PipelineError, match=r"input\.a: two inputs would be called so"):
        join(model, spec(a={**IMAGE, "to": "b"}))
    with pytest.raises(PipelineError, match=r"input\.d: a is already what input.c becomes"):
        join(model, spec(c={**IMAGE, "to": "a"}, d={**IMAGE, "to": "a"}))


def test_a_joined_model_may_be_joined_again():
    once = join(network(), spec(SOFTMAX, x=IMAGE))
    turned = {"type": "tensor", "dtype": "uint8", "shape": [6, 8, 3], "steps": [{"transpose": [1, 0, 2]}]}
    twice = same(once, spec({"type": "classification"}, x=turned), {"x": picture(6, 8)})
    assert [tensor.name for tensor in twice.outputs] == ["probabilities"]


def test_scores_as_they_are_stay_as_they_are():
    joined = same(network(), spec({"type": "classification"}, x=IMAGE), {"x": picture()})
    assert [tensor.name for tensor in joined.outputs] == ["y"]


def test_functions_of_the_models_own():
    function = '<domain: "own", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }'
    model = build(
        "(float[1,3,8,6] x) => (float[1,144] y) { t = own.twice(x) y = Flatten(t) }",
        domains=("own",),
        functions=(function,),
    )
    joined = same(model, spec(SOFTMAX, x=IMAGE), {"x": picture()})
    assert len(joined.ir.functions) == 1


def test_a_model_in_float16():
    model = build("(float16[1,3,8,6] x) => (float16[1,144] y) { y = Flatten(x) }")
    same(model, spec({"type": "classification"}, x=IMAGE), {"x": picture()})


def test_free_batches_close_where_their_input_does():
    model = build("(float[N,3,8,6] x, float[M,2] z) => (float[N,144] y, float[M,2] k) { y = Flatten(x) k = Neg(z) }")
    shapes = {tensor.name: tensor.shape for tensor in join(model, spec(x=IMAGE)).outputs}
    assert shapes == {"y": (1, 144), "k": ("M", 2)}
    shared = build("(float[N,3,8,6] x, float[N,2] z) => (float[N,144] y, float[N,2] k) { y = Flatten(x) k = Neg(z) }")
    assert join(shared, spec(x=IMAGE)).outputs[1].shape == ("N", 2), "z may still come in any number"
