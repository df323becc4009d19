"""Scales, shifts and padding that go into layers: each kind of layer, each form of constant, and what must not."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeonnx.optimize.passes.fold_affine import fold_affine
from edgeonnx.optimize.passes.fold_pads import fold_pads
from edgeonnx.optimize.passes.remove_identities import remove_identities
from tests.passes.prove import graph, left, prove
from tests.unit.models import noise, operators, weight

IMAGE = {"x": noise(2, 6, 8, 8)}
NORM = {
    "g": noise(4, seed=1) + np.float32(1.5),
    "b": noise(4, seed=2),
    "m": noise(4, seed=3),
    "v": noise(4, seed=4) ** 2 + np.float32(0.1),
}
CONV = "Conv<pads = [1,1,1,1]>(x, w)"
GROUPED = "Conv<group = 2, strides = [2,2]>(x, wg, b)"
TURNED = "ConvTranspose<group = 2, strides = [2,2]>(x, wt, b)"
LAYERS = {CONV: 1, GROUPED: 1, TURNED: 1}
WEIGHTS = {"w": weight(4, 6, 3, 3), "wg": weight(4, 3, 3, 3), "wt": weight(6, 2, 3, 3), **NORM}


def image(body, opset=17, **weights):
    return graph(f"(float[2,6,8,8] x) => (float y) {{ {body} }}", opset=opset, **{**WEIGHTS, **weights})


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "body",
    [
        "y = BatchNormalization(a, g, b, m, v)",
        "y = Mul(a, s)",
        "y = Mul(s, a)",
        "y = Div(a, s)",
        "y = Add(a, s)",
        "y = Sub(s, a)",
        "y = Sub(a, f)",
        "c = Mul(a, f) d = Add(c, s) e = BatchNormalization(d, g, b, m, v) y = Relu(e)",
    ],
)
def test_after_a_convolution(layer, body):
    model = image(f"a = {layer} {body}", s=noise(1, 4, 1, 1, seed=7) + np.float32(2), f=np.float32(1.7))
    assert len(left(fold_affine, model, IMAGE)) == 1 + ("Relu" in body)


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("a = Conv(x, w) y = Mul(a, s)", {"s": noise(4, 1, 6)}),
        ("a = Conv(x, w) y = Mul(a, s)", {"s": noise(6)}),
        ("a = Conv(x, w) y = Mul(a, s)", {"s": noise(2, 1, 1, 1)}),
        ("a = Conv(x, w) y = Add(a, s)", {"s": noise(3, 1, 4, 1, 1)}),
        ("a = Conv(x, w) y = Div(s, a)", {"s": np.float32(2)}),
        ("a = Conv(x, w) y = Div(a, s)", {"s": np.zeros(1, np.float32)}),
        ("a = Conv(x, w) c = Mul(a, s) y = Add(a, c)", {"s": np.float32(2)}),
        ("a = Conv(x, w) y = Mul(a, a)", {}),
        ("a = Conv(x, w) y = Mul(a, s)", {"s": np.full((4, 1, 1), 3e38, np.float32), "w": weight(4, 6, 3, 3) * 9}),
        ("a = Conv(x, w) z = Conv(x, w) c = Mul(a, s) y = Add(z, c)", {"s": np.float32(2)}),
        ("y, rm, rv = BatchNormalization<training_mode = 1>(a, g, b, m, v) a = Conv(x, w)", {}),
    ],
)
def test_what_stays_after_a_convolution(body, weights):
    model = image(body, **weights)
    assert left(fold_affine, model) == operators(model)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("n = BatchNormalization(x, G, B, M, V) y = Conv(n, w)", 1),
        ("n = BatchNormalization(x, G, B, M, V) y = Conv<group = 2>(n, wg, b)", 1),
        ("n = Mul(x, S) y = Conv<pads = [1,1,1,1]>(n, w)", 1),
        ("n = Sub(x, S) y = Conv(n, w)", 1),
        ('n = Div(x, f) y = Conv<auto_pad = "SAME_UPPER">(n, w)', 1),
        # zeros that the layer adds are not shifted
        ("n = Sub(x, S) y = Conv<pads = [0,1,0,0]>(n, w)", 2),
        ('n = Sub(x, S) y = Conv<auto_pad = "SAME_UPPER">(n, w)', 2),
        ("n = Sub(f, x) c = Conv(n, w) d = Relu(n) e = Conv(d, w) y = Add(c, e)", 5),
    ],
)
def test_before_a_convolution(body, count):
    parts = {name.upper(): np.resize(array, 6) for name, array in NORM.items()}
    model = image(body, S=noise(6, 1, 1, seed=5), f=np.float32(3), **parts)
    assert len(left(fold_affine, model, IMAGE)) == count


def test_a_free_channel_is_not_widened():
    """Before the layer a constant may be what makes the channels many."""
    model = graph(
        "(float[N,C,8,8] x) => (float y) { n = Mul(x, s) y = Conv(n, w) }", s=noise(6, 1, 1), w=weight(4, 6, 3, 3)
    )
    assert len(left(fold_affine, model, {"x": noise(1, 1, 8, 8)}, {"x": noise(1, 6, 8, 8)})) == 2


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("a = Gemm(x, w) y = Mul(a, s)", 1),
        ("a = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(x, t, c) b = Sub(a, s) y = Div(b, r)", 1),
        ("a = Gemm(x, w, r) y = Add(a, s)", 1),
        ("a = Gemm(x, w) y = BatchNormalization(a, s, s, s, v)", 1),
        ("a = MatMul(x, w) y = Mul(a, s)", 1),
        ("a = MatMul(x, w) y = Div(a, f)", 1),
        ("a = Add(x, p) y = Gemm(a, w, s)", 1),
        ("a = Mul(x, p) b = Sub(a, p) y = Gemm<transB = 1, alpha = 0.5>(b, t)", 1),
        # MatMul has no bias; this C is a matrix; this A is read across
        ("a = MatMul(x, w) y = Add(a, s)", 2),
        ("a = Gemm(x, w, z) y = Add(a, s)", 2),
        ("a = Add(x, q) y = Gemm<transA = 1>(a, u)", 2),
    ],
)
def test_around_matrices(body, count):
    model = graph(
        f"(float[5,6] x) => (float y) {{ {body} }}",
        w=weight(6, 4),
        t=weight(4, 6),
        u=weight(5, 4),
        s=noise(4) + np.float32(3),
        v=noise(4) ** 2 + np.float32(0.1),
        r=noise(1, 4) + np.float32(3),
        f=np.float32(8),
        c=noise(1, seed=9),
        z=noise(5, 4),
        p=noise(6),
        q=noise(6),
    )
    assert len(left(fold_affine, model, {"x": noise(5, 6)})) == count


def test_integer_weights_stay():
    model = image(
        "d = DequantizeLinear(q, f) a = Conv(x, d) y = Mul(a, f)",
        q=np.arange(216, dtype=np.int8).reshape(4, 6, 3, 3),
        f=np.float32(0.1),
    )
    assert left(fold_affine, model, IMAGE) == operators(model)


def test_weights_in_float16():
    half = np.float16
    model = graph(
        "(float16[2,6,8,8] x) => (float16 y) { a = Conv(x, w) y = Mul(a, s) }",
        w=weight(4, 6, 3, 3).astype(half),
        s=np.full((4, 1, 1), 1.5, half),
    )
    assert len(left(fold_affine, model, {"x": noise(2, 6, 8, 8).astype(half)}, within=2e-3)) == 1


CHAINED = ["Conv(n, w)", "Conv<pads = [1,1,1,1]>(n, w)", "Conv<group = 2>(n, wg, b)", TURNED.replace("x", "n")]
FORMS = ["Mul({0}, {1})", "Mul({1}, {0})", "Add({0}, {1})", "Sub({0}, {1})", "Sub({1}, {0})", "Div({0}, {1})"]


@st.composite
def chains(draw):
    """Scales and shifts before and after a layer."""
    weights = {}

    def steps(source: str, result: str, channels: int) -> str:
        names, lines = [source], []
        for _ in range(draw(st.integers(0, 3))):
            shape = draw(st.sampled_from([(), (1,), (channels, 1, 1), (1, channels, 1, 1), (1, 1, 1, 1)]))
            number = len(weights)
            weights[f"k{number}"] = noise(*shape, seed=number) * np.float32(0.3) + np.float32(1.5)
            lines.append(f"o{number} = {draw(st.sampled_from(FORMS)).format(names[-1], f'k{number}')}")
            names.append(f"o{number}")
        return " ".join([*lines, f"{result} = Identity({names[-1]})"])

    body = f"{steps('x', 'n', 6)} l = {draw(st.sampled_from(CHAINED))} {steps('l', 'y', 4)}"
    return image(body, **weights)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(chains())
def test_any_chain(model):
    """Whatever is folded, the outputs stay."""
    bare = prove(remove_identities, model, IMAGE)
    made = prove(fold_affine, bare, IMAGE)
    assert len(made.ir.graph) <= len(bare.ir.graph)


@pytest.mark.parametrize(
    ("body", "weights", "count"),
    [
        ("p = Pad(x, s) y = Conv(p, w)", {}, 1),
        ("p = Pad(x, s, z) y = Conv<pads = [1,0,0,1]>(p, w)", {}, 1),
        ('p = Pad(x, s) y = Conv<auto_pad = "VALID">(p, w)', {}, 1),
        ("p = Pad(x, s) y = AveragePool<kernel_shape = [3,3]>(p)", {}, 1),
        ("p = Pad(x, s, l) y = MaxPool<kernel_shape = [3,3]>(p)", {}, 1),
        ("r = Relu(x) p = Pad(r, s) y = MaxPool<kernel_shape = [3,3], strides = [2,2]>(p)", {}, 2),
        # these mean something else
        ('p = Pad<mode = "reflect">(x, s) y = Conv(p, w)', {}, 2),
        ("p = Pad(x, s, o) y = Conv(p, w)", {}, 2),
        ("p = Pad(x, c) y = Conv(p, w)", {"w": weight(4, 7, 3, 3)}, 2),
        ("p = Pad(x, t) y = Conv(p, w)", {}, 2),
        ('p = Pad(x, s) y = Conv<auto_pad = "SAME_UPPER">(p, w)', {}, 2),
        ("p = Pad(x, s) y = MaxPool<kernel_shape = [3,3]>(p)", {}, 2),
        ("p = Pad(x, s) y = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1]>(p)", {}, 2),
        ("p = Pad(x, s) y = AveragePool<kernel_shape = [3,3], strides = [2,2], ceil_mode = 1>(p)", {}, 2),
        ("p = Pad(x, s) y = AveragePool<kernel_shape = [2,2]>(p)", {}, 2),
        ("p = Pad(x, s) i = Conv(p, w) j = Conv(p, w) y = Add(i, j)", {}, 4),
    ],
)
def test_padding(body, weights, count):
    constants = {
        "s": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
        "t": np.array([0, 0, 1, -1, 0, 0, 0, 1]),
        "c": np.array([0, 1, 1, 1, 0, 0, 1, 1]),
        "z": np.float32(0),
        "o": np.float32(1),
        "l": np.float32(-np.inf),
    }
    assert len(left(fold_pads, image(body, **{**constants, **weights}), IMAGE)) == count


def test_padding_as_an_attribute():
    model = image("p = Pad<pads = [0,0,1,1,0,0,1,1], value = 0.0>(x) y = Conv(p, w)", opset=9)
    assert left(fold_pads, model, IMAGE) == ["Conv"]
