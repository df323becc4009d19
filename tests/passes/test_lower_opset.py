"""Older operator sets: the same outputs, or words that name the operator, the node and the lowest opset."""

from functools import partial

import numpy as np
import onnx
import pytest

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.passes.lower_opset import lower_opset
from tests.unit.models import build, noise, operators, proto, run
from tests.zoo.zoo import CASES, QUANTIZED

X = "(float[2,8,6] x) => (float[a,b,c] y)"
IMAGE = "(float[2,8,6,6] x) => (float[a,b,c,d] y)"
SHAPES = {X: (2, 8, 6), IMAGE: (2, 8, 6, 6)}

# Name -> signature, nodes, opset of the model, opset to reach, operators that must not be left (none: the same ones).
FORMS = {
    "Gelu": (X, "y = Gelu(x)", 20, 11, {"Gelu"}),
    "Gelu tanh": (X, 'y = Gelu<approximate = "tanh">(x)', 20, 13, {"Gelu"}),
    "Swish": (X, "y = Swish<alpha = 1.5>(x)", 24, 11, {"Swish"}),
    "Mish": (X, "y = Mish(x)", 18, 11, {"Mish"}),
    "HardSwish": (X, "y = HardSwish(x)", 22, 11, {"HardSwish"}),
    "Celu": (X, "y = Celu<alpha = 2.0>(x)", 12, 11, {"Celu"}),
    "LayerNormalization": (
        X,
        "s = Constant<value = float[6] {1,2,3,4,5,6}>() y = LayerNormalization(x, s)",
        17,
        11,
        set(),
    ),
    "RMSNormalization": (
        X,
        "s = Constant<value = float[6] {1,2,3,4,5,6}>() y = RMSNormalization(x, s)",
        23,
        11,
        {"RMSNormalization"},
    ),
    "GroupNormalization": (
        IMAGE,
        """s = Constant<value = float[8] {1,2,3,4,5,6,7,8}>() b = Constant<value = float[8] {8,7,6,5,4,3,2,1}>()
        y = GroupNormalization<num_groups = 4>(x, s, b)""",
        21,
        13,
        {"GroupNormalization"},
    ),
    "Attention": (IMAGE, "y = Attention(x, x, x)", 23, 17, {"Attention"}),
    "Attention, causal": (IMAGE, "y = Attention<is_causal = 1>(x, x, x)", 24, 13, {"Attention"}),
    "Softmax of the last axis": (X, "y = Softmax(x)", 13, 11, {"Transpose"}),
    "Softmax of the last axis by number": (X, "y = Softmax<axis = 2>(x)", 13, 11, {"Transpose"}),
    "Softmax of another axis": (X, "y = Softmax<axis = 1>(x)", 13, 11, set()),
    "LogSoftmax of another axis": (X, "y = LogSoftmax<axis = 0>(x)", 17, 12, set()),
    "Hardmax": (X, "y = Hardmax<axis = -2>(x)", 13, 11, set()),
    "ReduceMean": (X, "a = Constant<value_ints = [1]>() y = ReduceMean(x, a)", 18, 11, set()),
    "ReduceMax of all": (X, "y = ReduceMax(x)", 20, 13, set()),
    "ReduceSum": (X, "a = Constant<value_ints = [0, 2]>() y = ReduceSum(x, a)", 13, 11, set()),
    "Squeeze and Unsqueeze": (
        X,
        "a = Constant<value_ints = [1]>() u = Unsqueeze(x, a) y = Squeeze(u, a)",
        13,
        11,
        set(),
    ),
    "Split evenly": (X, "p, q = Split<axis = 1, num_outputs = 2>(x) y = Add(p, q)", 18, 11, set()),
    "Split unevenly": (X, "p, q, r = Split<axis = 1, num_outputs = 3>(x) y = Concat<axis = 1>(r, q, p)", 18, 11, set()),
    "Split by lengths": (
        X,
        "l = Constant<value_ints = [2, 6]>() p, q = Split<axis = 1>(x, l) y = Concat<axis = 1>(q, p)",
        13,
        11,
        set(),
    ),
    "Pad some axes": (
        X,
        "p = Constant<value_ints = [1, 2, 0, 3]>() a = Constant<value_ints = [-1, 1]>() y = Pad(x, p, , a)",
        18,
        11,
        set(),
    ),
    "Resize some axes": (
        IMAGE,
        'f = Constant<value_floats = [2.0, 3.0]>() y = Resize<axes = [2, 3], mode = "linear">(x, , f)',
        18,
        11,
        set(),
    ),
    "Resize to sizes": (IMAGE, "z = Constant<value_ints = [2, 8, 9, 5]>() y = Resize(x, , , z)", 19, 11, set()),
    "Dropout": (X, "y = Dropout(x)", 13, 11, set()),
    "Dropout with a ratio": (X, "r = Constant<value_float = 0.3>() y = Dropout(x, r)", 13, 11, set()),
    "Shape in part": (
        X,
        "s = Shape<start = 1>(x) r = Expand(k, s) k = Constant<value_float = 2.0>() y = Mul(x, r)",
        15,
        11,
        set(),
    ),
    "Reshape": (X, "t = Constant<value_ints = [4, 4, 6]>() y = Reshape<allowzero = 1>(x, t)", 14, 13, set()),
    "Trilu": (X, "y = Trilu(x)", 14, 11, {"Trilu"}),
    "Trilu, lower": (X, "k = Constant<value_int = 1>() y = Trilu<upper = 0>(x, k)", 14, 13, {"Trilu"}),
    "Clip": (X, "l = Constant<value_float = -0.5>() y = Clip(x, l)", 13, 11, set()),
    "LessOrEqual": (
        X,
        "b = LessOrEqual(x, z) z = Constant<value_float = 0.1>() y = Where(b, x, z)",
        16,
        11,
        {"LessOrEqual"},
    ),
    "CastLike": (X, "k = CastLike(z, x) z = Constant<value_int = 3>() y = Add(x, k)", 15, 13, {"CastLike"}),
    "GridSample": (
        IMAGE,
        """g = Constant<value = float[1,1,2,2] {0.1,-0.3,0.7,0.2}>() e = Constant<value_ints = [2,1,2,2]>()
        h = Expand(g, e) y = GridSample<mode = "cubic">(x, h)""",
        20,
        16,
        set(),
    ),
    "QuantizeLinear": (
        X,
        """s = Constant<value = float {0.02}>() z = Constant<value = uint8 {128}>()
        q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)""",
        23,
        11,
        set(),
    ),
    "a branch": (
        X,
        """b = Constant<value = bool {1}>() y = If (b) <
            then_branch = t () => (float[2,8,6] u) { u = Gelu(x) },
            else_branch = e () => (float[2,8,6] v) { v = Mish(x) }
        >""",
        20,
        13,
        {"Gelu", "Mish"},
    ),
}
TOLD = {
    "no form": (
        IMAGE,
        "y = DeformConv(x, x, x)",
        19,
        18,
        "DeformConv y can't be said in opset 18: .*the lowest opset .* is 19$",
    ),
    "by channel": (
        X,
        """s = Constant<value = float[8] {1,1,1,1,1,1,1,1}>() z = Constant<value = uint8[8] {0,0,0,0,0,0,0,0}>()
        q = QuantizeLinear<axis = 1>(x, s, z) y = DequantizeLinear<axis = 1>(q, s, z)""",
        13,
        12,
        "QuantizeLinear q .*one scale.*is 13$",
    ),
    "an attribute": (
        IMAGE,
        "z = Constant<value_ints = [2, 8, 3, 3]>() y = Resize<antialias = 1>(x, , , z)",
        19,
        13,
        "no attribute antialias.*is 18$",
    ),
    "a word": (
        X,
        'p = Constant<value_ints = [1,1,1,1,1,1]>() y = Pad<mode = "wrap">(x, p)',
        19,
        18,
        "here wrap; .*is 19$",
    ),
    "axes that are computed": (
        X,
        "s = Size(x) a = Mod(s, t) t = Constant<value_ints = [3]>() y = ReduceMean(x, a)",
        18,
        17,
        "its axes must be constant.*is 18$",
    ),
    "too old": (X, "y = Relu(x)", 17, 10, "only to 11 or newer"),
    "a type": (
        X,
        "b = Cast<to = 9>(x) m = ReduceMax(b) y = Cast<to = 1>(m)",
        20,
        19,
        r"ReduceMax m .*takes no tensor\(bool\).*is 20$",
    ),
}


