"""Regions between Transposes, said in another order of axes: each operator, and what does not pay."""

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import each
from edgeonnx.optimize.passes.push_transposes import push_transposes
from edgeonnx.optimize.plan import Wish, count_nodes, plan_for, with_shapes
from edgeonnx.optimize.plan import run as run_plan
from tests.drawing import IMAGE, Drawing
from tests.passes.prove import graph, left, prove
from tests.unit.models import noise, operators, run, weight

X = {"x": noise(2, 3, 5, 7)}
INTS = np.array


def between(body, opset=18, **weights):
    """Channels first in `x` and `y`, channels last, in `a` and `b`, between."""
    text = f"(float[2,3,5,7] x) => (float y) {{ r = Relu(x) a = Transpose<perm = [0,2,3,1]>(r) {body} }}"
    return graph(text, opset=opset, **weights)


BACK = "y = Transpose<perm = [0,3,1,2]>(b)"


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("b = Sigmoid(a)", {}),
        ("b = Clip(a, l, h)", {"l": np.float32(0), "h": np.float32(1)}),
        ("b = Mul(a, w)", {"w": noise(3)}),
        ("b = Sub(w, a)", {"w": noise(7, 1)}),
        ("b = Add(a, w)", {"w": noise(2, 5, 7, 3)}),
        ("b = Add(a, w)", {"w": np.float32(2)}),
        ("b = PRelu(a, w)", {"w": noise(3)}),
        ("c = Exp(a) b = Add(a, c)", {}),
        ("c = Greater(a, w) b = Where(c, a, w)", {"w": noise(1)}),
        ("b = Concat<axis = -1>(a, a)", {}),
        ("c, d = Split<axis = 1>(a, w) b = Concat<axis = -3>(d, c)", {"w": INTS([2, 3])}),
        ("b = Slice(a, s, e, i, t)", {"s": INTS([-1, 0]), "e": INTS([-9, 2]), "i": INTS([3, 1]), "t": INTS([-1, 1])}),
        ("b = Slice(a, s, e)", {"s": INTS([0, 1]), "e": INTS([2, 3])}),
        ("b = Pad(a, p, v)", {"p": INTS([0, 1, 2, 0, 0, 0, 1, 3]), "v": np.float32(2)}),
        ("b = Gather<axis = 2>(a, i)", {"i": INTS([1, 0, -1])}),
        ("b = Softmax<axis = 2>(a)", {}),
        ("c = ReduceMax(a, i) b = Sub(a, c)", {"i": INTS([1, 2])}),
        ("c = ReduceMean<keepdims = 0>(a, i) d = Unsqueeze(c, i) b = Sub(d, a)", {"i": INTS([1, 2])}),
    ],
)
def test_both_go(body, weights):
    """The Transpose before and the one after."""
    made = left(push_transposes, between(f"{body} {BACK}", **weights), X)
    assert "Transpose" not in made


def test_padding_of_some_axes():
    """onnxruntime 1.32 does not run this between Transposes that it takes away itself."""
    pads = {"p": INTS([1, 2, 0, 1]), "i": INTS([3, -3]), "v": np.float32(2)}
    model = between(f"b = Pad(a, p, v, i) {BACK}", **pads)
    made = prove(push_transposes, model)
    assert "Transpose" not in operators(made)
    np.testing.assert_array_equal(run(made, X)["y"], run(model, X, optimize=False)["y"])


@pytest.mark.parametrize(
    ("body", "weights", "kinds"),
    [
        ("y = ReduceMean<keepdims = 0>(a, i)", {"i": INTS([1, 2])}, ["Relu", "ReduceMean"]),
        ("y = ArgMax<axis = 3, keepdims = 0>(a)", {}, ["Relu", "ArgMax"]),
        (
            "m = ReduceMax(a, i) b = Exp(m) y = Squeeze(b, i)",
            {"i": INTS([1, -2])},
            ["Relu", "ReduceMax", "Exp", "Squeeze"],
        ),
        # another order afterwards
        ("b = Exp(a) y = Transpose<perm = [3,0,1,2]>(b)", {}, ["Relu", "Transpose", "Exp"]),
        # of several readers
        (
            "b = Exp(a) c = Neg(b) d = Transpose<perm = [0,3,1,2]>(c) e = Transpose<perm = [0,3,1,2]>(b) y = Add(d, e)",
            {},
            ["Relu", "Exp", "Neg", "Add"],
        ),
    ],
)
def test_at_the_end_of_a_region(body, weights, kinds):
    out = "int64" if "ArgMax" in body else "float"
    model = between(body, **weights)
    model = Model.from_proto(_typed(model, out))
    assert left(push_transposes, model, X) == kinds


def _typed(model, kind):
    made = model.to_proto()
    made.graph.output[0].type.tensor_type.elem_type = getattr(onnx.TensorProto, kind.upper())
    return made


