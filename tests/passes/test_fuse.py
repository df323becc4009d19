"""Formulas that become one operator: each way of writing them, and what is another formula."""

import math

import numpy as np
import pytest

from edgeonnx.optimize.passes.fuse_gelu import fuse_gelu
from edgeonnx.optimize.passes.fuse_hardsigmoid import fuse_hardsigmoid
from edgeonnx.optimize.passes.fuse_hardswish import fuse_hardswish
from edgeonnx.optimize.passes.fuse_layernorm import fuse_layernorm
from edgeonnx.optimize.passes.fuse_rmsnorm import fuse_rmsnorm
from edgeonnx.optimize.passes.matmul_add_to_gemm import matmul_add_to_gemm
from tests.passes.prove import graph, left, prove
from tests.unit.models import noise, operators, weight

F = np.float32
X = {"x": noise(3, 5, 8, scale=4.0)}


def rows(body, opset=20, **weights):
    constants = {"half": F(0.5), "one": F(1), "two": F(2), "three": F(3), "six": F(6), "zero": F(0)}
    return graph(f"(float[N,5,8] x) => (float y) {{ {body} }}", opset=opset, **{**constants, **weights})


ROOT = {"root": F(math.sqrt(2)), "inverse": F(1 / math.sqrt(2)), "quarter": F(0.25)}
TANH = {"c": F(0.044715), "k": F(math.sqrt(2 / math.pi)), "ck": F(0.044715 * math.sqrt(2 / math.pi))}


@pytest.mark.parametrize(
    "body",
    [
        "a = Div(x, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
        "a = Mul(x, inverse) e = Erf(a) s = Add(one, e) h = Mul(half, x) y = Mul(h, s)",
        "a = Div(x, root) e = Erf(a) h = Mul(e, half) s = Add(h, half) y = Mul(s, x)",
        "a = Div(x, root) e = Erf(a) s = Add(e, one) h = Div(s, two) y = Mul(x, h)",
        "a = Div(x, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Div(m, two)",
    ],
)
def test_gelu(body):
    assert left(fuse_gelu, rows(body, **ROOT), X) == ["Gelu"]


BELL = "d = Mul(k, b) t = Tanh(d)"


@pytest.mark.parametrize(
    "body",
    [
        f"p = Pow(x, three) a = Mul(c, p) b = Add(x, a) {BELL} s = Add(t, one) h = Mul(half, s) y = Mul(x, h)",
        f"p = Mul(x, x) q = Mul(p, x) a = Mul(q, c) b = Add(a, x) {BELL} s = Add(one, t) h = Div(s, two) y = Mul(h, x)",
        f"p = Mul(x, x) a = Mul(p, ck) b = Add(a, k) {BELL} s = Add(one, t) m = Mul(x, s) y = Div(m, two)".replace(
            "Mul(k, b)", "Mul(x, b)"
        ),
    ],
)
def test_gelu_by_tanh(body):
    made = prove(fuse_gelu, rows(body, **TANH), X)
    assert operators(made) == ["Gelu"]
    assert made.ir.graph[0].attributes["approximate"].as_string() == "tanh"


@pytest.mark.parametrize(
    "body",
    [
        "a = Div(x, two) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
        "a = Div(x, root) e = Erf(a) s = Add(e, two) m = Mul(x, s) y = Mul(m, half)",
        "a = Div(x, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, quarter)",
        "z = Neg(x) a = Div(z, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
        "a = Div(x, root) e = Tanh(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)",
    ],
)
def test_another_formula_than_gelu(body):
    model = rows(body, **ROOT)
    assert left(fuse_gelu, model, X) == operators(model)


def test_a_constant_that_widens():
    model = graph(
        "(float[3] x) => (float y) { a = Div(x, r) e = Erf(a) s = Add(e, o) m = Mul(x, s) y = Mul(m, h) }",
        opset=20,
        r=F(math.sqrt(2)),
        o=F(1),
        h=np.full((1, 1), 0.5, F),
    )
    assert left(fuse_gelu, model, {"x": noise(3)}) == operators(model)


def test_what_lies_between_is_read_too():
    text = "a = Div(x, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) g = Mul(m, half) y = Add(g, s)"
    model = rows(text, **ROOT)
    assert left(fuse_gelu, model, X) == operators(model)


def test_an_older_model_is_raised_only_where_that_is_allowed():
    model = rows("a = Div(x, root) e = Erf(a) s = Add(e, one) m = Mul(x, s) y = Mul(m, half)", opset=13, **ROOT)
    assert left(fuse_gelu, model, X) == operators(model)
    made = prove(lambda m: fuse_gelu(m, opset=22), model, X)
    assert (operators(made), made.opset) == (["Gelu"], 20)
    nothing = rows("y = Relu(x)", opset=13)
    assert prove(lambda m: fuse_gelu(m, opset=22), nothing, X).opset == 13


