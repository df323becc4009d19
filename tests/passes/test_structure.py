"""Passes that take out what is not needed: each on what it is for, and on what looks like it and is not."""

import numpy as np
import onnx
import pytest

from edgeonnx.model import Model
from edgeonnx.optimize.passes.cancel_pairs import cancel_pairs
from edgeonnx.optimize.passes.clear_notes import clear_notes
from edgeonnx.optimize.passes.deduplicate import deduplicate
from edgeonnx.optimize.passes.fold_constants import fold_constants
from edgeonnx.optimize.passes.inline_functions import inline_functions
from edgeonnx.optimize.passes.lift_constants import lift_constants
from edgeonnx.optimize.passes.remove_dead import remove_dead
from edgeonnx.optimize.passes.remove_identities import remove_identities
from tests.passes.prove import graph, left, prove
from tests.unit.models import noise, operators, proto, weight

X = {"x": noise(2, 3, 4)}
INTS = np.array


def one(body, opset=17, kind="float[2,3,4]", out="float", **weights):
    """A model of the input x and the output y, around a body."""
    return graph(f"({kind} x) => ({out} y) {{ {body} }}", opset=opset, **weights)


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Identity(x) y = Relu(a)", {}),
        ("a = Relu(x) y = Identity(a)", {}),
        ("a = Cast<to = 1>(x) y = Relu(a)", {}),
        ("a = CastLike(x, x) y = Relu(a)", {}),
        ("a = Transpose<perm = [0, 1, 2]>(x) y = Relu(a)", {}),
        ("a = Reshape(x, s) y = Relu(a)", {"s": INTS([2, -1, 4])}),
        ("a = Expand(x, s) y = Relu(a)", {"s": INTS([1, 3, 1])}),
        ("a = Tile(x, s) y = Relu(a)", {"s": INTS([1, 1, 1])}),
        ("a = Flatten<axis = 1>(x) b = Flatten(a) y = Reshape(b, s)", {"s": INTS([2, 12])}),
        ("a = Dropout(x) y = Relu(a)", {}),
        ("a = Dropout(x, r, t) y = Relu(a)", {"r": np.float32(0.5), "t": np.bool_(False)}),
        ("a = Pad(x, p) y = Relu(a)", {"p": INTS([0] * 6)}),
        ("a = Slice(x, b, e) y = Relu(a)", {"b": INTS([0, 0, 0]), "e": INTS([9, 9, 9])}),
        ("a = Concat<axis = 1>(x) y = Relu(a)", {}),
        ("a = Sum(x) y = Relu(a)", {}),
        ("a = Add(x, o) y = Relu(a)", {"o": np.zeros((1, 1), np.float32)}),
        ("a = Add(o, x) y = Relu(a)", {"o": np.zeros((3, 4), np.float32)}),
        ("a = Mul(x, o) y = Relu(a)", {"o": np.float32(1)}),
        ("a = Div(x, o) y = Relu(a)", {"o": np.float32(1)}),
        ("a = Pow(x, o) y = Relu(a)", {"o": np.float32(1)}),
        ("a = Sub(x, o) y = Relu(a)", {"o": np.zeros(4, np.float32)}),
    ],
)
def test_an_identity_goes(body, weights):
    assert len(left(remove_identities, one(body, **weights), X)) == 1


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Transpose<perm = [0, 2, 1]>(x) y = Relu(a)", {}),
        ("a = Transpose(x) y = Relu(a)", {}),
        ("a = Reshape(x, s) y = Relu(a)", {"s": INTS([3, 2, 4])}),
        ("a = Expand(x, s) y = Relu(a)", {"s": INTS([2, 2, 3, 4])}),
        ("a = Slice(x, b, e, c, t) y = Relu(a)", {"b": INTS([2]), "e": INTS([-9]), "c": INTS([1]), "t": INTS([-1])}),
        ("a = Sub(o, x) y = Relu(a)", {"o": np.zeros(4, np.float32)}),
        ("a = Div(o, x) y = Relu(a)", {"o": np.float32(1)}),
        ("a = Add(x, o) y = Relu(a)", {"o": np.zeros((2, 2, 3, 4), np.float32)}),
        ("a = Mul(x, o) y = Relu(a)", {"o": np.ones((1, 1, 1, 1), np.float32)}),
        ("a = Cast<to = 11>(x) b = Relu(a) y = Cast<to = 1>(b)", {}),
        ("a, m = Dropout(x) b = Cast<to = 1>(m) y = Mul(a, b)", {}),
        ("a = Pad(x, p) y = Relu(a)", {"p": INTS([0, 0, 1, 0, 0, -1])}),
        ("y = Identity(x)", {}),
    ],
)
def test_what_only_looks_like_an_identity_stays(body, weights):
    model = one(body, **weights)
    assert left(remove_identities, model, X) == operators(model)