@pytest.mark.parametrize(
    ("body", "weights"),
    [
        ("y = Exp(a)", {}),
        # its axes change places
        ("y = ReduceMean<keepdims = 0>(a, i)", {"i": INTS([0])}),
        ("b = Reshape(a, s) y = Exp(b)", {"s": INTS([-1, 3])}),
        (f"b = Softmax<axis = 3>(a) {BACK}", {}),
        (f"b = Slice(a, s, e, i) {BACK}", {"s": INTS([0]), "e": INTS([1]), "i": INTS([1])}),
        (f"b = LayerNormalization(a, w) {BACK}", {"w": noise(3)}),
        (f"b = MatMul(a, w) {BACK}", {"w": weight(3, 3)}),
    ],
)
def test_what_stays(body, weights):
    model = between(body, **weights)
    if "Slice" in body:  # by a caller
        model = graph(
            f"(float[2,3,5,7] x, int64[1] i) => (float y) {{ r = Relu(x) a = Transpose<perm = [0,2,3,1]>(r) {body} }}",
            opset=18,
            s=weights["s"],
            e=weights["e"],
        )
    assert left(push_transposes, model).count("Transpose") == body.count("Transpose") + 1


def test_what_does_not_pay_is_left_out_of_a_region():
    """A branch that ends the other way around keeps its one Transpose."""
    body = f"b = Exp(a) c = Neg(b) d = Sqrt(c) {BACK} z = Abs(d)"
    model = graph(
        f"(float[2,3,5,7] x) => (float y, float z) {{ r = Relu(x) a = Transpose<perm = [0,2,3,1]>(r) {body} }}"
    )
    made = prove(push_transposes, model, {"x": np.abs(noise(2, 3, 5, 7))})
    turns = list(each(made.ir, "Transpose"))
    assert len(turns) == 1
    assert {use.node.op_type for use in turns[0].outputs[0].uses()} == {"Neg"}


def test_outputs_of_a_region_keep_their_names():
    body = f"b = Exp(a) {BACK} z = Exp(b)"
    text = f"(float[2,3,5,7] x) => (float y, float b, float z) {{ a = Transpose<perm = [0,2,3,1]>(x) {body} }}"
    made = prove(push_transposes, graph(text), X)
    assert sum(1 for _ in each(made.ir, "Transpose")) <= 2


def test_inside_of_a_branch():
    text = """(float[2,3,5,7] x, bool c) => (float y) {
        r = Transpose<perm = [0,2,3,1]>(x)
        b = If(c) <then_branch = t () => (float z) { e = Exp(r) z = Transpose<perm = [0,3,1,2]>(e) },
                   else_branch = f () => (float w) { w = Relu(x) }>
        y = Abs(b)
    }"""
    made = prove(push_transposes, graph(text), *({**X, "c": np.array(chosen)} for chosen in (True, False)))
    assert list(each(made.ir, "Transpose")) == []


def test_a_network_of_the_other_layout():
    """Residual blocks with squeeze and excite, padding and a head, as TensorFlow's models are converted."""
    text = """(float[N,12,12,3] x) => (float[N,5] y) {
        a = Transpose<perm = [0,3,1,2]>(x) b = Conv(a, w1) c = Transpose<perm = [0,2,3,1]>(b) d = Mul(c, s) e = Relu(d)
        f = ReduceMean(e, i) g = Sigmoid(f) h = Mul(e, g) p = Pad(h, pads)
        k = Transpose<perm = [0,3,1,2]>(p) l = Conv(k, w2) m = Transpose<perm = [0,2,3,1]>(l) n = Add(m, h) o = Relu(n)
        q = ReduceMean<keepdims = 0>(o, i) y = MatMul(q, w3)
    }"""
    parts = {"w1": weight(8, 3, 3, 3), "w2": weight(8, 8, 3, 3), "w3": weight(8, 5), "s": noise(8)}
    pads = INTS([0, 1, 1, 0, 0, 1, 1, 0])
    model = graph(text, opset=18, i=INTS([1, 2]), pads=pads, **parts)
    made = prove(push_transposes, model, {"x": noise(2, 12, 12, 3)})
    assert operators(made).count("Transpose") == 1
    again, _ = push_transposes(with_shapes(model))
    assert again.to_proto().SerializeToString() == made.to_proto().SerializeToString()


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    drawing = Drawing(draw, draw(st.sampled_from([12, 13, 18, 21])), ["Relu", "Tanh", "Neg"])
    steps = [Drawing.turned, Drawing.turned, Drawing.two, Drawing.one, Drawing.constant, Drawing.conv, Drawing.reduce]
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=7)):
        step(drawing)
    return drawing.model(IMAGE, outputs=2)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(models())
def test_any_graph(model):
    source = Model.from_proto(model)
    made = prove(push_transposes, source, {"x": noise(*IMAGE, scale=0.5)})
    before, after = (sum(1 for _ in each(one.ir, "Transpose")) for one in (source, made))
    assert after <= before
    assert count_nodes(run_plan(source, plan_for(Wish()))[0]) <= count_nodes(source)