@pytest.mark.parametrize(
    "body",
    [
        "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(x, h)",
        "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) y = Mul(h, x)",
        "a = Add(x, three) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)",
        "a = Add(three, x) c = Clip(a, zero, six) d = Div(c, six) y = Mul(d, x)",
        "a = Add(x, three) c = Clip(a, zero, six) d = Mul(c, sixth) y = Mul(x, d)",
        "m = Mul(x, sixth) a = Add(m, half) c = Clip(a, zero, one) y = Mul(x, c)",
        "a = Add(x, three) c = Clip(a, zero, six) d = Div(x, six) y = Mul(c, d)",
    ],
)
def test_hard_swish(body):
    model = rows(body, opset=14, sixth=F(1 / 6))
    assert left(fuse_hardswish, model, X) == ["HardSwish"]


@pytest.mark.parametrize(
    "body",
    [
        "a = Add(x, three) c = Clip(a, zero, six) y = Div(c, six)",
        "m = Mul(x, two) a = Add(half, m) c = Clip(a, zero, three) y = Div(c, three)",
        "a = Add(x, three) c = Clip(a, zero, six) y = Mul(sixth, c)",
    ],
)
def test_hard_sigmoid(body):
    assert left(fuse_hardsigmoid, rows(body, sixth=F(1 / 6)), X) == ["HardSigmoid"]


@pytest.mark.parametrize(
    "body",
    [
        "h = HardSigmoid(x) y = Mul(x, h)",
        "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x) z = Relu(x) y = Mul(z, h)",
        "a = Add(x, two) c = Clip(a, zero, six) m = Mul(x, c) y = Div(m, six)",
        "a = Add(x, three) c = Clip(a, one, six) m = Mul(x, c) y = Div(m, six)",
        "a = Add(x, three) c = Clip(a, zero, six) y = Div(c, three)",
        "a = Add(x, three) c = Clip(a, zero, six) y = Div(three, c)",
        "s = Sigmoid(x) y = Mul(x, s)",
    ],
)
def test_another_formula_than_those(body):
    model = rows(body)
    assert left(fuse_hardswish, model, X) == operators(model)
    assert left(fuse_hardsigmoid, model, X) == operators(model)


def test_clip_with_attributes():
    text = "a = Add(x, three) c = Clip<min = 0.0, max = 6.0>(a) m = Mul(x, c) y = Div(m, six)"
    made = prove(lambda m: fuse_hardswish(m, opset=14), rows(text, opset=10), X)
    assert operators(made) == ["HardSwish"]
    bare = rows("c = Clip<min = 0.0, max = 6.0>(x) y = Div(c, six)", opset=10)
    assert left(fuse_hardsigmoid, bare, X) == ["HardSigmoid"]


PARTS = {"g": noise(8, seed=1), "b": noise(8, seed=2), "e": F(1e-5), "ax": np.array([-1])}
CENTRED = "m = ReduceMean(x, ax) d = Sub(x, m)"
SQUARED = "p = Mul(d, d) v = ReduceMean(p, ax) w = Add(v, e)"
TAIL = f"{SQUARED} s = Sqrt(w) n = Div(d, s) k = Mul(n, g) y = Add(k, b)"


def norms(body, opset=18, **weights):
    return rows(body, opset=opset, **{**PARTS, **weights})


@pytest.mark.parametrize(
    "body",
    [
        f"{CENTRED} {TAIL}",
        f"{CENTRED} {TAIL}".replace("Mul(d, d)", "Pow(d, two)"),
        f"{CENTRED} {SQUARED} s = Sqrt(w) r = Reciprocal(s) n = Mul(d, r) k = Mul(g, n) y = Add(b, k)",
        f"{CENTRED} {SQUARED} s = Sqrt(w) r = Div(one, s) k = Mul(r, g) n = Mul(d, k) y = Add(n, b)",
        f"{CENTRED} {SQUARED} s = Sqrt(w) n = Div(d, s) y = Mul(n, g)",
        f"{CENTRED} {SQUARED} s = Sqrt(w) y = Div(d, s)",
        f"{CENTRED} {SQUARED} s = Pow(w, half) n = Div(d, s) y = Mul(n, wide)",
    ],
)
def test_layer_normalization(body):
    assert left(fuse_layernorm, norms(body, wide=noise(1, 1, 8)), X) == ["LayerNormalization"]


