"""Graphs as exporters write them: sizes computed, constants shared, operators of newer opsets, sequences."""

import numpy as np
import onnx

from tests.prune.graphs import BODY, HEAD, Graph, conv, picture, tokens
from tests.unit.models import noise, proto, weight


def ints(*numbers):
    return np.array(numbers, np.int64)


def sequence():
    return {"x": noise(2, 7, 8, seed=9)}


def recurrent(kind, gates, attributes="", directions=1, inputs="", **weights):
    """Linear, a recurrent layer of 12 hidden units, linear; the layer's axes are (length, batch, features)."""
    flat = "t = Transpose<perm=[0,2,1,3]>(h) f = Reshape(t, joined) y = MatMul(f, b)"
    start = ", , start" if inputs or "start" in weights else ""
    return proto(
        f"(float[L,N,8] x) => (float[L,N,4] y) {{ e = MatMul(x, a) g = Relu(e) {inputs} "
        f"h, last = {kind}<hidden_size=12{attributes}>(g, w, r, v{start}) "
        f"{flat} }}",
        a=weight(8, 16),
        w=weight(directions, gates * 12, 16, seed=3),
        r=weight(directions, gates * 12, 12, seed=4),
        v=noise(directions, 2 * gates * 12, seed=5),
        joined=ints(0, 0, 12 * directions),
        b=weight(12 * directions, 4, seed=6),
        **weights,
    )


def with_constants():
    """The form of TorchScript's exporter: small Constant nodes, and where to cut computed from a shape."""
    model = conv(
        f"{HEAD} s = Shape(r) n = Gather(s, one) m = Add(n, one) h = Div(m, two) k = Mul(h, one) "
        "p = Slice(r, zero, k, one) q = Slice(r, k, n, one) g = Sigmoid(q) z = Mul(p, g) y = Conv(z, b)",
        a=BODY["a"],
        b=weight(4, 8, 1, 1, seed=4),
    )()
    for name, number in (("zero", 0), ("one", 1), ("two", 2)):
        tensor = onnx.numpy_helper.from_array(ints(number))
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [name], value=tensor))
    return model


def heads(attention, queries=16, keys=8, **more):
    """Projections to 4 heads of queries and 2 of keys and values, of width 4, and back."""
    return proto(
        f"(float[N,L,16] x) => (float[N,L,16] y) {{ q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) {attention} "
        "y = MatMul(mixed, wo) }",
        opset=23,
        ir_version=11,
        wq=weight(16, queries),
        wk=weight(16, keys, seed=2),
        wv=weight(16, keys, seed=3),
        wo=weight(queries, 16, seed=4),
        **more,
    )


def attention_by_heads():
    split = " ".join(f"r{n} = Reshape({n}, shape{n}) t{n} = Transpose<perm=[0,2,1,3]>(r{n})" for n in "qkv")
    return heads(
        f"{split} o = Attention<is_causal=1>(tq, tk, tv) u = Transpose<perm=[0,2,1,3]>(o) mixed = Reshape(u, whole)",
        shapeq=ints(0, 0, 4, 4),
        shapek=ints(0, 0, 2, 4),
        shapev=ints(0, 0, 2, 4),
        whole=ints(0, 0, 16),
    )


def rotated():
    """Attention whose queries and keys are multiplied with positions: their width is needed whole, heads may go."""
    turn = " ".join(
        f"r{n} = Reshape({n}, shape) t{n} = Transpose<perm=[0,2,1,3]>(r{n}) "
        f"a{n}, b{n} = Split<axis=3,num_outputs=2>(t{n}) "
        f"m{n} = Neg(b{n}) j{n} = Concat<axis=3>(m{n}, a{n}) c{n} = Mul(t{n}, cosine) s{n} = Mul(j{n}, sine) "
        f"p{n} = Add(c{n}, s{n})"
        for n in "qk"
    )
    return heads(
        f"{turn} rv = Reshape(v, shape) tv = Transpose<perm=[0,2,1,3]>(rv) kt = Transpose<perm=[0,1,3,2]>(pk) "
        "scores = MatMul(pq, kt) soft = Softmax(scores) o = MatMul(soft, tv) u = Transpose<perm=[0,2,1,3]>(o) "
        "mixed = Reshape(u, whole)",
        keys=16,
        shape=ints(0, 0, 4, 4),
        whole=ints(0, 0, 16),
        cosine=noise(5, 4, seed=7),
        sine=noise(5, 4, seed=8),
    )


