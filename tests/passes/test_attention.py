"""Attention: with heads apart and joined, with each form of scale and mask, and what is something else."""

import numpy as np
import pytest

from edgeonnx.optimize.passes.cancel_pairs import cancel_pairs
from edgeonnx.optimize.passes.fuse_attention import fuse_attention
from tests.passes.prove import graph, left, prove
from tests.unit.models import noise, operators

F = np.float32
APART = {name: noise(2, 3, 5, 4, seed=seed) for seed, name in enumerate("qkv")}
JOINED = {name: noise(2, 5, 12, seed=seed) for seed, name in enumerate("qkv")}
MASKS = {"m": np.where(noise(2, 1, 1, 5) > 0, 0, -1e4).astype(F), "w": noise(5, 5), "h": noise(1, 3, 5, 5)}
TURN = "t = Transpose<perm = [0, 1, 3, 2]>(k)"


def apart(body, sizes="2,3,5,4", opset=23, **weights):
    inputs = ", ".join(f"float[{sizes}] {name}" for name in "qkv")
    constants = {**MASKS, "root": F(2), "part": F(0.25), **weights}
    return graph(f"({inputs}) => (float y) {{ {body} }}", opset=opset, **constants)


@pytest.mark.parametrize(
    "scores",
    [
        "s = MatMul(q, t)",
        "p = MatMul(q, t) s = Div(p, root)",
        "p = MatMul(q, t) d = Mul(part, p) s = Add(d, w)",
        "p = MatMul(q, t) d = Mul(p, part) s = Add(h, d)",
        "r = Mul(q, part) u = Mul(t, root) p = MatMul(r, u) s = Add(p, w)",
    ],
)
def test_heads_apart(scores):
    found = left(fuse_attention, apart(f"{TURN} {scores} e = Softmax(s) y = MatMul(e, v)"), APART)
    assert found == ["Transpose", "Attention"]


def test_a_mask_for_all_queries_is_spread():
    model = apart(f"{TURN} p = MatMul(q, t) s = Add(p, m) e = Softmax(s) y = MatMul(e, v)")
    assert "Expand" in left(fuse_attention, model, APART)


SPLIT = """qs = Reshape(q, heads) qt = Transpose<perm = [0, 2, 1, 3]>(qs)
    ks = Reshape(k, heads) kt = Transpose<perm = [0, 2, 3, 1]>(ks)
    vs = Reshape(v, heads) vt = Transpose<perm = [0, 2, 1, 3]>(vs)"""
JOIN = "ct = Transpose<perm = [0, 2, 1, 3]>(c) y = Reshape(ct, all)"


@pytest.mark.parametrize(("batch", "length"), [(2, 5), ("N", "S")])
@pytest.mark.parametrize("mask", ["", "m", "w"])
def test_heads_joined(batch, length, mask):
    inputs = ", ".join(f"float[{batch},{length},12] {name}" for name in "qkv")
    inputs += {"": "", "m": f", float[{batch},1,1,{length}] m", "w": f", float[{length},{length}] w"}[mask]
    feeds = {**JOINED, **({mask: MASKS[mask]} if mask else {})}
    scores = f"d = Div(p, root) s = Add(d, {mask})" if mask else "s = Div(p, root)"
    body = f"{SPLIT} p = MatMul(qt, kt) {scores} e = Softmax(s) c = MatMul(e, vt) {JOIN}"
    constants = {"root": F(2), "heads": np.array([0, 0, 3, 4]), "all": np.array([0, 0, 12])}
    model = graph(f"({inputs}) => (float y) {{ {body} }}", opset=23, **constants)

    def both(given):
        made, rewrites = fuse_attention(given)
        cancelled, more = cancel_pairs(made)
        fused, most = fuse_attention(cancelled)
        return fused, rewrites + more + most

    spread = ["Shape", "Concat", "Expand"] if mask == "m" else []
    assert [kind for kind in left(both, model, feeds) if kind in (*spread, "MatMul", "Softmax")] == spread
    made = prove(both, model, feeds)
    assert made.ir.graph[-1].op_type == "Attention"
    assert made.ir.graph[-1].attributes["q_num_heads"].as_int() == 3


@pytest.mark.parametrize(
    "body",
    [
        f"{TURN} p = MatMul(q, t) e = Softmax<axis = 2>(p) y = MatMul(e, v)",
        f"{TURN} p = MatMul(q, t) d = Neg(p) e = Softmax(d) y = MatMul(e, v)",
        f"{TURN} p = MatMul(q, t) d = Add(p, w) f = Add(d, h) e = Softmax(f) y = MatMul(e, v)",
        f"{TURN} p = MatMul(q, t) d = Mul(p, h) e = Softmax(d) y = MatMul(e, v)",
        f"{TURN} p = MatMul(q, t) e = Softmax(p) a = MatMul(e, v) b = MatMul(e, q) y = Add(a, b)",
        f"{TURN} p = MatMul(q, t) d = Div(root, p) e = Softmax(d) y = MatMul(e, v)",
        f"{TURN} p = MatMul(q, t) e = Sigmoid(p) y = MatMul(e, v)",
    ],
)
def test_something_else(body):
    model = apart(body)
    assert left(fuse_attention, model, APART) == operators(model)


def test_values_of_one_head_for_all_stay():
    """Products broadcast; the operator does not."""
    text = f"""(float[2,3,5,4] q, float[2,3,5,4] k, float[2,1,5,4] v) => (float y) {{
        {TURN} p = MatMul(q, t) e = Softmax(p) y = MatMul(e, v)
    }}"""
    model = graph(text, opset=23)
    assert left(fuse_attention, model, {**APART, "v": noise(2, 1, 5, 4)}) == operators(model)


def test_an_older_model_is_raised_only_where_that_is_allowed():
    model = apart(f"{TURN} p = MatMul(q, t) e = Softmax(p) y = MatMul(e, v)", opset=17)
    assert left(fuse_attention, model, APART) == operators(model)
    assert prove(lambda given: fuse_attention(given, opset=24), model, APART).opset == 23