def all_operators(model: Model) -> set[str]:
    return {node.op_type for node in model.ir.graph.all_nodes()}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    signature, text, opset, wanted, gone = FORMS[name]
    model = build(f"{signature} {{ {text} }}", opset=opset, ir_version=10)
    before = model.to_proto().SerializeToString(deterministic=True)
    made, count = lower_opset(model, wanted, 7)
    assert (made.opset, made.ir_version, count) == (wanted, 7, opset - wanted + 3)
    assert model.to_proto().SerializeToString(deterministic=True) == before
    assert [tensor.name for tensor in made.outputs] == ["y"]
    assert not gone & all_operators(made)
    onnx.checker.check_model(made.to_proto(), full_check=True)
    feeds = {"x": noise(*SHAPES[signature])}
    np.testing.assert_allclose(run(made, feeds)["y"], run(model, feeds)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TOLD)
def test_told(name):
    signature, text, opset, wanted, words = TOLD[name]
    with pytest.raises(ModelError, match=words):
        lower_opset(build(f"{signature} {{ {text} }}", opset=opset), wanted)


def test_the_lowest_opset_that_is_said_is_possible():
    signature, text, opset, _, _ = TOLD["an attribute"]
    made, _ = lower_opset(build(f"{signature} {{ {text} }}", opset=opset), 18)
    assert made.opset == 18