def einsum_heads():
    projections = " ".join(f'{n} = Einsum<equation="bld,dhk->blhk">(x, w{n})' for n in "qkv")
    return proto(
        f'(float[N,L,16] x) => (float[N,L,4] y) {{ {projections} s = Einsum<equation="bqhk,blhk->bhql">(q, k) '
        'p = Softmax(s) m = Einsum<equation="bhql,blhk,hkd->bqd">(p, v, wo) r = Relu(m) '
        'y = Einsum<equation="...d,df->...f">(r, wf) }',
        **{f"w{n}": weight(16, 4, 3, seed=i) for i, n in enumerate("qkv")},
        wo=weight(4, 3, 12, seed=5),
        wf=weight(12, 4, seed=6),
    )


def group_norm(opset, size):
    return conv(
        "c = Conv(x, a) g = GroupNormalization<num_groups=4>(c, s, o) y = Conv(g, b)",
        opset=opset,
        ir_version=10,
        **BODY,
        s=noise(size, seed=3),
        o=noise(size, seed=4),
    )


LSTM = {"gates": 4, "kind": "LSTM"}
ZEROS = "sh = Shape<start=1,end=2>(g) sz = Concat<axis=0>(one, sh, width) start = Expand(zero, sz)"
EXPORTED = {
    "gated recurrent units": Graph(lambda: recurrent("GRU", 3, ",linear_before_reset=1"), sequence, (12, 16)),
    "a plain recurrent layer that starts from weights": Graph(
        lambda: recurrent("RNN", 1, start=noise(1, 7, 12)), sequence, (12, 16)
    ),
    "long short-term memory that starts from computed zeros": Graph(
        lambda: recurrent(**LSTM, inputs=ZEROS, one=ints(1), width=ints(12), zero=np.float32(0)), sequence, (12, 16)
    ),
    "both directions": Graph(
        lambda: recurrent(**LSTM, attributes=',direction="bidirectional"', directions=2), sequence, (12, 16)
    ),
    "where to cut is computed, of small constants": Graph(with_constants, picture(), (8,)),
    "sizes computed and written down in one": Graph(
        lambda: proto(
            f"(float[N,3,8,8] x) => (float[N,M] y) {{ {HEAD} s = Shape<start=0,end=1>(r) t = Concat<axis=0>(s, rest) "
            "f = Expand(r, t) u = Concat<axis=0>(s, flat) v = Reshape(f, u) y = MatMul(v, w) }",
            a=BODY["a"],
            rest=ints(16, 6, 6),
            flat=ints(16 * 36),
            w=weight(16 * 36, 4),
        ),
        picture(),
        (16,),
    ),
    "scales of ones that layers share": Graph(
        conv(
            "c = Conv(x, a) m = Mul(c, ones) d = Conv(m, w) n = Mul(d, ones) y = Conv(n, b)",
            **BODY,
            w=weight(16, 16, 1, 1, seed=3),
            ones=np.ones((16, 1, 1), np.float32),
        ),
        picture(),
        (16, 16),
    ),
    "attention, the operator, by heads": Graph(attention_by_heads, tokens(), (2,)),
    "attention, the operator, heads in the last axis": Graph(
        lambda: heads("mixed = Attention<q_num_heads=4,kv_num_heads=2>(q, k, v, mask)", mask=noise(4, 5, 5)),
        tokens(),
        (2,),
    ),
    "rotary positions": Graph(rotated, tokens(), (4,)),
    "einsum": Graph(einsum_heads, tokens(), (4, 12)),
    "group normalization": Graph(group_norm(21, 16), picture(), (4,)),
    "group normalization, a scale a group": Graph(group_norm(18, 4), picture(), (4,)),
    "mean and variance": Graph(
        conv("c = Conv(x, a) m = MeanVarianceNormalization(c) y = Conv(m, b)", **BODY), picture(), (16,)
    ),
}