def test_a_free_dimension_may_be_one():
    """A constant that is no wider than what is known may still widen it."""
    model = graph(
        "(float[N,4] x, float[3,4] z) => (float y) { a = Add(x, o) y = Add(a, z) }", o=np.zeros((3, 4), np.float32)
    )
    assert len(left(remove_identities, model, {"x": noise(1, 4), "z": noise(3, 4)})) == 2


@pytest.mark.parametrize(
    ("body", "weights", "operators"),
    [
        ("a = Transpose<perm = [0, 2, 1]>(x) y = Transpose<perm = [2, 0, 1]>(a)", {}, ["Transpose"]),
        ("a = Reshape(x, s) y = Reshape(a, t)", {"s": INTS([6, 4]), "t": INTS([-1, 12])}, ["Reshape"]),
        ("a = Reshape(x, s) y = Reshape(a, t)", {"s": INTS([6, 4]), "t": INTS([0, 2, 2])}, ["Reshape"]),
        ("a = Unsqueeze(x, s) y = Squeeze(a, s)", {"s": INTS([1])}, ["Reshape"]),
        ("r = Relu(x) a = Unsqueeze(r, s) y = Squeeze(a, s)", {"s": INTS([1])}, ["Relu"]),
        (
            "r = Relu(x) a = Unsqueeze(r, s) y = Squeeze(a, t)",
            {"s": INTS([0, 2]), "t": INTS([2, 0])},
            ["Relu", "Reshape"],
        ),
        (
            "u = Unsqueeze(x, s) r = Relu(u) a = Transpose<perm = [0,2,3,1]>(r) y = Reshape(a, t)",
            {"s": INTS([1]), "t": INTS([-1])},
            ["Unsqueeze", "Relu", "Reshape"],
        ),
        ("a = Unsqueeze(x, s) y = Transpose<perm = [0,2,3,1]>(a)", {"s": INTS([1])}, ["Reshape"]),
        (
            "u = Unsqueeze(x, s) r = Relu(u) a = Transpose<perm = [0,1,3,2]>(r) y = Reshape(a, t)",
            {"s": INTS([1]), "t": INTS([-1])},
            ["Unsqueeze", "Relu", "Transpose", "Reshape"],
        ),
        ("a = Flatten(x) y = Unsqueeze(a, s)", {"s": INTS([0])}, ["Reshape"]),
        ("a = Cast<to = 11>(x) y = Cast<to = 10>(a)", {}, ["Cast"]),
        ("a = Relu(x) y = Relu(a)", {}, ["Relu"]),
        ("a = Relu(x) y = Clip(a, l, h)", {"l": np.float32(0), "h": np.float32(1)}, ["Clip"]),
        ("a = Clip(x, l, h) y = Relu(a)", {"l": np.float32(0.5), "h": np.float32(1)}, ["Clip"]),
        ("a = Clip(x, l) y = Clip(a, m)", {"l": np.float32(-1), "m": np.float32(0)}, ["Clip"]),
        # and these stay
        ("a = Cast<to = 10>(x) y = Cast<to = 1>(a)", {}, ["Cast", "Cast"]),
        ("a = Cast<to = 6>(x) y = Cast<to = 1>(a)", {}, ["Cast", "Cast"]),
        ("a = Relu(x) y = Clip(a, l, h)", {"l": np.float32(-1), "h": np.float32(1)}, ["Relu", "Clip"]),
        ("a = Relu(x) b = Clip(a, l, h) y = Add(a, b)", {"l": np.float32(0), "h": np.float32(1)}, None),
    ],
)
def test_pairs(body, weights, operators):
    out = "float16" if "to = 10>(a)" in body else "float"
    found = left(cancel_pairs, one(body, out=out, **weights), X)
    assert found == (operators or ["Relu", "Clip", "Add"])


def test_pairs_of_free_sizes():
    model = graph(
        "(float[N,3,4] x) => (float y) { a = Flatten(x) b = Unsqueeze(a, s) y = Relu(b) }", s=INTS([0]), opset=13
    )
    assert left(cancel_pairs, model, {"x": noise(5, 3, 4)}) == ["Reshape", "Relu"]


