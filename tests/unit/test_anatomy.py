"""Operators, parameters and multiply-accumulates, against arithmetic done by hand."""

import numpy as np
import pytest
from models import build, convnet, noise, weight

from edgeonnx.anatomy import dissect
from edgeonnx.model import Model


@pytest.mark.parametrize(
    ("text", "weights", "macs"),
    [
        # 1 x 8 x 10 x 10 outputs, each of 3 x 3 x 3 products.
        ("(float[1,3,10,10] x) => (float[a,b,c,d] y) { y = Conv<pads=[1,1,1,1]>(x, w) }", {"w": (8, 3, 3, 3)}, 21600),
        # Strides: 5 x 5 outputs.
        (
            "(float[1,3,10,10] x) => (float[a,b,c,d] y) { y = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w) }",
            {"w": (8, 3, 3, 3)},
            8 * 5 * 5 * 27,
        ),
        # Two groups: each output reads 4 of the 8 channels.
        ("(float[1,8,6,6] x) => (float[a,b,c,d] y) { y = Conv<group=2>(x, w) }", {"w": (4, 4, 3, 3)}, 4 * 4 * 4 * 36),
        # Depthwise.
        ("(float[1,8,6,6] x) => (float[a,b,c,d] y) { y = Conv<group=8>(x, w) }", {"w": (8, 1, 3, 3)}, 8 * 4 * 4 * 9),
        # One dimension.
        ("(float[1,4,9] x) => (float[a,b,c] y) { y = Conv(x, w) }", {"w": (2, 4, 3)}, 2 * 7 * 12),
        # Every input element is multiplied with every weight of its channel.
        ("(float[1,3,4,4] x) => (float[a,b,c,d] y) { y = ConvTranspose(x, w) }", {"w": (3, 5, 2, 2)}, 48 * 20),
        (
            "(float[1,4,4,4] x) => (float[a,b,c,d] y) { y = ConvTranspose<group=2, strides=[2,2]>(x, w) }",
            {"w": (4, 3, 2, 2)},
            64 * 12,
        ),
        ("(float[2,5] x) => (float[a,b] y) { y = Gemm(x, w) }", {"w": (5, 7)}, 70),
        ("(float[2,5] x) => (float[a,b] y) { y = Gemm<transB=1>(x, w) }", {"w": (7, 5)}, 70),
        ("(float[5,2] x) => (float[a,b] y) { y = Gemm<transA=1>(x, w) }", {"w": (5, 7)}, 70),
        ("(float[2,5] x) => (float[a,b] y) { y = MatMul(x, w) }", {"w": (5, 7)}, 70),
        ("(float[4,3,2,5] x) => (float[a,b,c,d] y) { y = MatMul(x, w) }", {"w": (5, 7)}, 4 * 3 * 70),
        ("(float[5] x) => (float y) { y = MatMul(x, w) }", {"w": (5,)}, 5),
        # A free batch counts as one.
        ("(float[N,5] x) => (float[N,7] y) { y = MatMul(x, w) }", {"w": (5, 7)}, 35),
        # Nothing that multiplies and accumulates.
        ("(float[N,5] x) => (float[N,5] y) { y = Relu(x) }", {}, 0),
        # A shape that is computed from the input's own.
        (
            """(float[N,2,3] x) => (float[N,6] y) {
                s = Shape<start = 0, end = 1>(x)
                t = Concat<axis = 0>(s, m)
                f = Reshape(x, t)
                y = MatMul(f, w)
            }""",
            {"m": np.array([-1]), "w": (6, 4)},
            24,
        ),
        # A range that ends where the input does.
        (
            """(float[N,S,4] x) => (float[N,S,7] y) {
                s = Shape<start = 1, end = 2>(x)
                p = Slice(table, zero, s, zero)
                a = Add(x, p)
                y = MatMul(a, w)
            }""",
            {"table": (9, 4), "zero": np.array([0]), "w": (4, 7)},
            28,
        ),
        # Three steps; each of 5 hidden channels has four gates, each of which reads 4 inputs and 5 hidden channels.
        (
            "(float[3,1,4] x) => (float[a,b,c,d] y) { y = LSTM<hidden_size=5>(x, w, r) }",
            {"w": (1, 20, 4), "r": (1, 20, 5)},
            540,
        ),
        # Both directions, three gates; the sequence itself is not asked for.
        (
            """(float[3,2,4] x) => (float[a,b,c] h) {
                _, h = GRU<hidden_size = 5, direction = "bidirectional">(x, w, r)
            }""",
            {"w": (2, 15, 4), "r": (2, 15, 5)},
            3 * 2 * 2 * 15 * 9,
        ),
    ],
)
def test_macs(text, weights, macs):
    arrays = {name: value if isinstance(value, np.ndarray) else weight(*value) for name, value in weights.items()}
    anatomy = dissect(build(text, **arrays))
    assert anatomy.macs == macs
    assert anatomy.parameters == sum(array.size for array in arrays.values())