def test_layer_normalization_over_two_axes_and_an_older_opset():
    text = f"{CENTRED} {TAIL}".replace("ReduceMean(x, ax)", "ReduceMean<axes = [1, 2]>(x)")
    text = text.replace("ReduceMean(p, ax)", "ReduceMean<axes = [-1, -2]>(p)")
    model = norms(text, opset=13, g=noise(5, 8, seed=1), b=noise(5, 8, seed=2))
    assert left(fuse_layernorm, model, X) == operators(model)
    assert left(lambda m: fuse_layernorm(m, opset=17), model, X) == ["LayerNormalization"]


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        (f"m = ReduceMean(x, other) d = Sub(x, m) {TAIL}", {}),
        (f"m = ReduceMean(x, ax) d = Sub(m, x) {TAIL}", {}),
        (f"m = ReduceMax(x, ax) d = Sub(x, m) {TAIL}", {}),
        (f"{CENTRED} {TAIL.replace('Mul(d, d)', 'Abs(d)')}", {}),
        (f"{CENTRED} {TAIL.replace('Mul(d, d)', 'Mul(x, x)')}", {}),
        (f"{CENTRED} {TAIL.replace('Add(v, e)', 'Sub(v, e)')}", {}),
    ],
)
def test_another_formula_than_layer_normalization(body, weights):
    model = norms(body, other=np.array([1]), **weights)
    assert left(fuse_layernorm, model, X) == operators(model)


def test_a_scale_along_other_axes_is_left_to_a_mul():
    model = norms(f"{CENTRED} {TAIL}", g=noise(5, 1))
    assert left(fuse_layernorm, model, X) == ["LayerNormalization", "Mul", "Add"]


def test_a_residual_sum_after_it_is_no_bias():
    body = f"{CENTRED} {TAIL.replace('b)', 'x)')}"
    assert left(fuse_layernorm, norms(body), X) == ["LayerNormalization", "Add"]


@pytest.mark.parametrize(
    "body",
    [
        "p = Pow(x, two) m = ReduceMean(p, ax) w = Add(m, e) s = Sqrt(w) r = Reciprocal(s) n = Mul(x, r) y = Mul(n, g)",
        "p = Mul(x, x) m = ReduceMean(p, ax) w = Add(m, e) s = Sqrt(w) n = Div(x, s) y = Mul(g, n)",
        "p = Mul(x, x) m = ReduceMean(p, ax) w = Add(m, e) s = Sqrt(w) y = Div(x, s)",
    ],
)
def test_root_mean_square_normalization(body):
    model = norms(body)
    assert left(fuse_layernorm, model, X) == operators(model)
    assert left(fuse_rmsnorm, model, X) == operators(model)
    assert left(lambda m: fuse_rmsnorm(m, opset=23), model, X) == ["RMSNormalization"]


@pytest.mark.parametrize(
    ("body", "weights", "found"),
    [
        ("a = MatMul(x, w) y = Add(a, b)", {"b": noise(4)}, ["Gemm"]),
        ("a = MatMul(x, w) y = Add(b, a)", {"b": noise(1, 4)}, ["Gemm"]),
        ("a = MatMul(x, w) y = Add(a, b)", {"b": F(2)}, ["Gemm"]),
        ("a = MatMul(x, w) y = Add(a, b)", {"b": noise(3, 4)}, ["MatMul", "Add"]),
        ("a = MatMul(x, w) y = Add(a, b)", {"b": noise(3, 1)}, ["MatMul", "Add"]),
        ("a = MatMul(x, w) y = Add(a, b)", {"b": noise(1, 1, 4)}, ["MatMul", "Add"]),
        ("a = MatMul(x, w) c = Add(a, b) y = Mul(a, c)", {"b": noise(4)}, ["MatMul", "Add", "Mul"]),
        ("a = MatMul(x, z) y = Add(a, b)", {"b": noise(1)}, ["MatMul", "Add"]),
    ],
)
def test_products_and_sums(body, weights, found):
    model = graph(f"(float[3,6] x) => (float y) {{ {body} }}", w=weight(6, 4), z=noise(6), **weights)
    assert left(matmul_add_to_gemm, model, {"x": noise(3, 6)}) == found


@pytest.mark.parametrize(("kind", "fused"), [(np.int8, False), (np.uint8, True)])
def test_int8_is_not_raised_beyond_what_onnxruntime_takes(kind, fused):
    body = """q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) t = Transpose<perm = [0,1,2]>(d)
        p = Mul(t, t) m = ReduceMean(p, i) a = Add(m, e) r = Sqrt(a) n = Div(t, r) y = Mul(n, w)"""
    model = rows(body, s=F(0.05), z=kind(0), e=F(1e-5), i=np.array([-1]), w=noise(8))
    made = left(lambda m: fuse_rmsnorm(m, opset=23), model, X)
    assert ("RMSNormalization" in made) is fused
