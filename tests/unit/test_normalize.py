"""A normalized model is the same function: checked against onnxruntime's answer to the model as it was given."""

import numpy as np
import pytest
from models import build, convnet, noise, operators, proto, run, run_proto, weight

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize import opset
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.optimize.opset import raise_opset

IMAGE = {"x": noise(1, 2, 6, 6)}
BN = {"s": noise(4, seed=1) + 2, "b": noise(4, seed=2), "m": noise(4, seed=3), "v": np.abs(noise(4, seed=4)) + 0.5}
UP, DOWN, ODD = (np.array([1, 1, factor, factor], np.float32) for factor in (2, 0.5, 1.5))


def same(model, feeds):
    """Normalized, the model gives the outputs it gave, under the same names."""
    normal = normalize(Model.from_proto(model))
    expected, got = run_proto(model, feeds), run(normal, feeds)
    assert list(expected) == list(got)
    assert [tensor.name for tensor in normal.inputs] == [tensor.name for tensor in Model.from_proto(model).inputs]
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-5)
    return normal


@pytest.mark.parametrize("opset", [11, 12, 13, 17, 21])
def test_convnet_of_any_opset(opset):
    normal = same(convnet(opset=opset), {"x": noise(3, 8, 12, 12)})
    assert normal.opset == max(opset, 13)
    assert operators(normal) == ["Conv", "Relu", "Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm"]


@pytest.mark.parametrize("ir_version", [3, 8])
@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 17])
def test_batch_normalization_folds_whether_weights_are_inputs_or_not(opset, ir_version):
    also_inputs = ", float[4,3,3,3] w, float[4] s, float[4] b, float[4] m, float[4] v" if ir_version == 3 else ""
    text = f"""(float[1,3,8,8] x{also_inputs}) => (float[1,4,6,6] y) {{
        c = Conv(x, w)
        n = BatchNormalization(c, s, b, m, v)
        y = Relu(n)
    }}"""
    normal = same(proto(text, opset=opset, ir_version=ir_version, w=weight(4, 3, 3, 3), **BN), {"x": noise(1, 3, 8, 8)})
    assert operators(normal) == ["Conv", "Relu"]
    assert [value.name for value in normal.ir.graph.inputs] == ["x"]
    assert normal.ir_version >= 7


# Operators whose form or meaning changed between opset 7 and 13: name -> (opsets, body, weights).
CHANGED = {
    "Upsample nearest": ([9], 'y = Upsample<mode = "nearest">(x, s)', {"s": UP}),
    "Upsample linear": ([9], 'y = Upsample<mode = "linear">(x, s)', {"s": UP}),
    "Upsample-7": ([7, 8], 'y = Upsample<mode = "linear", scales = [1.0, 1.0, 2.0, 2.0]>(x)', {}),
    "Resize up": ([10], 'y = Resize<mode = "linear">(x, s)', {"s": UP}),
    "Resize odd": ([10], 'y = Resize<mode = "linear">(x, s)', {"s": ODD}),
    "Resize down": ([10], 'y = Resize<mode = "linear">(x, s)', {"s": DOWN}),
    "Resize nearest": ([10], "y = Resize(x, s)", {"s": UP}),
    "Resize nearest odd": ([10], "y = Resize(x, s)", {"s": ODD}),
    "Resize nearest down": ([10], "y = Resize(x, s)", {"s": DOWN}),
    "Resize-11": ([11, 12], 'y = Resize<mode = "linear">(x, r, s)', {"s": UP, "r": np.zeros(0, np.float32)}),
    "Softmax": ([8, 11, 12], "y = Softmax(x)", {}),
    "Softmax by axis": ([8, 11], "y = Softmax<axis = 2>(x)", {}),
    "LogSoftmax": ([8, 11], "y = LogSoftmax(x)", {}),
    "ReduceSum": ([8, 11, 12], "y = ReduceSum<axes = [2, 3]>(x)", {}),
    "Squeeze": ([8, 11, 12], "h = Unsqueeze<axes = [0]>(x) y = Squeeze<axes = [0]>(h)", {}),
    "Clip": ([8, 10], "y = Clip<min = -0.5, max = 0.5>(x)", {}),
    "Pad": ([8, 10], "y = Pad<pads = [0, 0, 1, 1, 0, 0, 2, 2]>(x)", {}),
    "Slice": ([8, 9], "y = Slice<axes = [2], starts = [1], ends = [4]>(x)", {}),
    "Split": ([8, 11, 12], "h, z = Split<axis = 1, split = [1, 1]>(x) y = Sub(h, z)", {}),
    "Dropout": ([8, 10, 12], "h = Dropout(x) y = Neg(h)", {}),
    "AveragePool": ([8, 10], "y = AveragePool<kernel_shape = [2,2], strides = [2,2], pads = [1,1,0,0]>(x)", {}),
    "LSTM": ([8, 11], "t = Flatten<axis = 3>(x) u = Unsqueeze<axes = [1]>(t) y = LSTM<hidden_size = 5>(u, w, r)", {
        "w": weight(1, 20, 6), "r": weight(1, 20, 5),
    }),
    "Constant": ([8, 9, 12], "k = Constant<value = float[6] {1, 2, 3, 4, 5, 6}>() y = Mul(x, k)", {}),
}  # fmt: skip