def test_what_others_read_too_stays():
    model = one("a = Transpose<perm = [0, 2, 1]>(x) b = Relu(a) c = Transpose<perm = [0, 2, 1]>(a) y = Mul(c, x)")
    made = prove(cancel_pairs, build_outputs(model, "b"), X)
    assert [tensor.name for tensor in made.outputs] == ["y", "b"]


def build_outputs(model: Model, *names: str) -> Model:
    """The model with more of its tensors as outputs."""
    made = model.to_proto()
    made.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    return Model.from_proto(made)


def test_constants_are_computed():
    model = one(
        """a = Shape(w) b = Cast<to = 1>(a) c = ReduceSum<keepdims = 0>(b)
        d = Transpose(w) e = Mul(d, c) y = MatMul(x, e)""",
        w=weight(4, 4),
    )
    assert left(fold_constants, model, X) == ["MatMul"]


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("q = DequantizeLinear(w, s) y = MatMul(x, q)", {"w": np.arange(16, dtype=np.int8).reshape(4, 4)}),
        ("q = QuantizeLinear(v, s, z) d = DequantizeLinear(q, s, z) y = MatMul(x, d)", {"v": weight(4, 4)}),
        ("m = ConstantOfShape(n) r = ReduceSum<keepdims = 0>(m) y = Mul(x, r)", {"n": INTS([400, 400])}),
        ("m = Expand(s, n) r = ReduceSum<keepdims = 0>(m) y = Mul(x, r)", {"n": INTS([400, 400])}),
    ],
)
def test_integer_weights_and_what_grows_stay(body, weights):
    model = one(body, s=np.float32(0.1), z=np.int8(0), **weights)
    assert left(fold_constants, model, X) == operators(model)


def test_random_constants_stay():
    model = one(
        "r = RandomNormal<shape = [4], seed = 1.0>() m = RandomUniformLike(w) s = Add(r, m) y = Add(x, s)", w=noise(4)
    )
    assert left(fold_constants, model) == ["RandomNormal", "RandomUniformLike", "Add", "Add"]


@pytest.mark.parametrize("taken", [True, False])
def test_a_branch_that_is_always_taken(taken):
    model = one(
        """h = Relu(x)
        k = If(c) <then_branch = t () => (float[2,3,4] a) { a = Mul(h, w) },
                   else_branch = e () => (float[2,3,4] b) { o = Neg(h) b = Add(o, w) }>
        y = Exp(k)""",
        c=np.bool_(taken),
        w=noise(4),
    )
    expected = ["Relu", "Mul", "Exp"] if taken else ["Relu", "Neg", "Add", "Exp"]
    assert left(fold_constants, model, X) == expected


def test_branches_whose_tensors_have_the_same_names():
    """Each was a scope of its own."""

    def branches(number):
        taken = f"k = Constant<value_float = {number}>() o = Mul(x, k) a = Exp(o)"
        return f"""If(c) <then_branch = t () => (float[2,3,4] a) {{ {taken} }},
                         else_branch = e () => (float[2,3,4] a) {{ a = Neg(x) }}>"""

    def both(given):
        lifted, some = lift_constants(given)
        folded, more = fold_constants(lifted)
        return folded, some + more

    model = one(f"u = {branches(2.0)} v = {branches(3.0)} y = Add(u, v)", c=np.bool_(True))
    assert left(both, model, X) == ["Mul", "Exp", "Mul", "Exp", "Add"]


def test_names_that_are_taken():
    """What a pass adds is named after what is there; the file may have such a name already."""
    text = """(float[2,3,4] x, float[1] z) => (float y) {
        a = Unsqueeze(x, n) b = Flatten(a) c = Add(b, z) y = Relu(c)
    }"""
    model = graph(text, n=INTS([0]))
    model.ir.graph.inputs[1].name = "b.shape"
    assert left(cancel_pairs, model, {**X, "b.shape": noise(1)}) == ["Reshape", "Add", "Relu"]


def test_constants_in_a_branch_are_computed():
    model = graph(
        """(float[2,4] x, bool c) => (float y) {
            y = If(c) <then_branch = t () => (float[2,4] a) { u = Neg(w) a = Mul(x, u) },
                       else_branch = e () => (float[2,4] b) { b = Neg(x) }>
        }""",
        w=noise(4),
    )
    feeds = [{"x": noise(2, 4), "c": np.array(taken)} for taken in (True, False)]
    made = prove(fold_constants, model, *feeds)
    assert [node.op_type for node in made.ir.graph.all_nodes()].count("Neg") == 1


