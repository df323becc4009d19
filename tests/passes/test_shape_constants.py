"""Shapes that are known become constants, and what is not known stays open: for other sizes, and for none."""

import numpy as np
import pytest

from edgeonnx.model import Model
from edgeonnx.optimize.passes.shape_constants import shape_constants
from tests.unit.models import build, noise, operators, run, weight

PICKED = """(float[N,S,64] x, float[N,S,64] z) => (float[a,b,c,d] y) {
    h = MatMul(x, w)
    s = Shape(h)
    i0 = Constant<value_int = 0>()
    i1 = Constant<value_int = 1>()
    n = Gather(s, i0)
    l = Gather(s, i1)
    zero = Constant<value_ints = [0]>()
    n1 = Unsqueeze(n, zero)
    l1 = Unsqueeze(l, zero)
    heads = Constant<value_ints = [4, 16]>()
    t = Concat<axis = 0>(n1, l1, heads)
    r = MatMul(h, v)
    y = Reshape(r, t)
}"""


def same(model, made, *feeds):
    for feed in feeds:
        for name, expected in run(model, feed, optimize=False).items():
            np.testing.assert_array_equal(run(made, feed, optimize=False)[name], expected)


def changed(text, **more):
    """A model and what the pass makes of it, its interface kept and the given model as it was."""
    model = build(text, **more)
    before = model.to_proto().SerializeToString(deterministic=True)
    made, count = shape_constants(model)
    assert count > 0
    assert (made.inputs, made.outputs) == (model.inputs, model.outputs)
    assert model.to_proto().SerializeToString(deterministic=True) == before
    assert shape_constants(made) == (made, 0)
    return model, made


def test_a_target_of_the_inputs_own_dimensions():
    """Zero copies a dimension; it holds for an empty batch too, which -1 would not."""
    model, made = changed(PICKED, w=weight(64, 64), v=weight(64, 64))
    assert operators(made) == ["MatMul", "MatMul", "Reshape"]
    (target,) = [value.const_value.numpy() for value in made.ir.graph.initializers.values() if value.shape == [4]]
    assert target.tolist() == [0, 0, 4, 16]
    same(model, made, *({"x": noise(n, s, 64), "z": noise(n, s, 64)} for n, s in [(2, 5), (1, 1), (0, 3), (3, 0)]))


def test_names_of_dimensions_are_not_believed():
    """Both dimensions are called N, and differ: only what comes from the same place is the same."""
    text = """(float[N,8] x, float[N,2] k) => (float[a,b] y) {
        s = Shape(k) i = Constant<value_ints = [0]>() n = Gather(s, i)
        m = Constant<value_ints = [-1]>() t = Concat<axis = 0>(n, m) y = Reshape(x, t)
    }"""
    model = build(text)
    assert shape_constants(model) == (model, 0)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("(float[2,3,4] x) => (int64[3] y) { s = Shape(x) y = Identity(s) }", ["Identity"]),
        ("(float[N,3,4] x) => (int64[2] y) { s = Shape<start = 1>(x) y = Identity(s) }", ["Identity"]),
        ("(float[N,3,4] x) => (int64[1] y) { s = Shape<start = -1>(x) y = Neg(s) }", ["Neg"]),
        ("(float[2,3,4] x) => (int64 y) { s = Size(x) y = Neg(s) }", ["Neg"]),
        ("(float[2,3,4] x) => (int32[3] y) { s = Shape(x) c = Cast<to = 6>(s) y = Neg(c) }", ["Neg"]),
        (
            """(float[N,3,4] x) => (int64[2] y) {
                s = Shape(x) a = Constant<value_ints = [1]>() b = Constant<value_ints = [3]>()
                c = Slice(s, a, b) y = Neg(c)
            }""",
            ["Neg"],
        ),
        (
            """(float[N,6,6] x) => (float[N,36] y) {
                s = Shape<end = 1>(x) m = Constant<value_ints = [-1]>() t = Concat<axis = 0>(s, m) y = Reshape(x, t)
            }""",
            ["Reshape"],
        ),
        (
            """(float[N,S,6] x) => (float[M,3] y) {
                s = Shape(x) i = Constant<value_ints = [0]>() j = Constant<value_ints = [1]>()
                n = Gather(s, i) m = Gather(s, j) k = Mul(n, m)
                c = Constant<value_ints = [3, 2]>() t = Concat<axis = 0>(k, c) r = Reshape(x, t)
                e = ReduceMean<axes = [2], keepdims = 0>(r) y = Identity(e)
            }""",
            ["Reshape", "ReduceMean", "Identity"],
        ),
    ],
)
def test_what_becomes_constant(text, left):
    model, made = changed(text)
    assert [op for op in operators(made) if op != "Constant"] == left
    for sizes in ({"N": 5, "S": 7}, {"N": 1, "S": 1}):
        same(model, made, {"x": noise(*(sizes.get(size, size) for size in model.inputs[0].shape))})


@pytest.mark.parametrize(
    "text",
    [
        # Two are open, and the other input's are not its own.
        """(float[N,S,8] x, float[A,B] k) => (float[a,b,c] y) {
            s = Shape(k) e = Constant<value_ints = [8]>() t = Concat<axis = 0>(s, e) y = Reshape(x, t)
        }""",
        # A zero and a -1 together would not hold for an empty tensor.
        """(float[N,S,8] x, float[A,2] k) => (float[a,b,c] y) {
            s = Shape<end = 1>(x) t2 = Shape<end = 1>(k) e = Constant<value_ints = [8]>()
            t = Concat<axis = 0>(s, t2, e) y = Reshape(x, t)
        }""",
        # With allowzero, zero is a size.
        """(float[N,S,8] x) => (float[a,b,c] y) {
            s = Shape<end = 2>(x) e = Constant<value_ints = [8]>() t = Concat<axis = 0>(s, e)
            y = Reshape<allowzero = 1>(x, t)
        }""",
        "(float[N,3] x) => (int64[2] y) { y = Shape(x) }",
        "(float[2,3] x) => (int64[2] y) { y = Shape(x) }",
        "(float[N] x) => (float[N] y) { y = Relu(x) }",
    ],
)
def test_what_stays(text):
    model = build(text)
    assert shape_constants(model) == (model, 0)


def test_a_size_below_zero_is_a_free_one():
    """Some exporters write -1; a Shape of it is not -1."""
    proto = build("(float[N,3] x) => (int64[2] y) { s = Shape(x) y = Neg(s) }").to_proto()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    model = Model.from_proto(proto)
    assert model.inputs[0].shape == (None, 3)
    assert shape_constants(model) == (model, 0)