def test_macs_unknown_where_a_shape_depends_on_values():
    text = "(float[2,6] x, int64[2] s) => (float[a,b] y) { r = Reshape(x, s) y = MatMul(r, w) }"
    assert dissect(build(text, w=weight(3, 4))).macs is None
    text = "(float x) => (float y) { y = MatMul(x, w) }"
    model = build(text, w=weight(3, 4))
    model.ir.graph.inputs[0].shape = None
    assert dissect(model).macs is None


def test_the_convnet_and_that_looking_changes_nothing():
    model = Model.from_proto(convnet())
    before = model.to_proto().SerializeToString(deterministic=True)
    anatomy = dissect(model)
    assert anatomy.macs == 144 * 16 * 72 + 144 * 16 * 9 + 16 * 5
    assert next(iter(anatomy.operators.items())) == ("Conv", 2)  # the most frequent first
    assert anatomy.parameters == 16 * 8 * 9 + 16 + 16 * 9 + 16 + 2 + 80 + 5
    assert anatomy.domains == {""}
    assert anatomy.uncounted == ()
    assert model.to_proto().SerializeToString(deterministic=True) == before


def test_subgraphs_functions_and_domains():
    text = """(float[2,4] x, bool c) => (float[2,4] y) {
        k = Constant<value = float[4] {1, 2, 3, 4}>()
        h = my.twice(x)
        g = com.microsoft.Gelu(h)
        y = If(c) <
            then_branch = t () => (float[2,4] a) { a = Add(g, k) },
            else_branch = e () => (float[2,4] b) { m = MatMul(g, w) b = Neg(m) }
        >
    }"""
    twice = '<domain: "my", opset_import: ["" : 17]> twice (a) => (b) { t = Relu(a) b = Add(t, t) }'
    anatomy = dissect(build(text, domains=["my", "com.microsoft"], functions=[twice], w=noise(4, 4)))
    assert anatomy.operators == {
        **{"Add": 2, "Constant": 1, "If": 1, "MatMul": 1, "Neg": 1, "Relu": 1},
        **{"my::twice": 1, "com.microsoft::Gelu": 1},
    }
    assert anatomy.domains == {"", "com.microsoft"}  # `my` is the domain of its own function
    assert anatomy.parameters == 16 + 4
    assert anatomy.macs == 0  # those of the main graph


def test_arithmetic_that_is_not_counted_is_named():
    text = '(float[3,4] x) => (float[3,5] y) { y = Einsum<equation = "ab,bd,dc->ac">(x, v, w) }'
    anatomy = dissect(build(text, v=noise(4, 6), w=noise(6, 5)))
    assert anatomy.uncounted == ("Einsum",)


@pytest.mark.parametrize("equation", ["ab,bc->ac", "...b,bc->...c", "...b,bc", "ab, bc"])
def test_products_of_two_by_einsum_are_counted(equation):
    text = f'(float[3,4] x) => (float[3,5] y) {{ y = Einsum<equation = "{equation}">(x, w) }}'
    anatomy = dissect(build(text, w=noise(4, 5)))
    assert (anatomy.macs, anatomy.uncounted) == (3 * 4 * 5, ())