def test_equal_nodes_and_weights_become_one():
    model = one(
        "a = MatMul(x, v) b = MatMul(x, w) c = Relu(a) d = Relu(b) y = Add(c, d)", v=weight(4, 4), w=weight(4, 4)
    )
    first = prove(deduplicate, model, X)
    assert len(first.ir.graph.initializers) == 1
    assert operators(first) == ["MatMul", "Relu", "Add"]


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) b = LeakyRelu(x) y = Add(a, b)",
        "a = LeakyRelu<alpha = 0.1>(x) b = LeakyRelu<alpha = 0.2>(x) y = Add(a, b)",
        "a = LeakyRelu<alpha = 0.0>(x) b = LeakyRelu<alpha = -0.0>(x) c = Div(o, a) d = Div(o, b) y = Max(c, d)",
        "a = Sub(x, o) b = Sub(o, x) y = Max(a, b)",
        "a = Add(x, o) b = Add(x, p) c = Div(x, a) d = Div(x, b) y = Max(c, d)",
        "a = DequantizeLinear(q, s) b = DequantizeLinear(q, s) c = MatMul(x, a) y = MatMul(c, b)",
    ],
)
def test_what_differs_stays_apart(body):
    model = one(
        body, o=np.float32(0), p=np.float32(-0.0), q=np.arange(16, dtype=np.int8).reshape(4, 4), s=np.float32(0.01)
    )
    assert left(deduplicate, model, X) == operators(model)


def test_random_nodes_stay_apart():
    model = one("a = RandomNormalLike(x) b = RandomNormalLike(x) y = Sub(a, b)")
    assert left(deduplicate, model) == operators(model)


def test_an_optional_result_that_is_left_out_is_not_read():
    """MaxPool's second result stands only where it is named."""
    text = """(float[1,2,4,4] x) => (float y, int64 i) {
        y = MaxPool<kernel_shape = [2, 2]>(x) z, i = MaxPool<kernel_shape = [2, 2]>(x)
    }"""
    assert left(deduplicate, graph(text), {"x": noise(1, 2, 4, 4)}) == ["MaxPool", "MaxPool"]


def test_an_output_that_equals_another_keeps_its_name():
    model = build_outputs(one("a = Relu(x) b = Relu(x) y = Neg(a)"), "a", "b")
    made = prove(deduplicate, model, X)
    assert [tensor.name for tensor in made.outputs] == ["y", "a", "b"]


def test_dead_things_go():
    text = (
        "(float[2,4] x) => (float y) { a = Relu(x) b = Neg(a) c, d = Split<axis = 1>(b) y = Exp(x) m, i = TopK(x, k) }"
    )
    model = graph(text, k=INTS([1]), unused=noise(3), domains=["com.example"])
    made = prove(remove_dead, model, {"x": noise(2, 4)})
    assert operators(made) == ["Exp"]
    assert not made.ir.graph.initializers
    assert set(made.ir.opset_imports) == {""}


def test_constants_are_in_one_place():
    inner = "a = Constant<value_float = 2.0>() b = Constant<value = float[1] {1.0}>() c = Mul(x, a) y = Add(c, b)"
    assert left(lift_constants, one(inner), X) == ["Mul", "Add"]


def test_weights_are_no_inputs():
    model = proto("(float[2,4] x, float[4,4] w) => (float y) { y = MatMul(x, w) }", w=weight(4, 4), ir_version=3)
    made = prove(lift_constants, Model.from_proto(model), {"x": noise(2, 4)})
    assert [value.name for value in made.ir.graph.inputs] == ["x"]
    assert made.ir_version >= 4


def test_functions_are_inlined():
    model = graph(
        "(float[2,4] x) => (float y) { h = my.twice(x) y = my.twice(h) }",
        domains=["my"],
        functions=['<domain: "my", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }'],
    )
    assert left(inline_functions, model, {"x": noise(2, 4)}) == ["Add", "Add"]


def test_notes_go_and_the_models_own_stay():
    model = one("a = Relu(x) y = Neg(a)")
    node = model.ir.graph[0]
    node.doc_string, node.metadata_props["trace"] = "where", "File model.py, line 3"
    model = model.with_record({"made": "here"})
    made = prove(clear_notes, model, X)
    assert made.ir.graph[0].doc_string is None
    assert not made.ir.graph[0].metadata_props
    assert made.record == {"made": "here"}