@pytest.mark.parametrize("wanted", [13, 11])
@pytest.mark.parametrize("name", QUANTIZED)
def test_every_animal_of_the_zoo(name, wanted, tmp_path):
    case = CASES[name]
    model = Model.load(Model.from_proto(case.build()).save(tmp_path / "model.onnx"))
    try:
        made, count = lower_opset(model, wanted)
    except ModelError as error:
        assert name == "bfloat16 weights", error
        return
    assert (made is model) == (count == 0) == (model.opset <= wanted)
    assert [(t.name, t.dtype) for t in made.outputs] == [(t.name, t.dtype) for t in model.outputs]
    feeds = case.feed(0)
    expected = run(model, feeds)
    for output, got in run(made, feeds).items():
        floats = np.asarray(got).dtype.kind == "f"
        compare = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6) if floats else np.testing.assert_array_equal
        compare(got, expected[output])


def test_functions_are_inlined():
    function = '<opset_import: ["" : 20], domain: "mine"> Twice (a) => (c) { b = Gelu(a) c = Add(b, b) }'
    model = Model.from_proto(proto(f"{X} {{ y = mine.Twice(x) }}", opset=20, domains=["mine"], functions=[function]))
    made, _ = lower_opset(model, 13)
    assert "Twice" not in operators(made)
    feeds = {"x": noise(2, 8, 6)}
    np.testing.assert_allclose(run(made, feeds)["y"], run(model, feeds)["y"], rtol=1e-5, atol=1e-6)


def test_the_format_alone():
    model = build(f"{X} {{ y = Relu(x) }}", ir_version=10)
    made, count = lower_opset(model, ir_version=8)
    assert (made.opset, made.ir_version, count) == (17, 8, 2)
    assert lower_opset(made, 20, 9) == (made, 0)