@pytest.mark.parametrize(("opset", "name"), [(opset, name) for name, (all_, *_) in CHANGED.items() for opset in all_])
def test_older_operators_keep_their_meaning(opset, name):
    _, body, weights = CHANGED[name]
    model = proto(f"(float[1,2,6,6] x) => (float y) {{ {body} }}", opset=opset, ir_version=7, **weights)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert same(model, IMAGE).opset == 13


def test_an_operator_with_no_newer_form_is_refused():
    with pytest.raises(ModelError, match=r"opset 11 can't be raised to 13: Hardmax means something else there"):
        normalize(build("(float[2,3] x) => (float[2,3] y) { y = Hardmax(x) }", opset=11))
    with pytest.raises(ModelError, match=r"opset 9 can't be raised to 13: .*; export the model again"):
        normalize(build("(float[2,3] x) => (float[2,3] y) { y = NoSuchOperator(x) }", opset=9))


def test_a_newer_model_is_left_at_its_opset():
    model = build("(float[2] x) => (float[2] y) { y = Relu(x) }", opset=17)
    assert raise_opset(model) is model


def test_a_model_newer_than_the_kernels_is_lowered(monkeypatch):
    """onnxruntime knows the newest opset before it has a QuantizeLinear for it."""
    monkeypatch.setattr(opset, "_has_kernel", lambda version: version <= 20)
    assert same(convnet(opset=21), {"x": noise(1, 8, 12, 12)}).opset == 20


def test_an_opset_of_the_future():
    model = build("(float[2] x) => (float[2] y) { y = Relu(x) }")
    model.ir.opset_imports[""] = 999
    with pytest.raises(ModelError, match=r"is of opset 999, the onnx here knows those up to \d+; update onnx"):
        normalize(model)


def test_without_standard_operators_there_is_nothing_to_convert():
    text = "(float[2,4] x) => (float[2,4] y) { y = com.microsoft.Gelu(x) }"
    model = proto(text, domains=["com.microsoft"])
    del model.opset_import[0]
    assert same(model, {"x": noise(2, 4)}).opset == 13


def test_constant_nodes_become_initializers_and_constant_arithmetic_is_done():
    text = """(float[2,4] x) => (float[2,4] y) {
        k = Constant<value = float[4] {1, 2, 3, 4}>()
        e = Exp(k)
        s = Add(e, w)
        y = Mul(x, s)
    }"""
    normal = same(proto(text, w=noise(4)), {"x": noise(2, 4)})
    assert operators(normal) == ["Mul"]
    assert len(normal.ir.graph.initializers) == 1


def test_every_node_gets_a_name_of_its_own():
    model = convnet()
    for node in model.graph.node:
        node.name = ""
    names = [node.name for node in same(model, {"x": noise(1, 8, 12, 12)}).ir.graph]
    assert all(names)
    assert len(set(names)) == len(names)


def test_names_of_the_users_stay():
    model = convnet()
    for index, node in enumerate(model.graph.node):
        node.name = f"/features/{index}"
    names = {node.name for node in normalize(Model.from_proto(model)).ir.graph}
    assert names == {f"/features/{index}" for index in range(8)}


def test_inputs_and_outputs_stay_even_where_nothing_uses_them():
    text = """(float[2,4] x, float[3] unused, int64 n) => (float[2,4] b, float[2,4] a, float[2] w2, int64 n2) {
        a = Relu(x)
        b = Neg(x)
        w2 = Identity(w)
        n2 = Identity(n)
    }"""
    feeds = {"x": noise(2, 4), "unused": noise(3), "n": np.array(3)}
    normal = same(proto(text, w=noise(2)), feeds)
    assert [str(tensor) for tensor in normal.inputs] == ["x: float32[2,4]", "unused: float32[3]", "n: int64[]"]
    assert [tensor.name for tensor in normal.outputs] == ["b", "a", "w2", "n2"]


def test_functions_are_inlined_and_foreign_operators_stay():
    twice = '<domain: "my", opset_import: ["" : 17]> twice (a) => (b) { t = Relu(a) b = Add(t, t) }'
    text = "(float[2,4] x) => (float[2,4] y) { h = my.twice(x) y = com.microsoft.Gelu(h) }"
    normal = same(proto(text, domains=["my", "com.microsoft"], functions=[twice]), {"x": noise(2, 4)})
    assert operators(normal) == ["Relu", "Add", "Gelu"]


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_subgraphs(opset):
    text = """(float[2,4] x, bool c) => (float[2,4] y) {
        h = MatMul(x, w)
        y = If(c) <
            then_branch = t () => (float[2,4] a) { a = MatMul(h, w) },
            else_branch = e () => (float[2,4] b) { b = Neg(h) }
        >
    }"""
    for choice in (True, False):
        same(proto(text, opset=opset, w=weight(4, 4)), {"x": noise(2, 4), "c": np.array(choice)})


def test_float16_weights_are_constant_where_float32_kernels_compute():
    text = """(float16[1,4,8,8] x) => (float16[1,3,6,6] y) {
        c = Conv(x, w)
        r = Relu(c)
        y = Conv<kernel_shape = [1,1]>(r, v)
    }"""
    weights = {"w": weight(4, 4, 3, 3).astype(np.float16), "v": weight(3, 4, 1, 1).astype(np.float16)}
    normal = normalize(build(text, **weights))
    convs = [node for node in normal.ir.graph if node.op_type == "Conv"]
    assert all(node.inputs[1].const_value.dtype.name == "FLOAT" for node in convs)
    x = noise(1, 4, 8, 8).astype(np.float16)
    np.testing.assert_allclose(run(normal, {"x": x})["y"], run_proto(proto(text, **weights), {"x": x})["y"], rtol=1e-2)


@pytest.mark.parametrize("opset", [11, 17])
def test_normalizing_twice_changes_nothing(opset):
    once = normalize(Model.from_proto(convnet(opset=opset)))
    twice = normalize(once)
    assert once.to_proto().graph == twice.to_proto().graph
    assert (once.opset, once.ir_version) == (twice.opset, twice.ir_version)


def test_the_model_given_is_not_changed(tmp_path):
    model = Model.load(Model.from_proto(convnet(opset=11)).save(tmp_path / "m.onnx"))
    before = model.to_proto().SerializeToString(deterministic=True)
    normalize(model)
    assert model.to_proto().SerializeToString(deterministic=True) == before


def test_types_of_all_tensors_are_known_and_sequences_are_none():
    types = tensor_types(normalize(Model.from_proto(convnet())))
    assert {name: dtype.name for name, dtype in types.items()} == dict.fromkeys("xcrdqagfy", "FLOAT")
    text = "(seq(float[N]) s) => (float[M] y, int64[1] n) { y = ConcatFromSequence<axis = 0>(s) n = Shape(y) }"
    types = tensor_types(normalize(build(text)))
    assert {name: dtype.name for name, dtype in types.items()} == {"y": "FLOAT", "n": "INT64"}
