"""Graphs whose channels hang together in every way that is followed, and how many of them can be pruned."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from tests.unit.models import noise, proto, weight


@dataclass(frozen=True)
class Graph:
    """A model and what is to be found in it.

    Attributes:
        build: makes the model.
        feeds: one sample.
        groups: channels of each group that can be pruned, sorted.
    """

    build: Callable[[], onnx.ModelProto]
    feeds: Callable[[], dict[str, np.ndarray]]
    groups: tuple[int, ...]


def picture(channels=3, side=8):
    return lambda: {"x": noise(1, channels, side, side, seed=9)}


def tokens(length=5, width=16):
    return lambda: {"x": noise(1, length, width, seed=9)}


def conv(text, out="float[N,4,H,W] y", **weights):
    return lambda: proto(f"(float[N,3,8,8] x) => ({out}) {{ {text} }}", **weights)


BODY = {"a": weight(16, 3, 3, 3), "b": weight(4, 16, 3, 3, seed=2)}
HEAD = "c = Conv(x, a) r = Relu(c)"


def attention():
    heads, width = 4, 16
    shape = np.array([0, 0, heads, width // heads], np.int64)
    projections = {f"w{name}": weight(width, width, seed=i) for i, name in enumerate("qkv")}
    split = " ".join(
        f"p{n} = MatMul(x, w{n}) b{n} = Add(p{n}, bias{n}) s{n} = Reshape(b{n}, shape) "
        f"{n} = Transpose<perm=[0,2,1,3]>(s{n})"
        for n in "qkv"
    )
    return proto(
        f"(float[N,L,16] x) => (float[N,L,16] y) {{ {split} kt = Transpose<perm=[0,1,3,2]>(k) scores = MatMul(q, kt) "
        "scaled = Mul(scores, half) p = Softmax<axis=-1>(scaled) mixed = MatMul(p, v) "
        "back = Transpose<perm=[0,2,1,3]>(mixed) flat = Reshape(back, whole) y = MatMul(flat, wo) }",
        shape=shape,
        whole=np.array([0, 0, width], np.int64),
        half=np.array(0.5, np.float32),
        wo=weight(width, width, seed=7),
        **projections,
        **{f"bias{n}": noise(width, seed=i + 20) for i, n in enumerate("qkv")},
    )


GRAPHS = {
    "chain": Graph(conv(f"{HEAD} y = Conv(r, b)", **BODY), picture(), (16,)),
    "batch normalization": Graph(
        conv(
            "c = Conv(x, a) n = BatchNormalization(c, s, o, m, v) r = Relu(n) y = Conv(r, b)",
            **BODY,
            s=noise(16, seed=3),
            o=noise(16, seed=4),
            m=noise(16, seed=5),
            v=np.abs(noise(16, seed=6)) + 1,
        ),
        picture(),
        (16,),
    ),
    "depthwise": Graph(
        conv(f"{HEAD} d = Conv<group=16>(r, w, e) y = Conv(d, b)", **BODY, w=weight(16, 1, 3, 3, seed=3), e=noise(16)),
        picture(),
        (16,),
    ),
    "depthwise, two filters a channel": Graph(
        conv(
            f"{HEAD} d = Conv<group=16>(r, w) y = Conv(d, b)",
            a=BODY["a"],
            w=weight(32, 1, 3, 3, seed=3),
            b=weight(4, 32, 1, 1, seed=4),
        ),
        picture(),
        (16,),
    ),
    "grouped": Graph(
        conv(f"{HEAD} d = Conv<group=4>(r, w) y = Conv(d, b)", **BODY, w=weight(16, 4, 1, 1, seed=3)),
        picture(),
        (4, 4),
    ),
    "residual": Graph(
        conv(f"{HEAD} d = Conv(r, w) s = Add(d, r) y = Conv(s, b)", **BODY, w=weight(16, 16, 1, 1, seed=3)),
        picture(),
        (16,),
    ),
    "concat": Graph(
        conv(
            "c = Conv(x, a) d = Conv(x, w) j = Concat<axis=1>(c, d) r = Relu(j) y = Conv(r, b)",
            a=BODY["a"],
            w=weight(8, 3, 3, 3, seed=3),
            b=weight(4, 24, 1, 1, seed=4),
        ),
        picture(),
        (8, 16),
    ),
    "split": Graph(
        conv(
            f"{HEAD} p, q = Split<axis=1>(r, sizes) g = Sigmoid(q) m = Mul(p, g) y = Conv(m, b)",
            a=BODY["a"],
            sizes=np.array([8, 8], np.int64),
            b=weight(4, 8, 1, 1, seed=4),
        ),
        picture(),
        (8,),
    ),
    "slice": Graph(
        conv(
            f"{HEAD} p = Slice(r, zero, ten, one) y = Conv(p, b)",
            a=BODY["a"],
            zero=np.array([0], np.int64),
            ten=np.array([10], np.int64),
            one=np.array([1], np.int64),
            b=weight(4, 10, 1, 1, seed=4),
        ),
        picture(),
        (6, 10),
    ),
    "gather": Graph(
        conv(
            f"{HEAD} p = Gather<axis=1>(r, i) y = Conv(p, b)",
            **BODY,
            i=np.array([3, 1, 0, 2, 7, 6, 5, 4, 8, 9, 10, 11, 12, 13, 15, -2], np.int64),
        ),
        picture(),
        (16,),
    ),
    "squeeze and excite": Graph(
        conv(
            f"{HEAD} g = GlobalAveragePool(r) s = Conv(g, w) t = Relu(s) u = Conv(t, z) h = HardSigmoid(u) "
            "m = Mul(r, h) y = Conv(m, b)",
            **BODY,
            w=weight(8, 16, 1, 1, seed=3),
            z=weight(16, 8, 1, 1, seed=4),
        ),
        picture(),
        (8, 16),
    ),
    "flatten": Graph(
        lambda: proto(
            f"(float[N,3,8,8] x) => (float[N,4] y) {{ {HEAD} f = Flatten(r) y = Gemm<transB=1>(f, w, e) }}",
            a=BODY["a"],
            w=weight(4, 16 * 36),
            e=noise(4),
        ),
        picture(),
        (16,),
    ),
    "reshape to a size written down": Graph(
        lambda: proto(
            f"(float[N,3,8,8] x) => (float[N,4,36] y) {{ {HEAD} f = Reshape(r, shape) y = MatMul(w, f) }}",
            a=BODY["a"],
            shape=np.array([0, 16, 36], np.int64),
            w=weight(4, 16),
        ),
        picture(),
        (16,),
    ),
    "channel shuffle": Graph(
        conv(
            f"{HEAD} g = Reshape(r, apart) t = Transpose<perm=[0,2,1,3,4]>(g) s = Reshape(t, whole) y = Conv(s, b)",
            **BODY,
            apart=np.array([0, 2, 8, 6, 6], np.int64),
            whole=np.array([0, 16, 6, 6], np.int64),
        ),
        picture(),
        (8,),
    ),
    "pad, pool, resize": Graph(
        conv(
            f"{HEAD} p = Pad(r, pads) m = MaxPool<kernel_shape=[2,2]>(p) z = Resize(m, , scales) y = Conv(z, b)",
            **BODY,
            pads=np.array([0, 0, 1, 1, 0, 0, 0, 1], np.int64),
            scales=np.array([1, 1, 2, 2], np.float32),
        ),
        picture(),
        (16,),
    ),
    "transposed convolution": Graph(
        conv(
            f"{HEAD} t = ConvTranspose(r, w) y = Conv(t, b)", a=BODY["a"], w=weight(16, 8, 2, 2), b=weight(4, 8, 1, 1)
        ),
        picture(),
        (8, 16),
    ),
    "transposed convolution with strides": Graph(
        conv(
            f"{HEAD} t = ConvTranspose<strides=[3,2],pads=[1,0,2,1],output_padding=[1,0],dilations=[2,1]>(r, w, e) "
            "y = Conv(t, b)",
            a=BODY["a"],
            w=weight(16, 8, 3, 2),
            e=noise(8),
            b=weight(4, 8, 1, 1),
        ),
        picture(),
        (8, 16),
    ),
    "depth to space": Graph(
        conv(f"{HEAD} d = DepthToSpace<blocksize=2>(r) y = Conv(d, b)", a=BODY["a"], b=weight(4, 4, 1, 1, seed=4)),
        picture(),
        (4,),
    ),
    "channels last": Graph(
        lambda: proto(
            f"(float[N,3,8,8] x) => (float[N,6,6,4] y) {{ {HEAD} t = Transpose<perm=[0,2,3,1]>(r) y = MatMul(t, w) }}",
            a=BODY["a"],
            w=weight(16, 4),
        ),
        picture(),
        (16,),
    ),
    "perceptron": Graph(
        lambda: proto(
            "(float[N,L,16] x) => (float[N,L,16] y) { n = LayerNormalization(x, s, o) h = MatMul(n, a) i = Add(h, e) "
            "g = Gelu(i) j = MatMul(g, b) y = Add(j, x) }",
            opset=20,
            ir_version=9,
            s=noise(16),
            o=noise(16, seed=1),
            a=weight(16, 32),
            e=noise(32),
            b=weight(32, 16, seed=3),
        ),
        tokens(),
        (32,),
    ),
    "attention": Graph(attention, tokens(), (4,)),
    "one dimension": Graph(
        lambda: proto(
            "(float[N,3,20] x) => (float[N,4,M] y) { c = Conv<pads=[2,2],dilations=[2]>(x, a) r = Relu(c) "
            "y = Conv<strides=[2]>(r, b) }",
            a=weight(16, 3, 3),
            b=weight(4, 16, 3),
        ),
        lambda: {"x": noise(1, 3, 20)},
        (16,),
    ),
    "a weight read twice": Graph(
        conv(
            "c = Conv(x, a) r = Relu(c) d = Conv<pads=[1,1,1,1]>(r, w) e = Relu(d) f = Conv<pads=[1,1,1,1]>(e, w) "
            "y = Conv(f, b)",
            **BODY,
            w=weight(16, 16, 3, 3, seed=3),
        ),
        picture(),
        (16,),
    ),
    "sizes computed from shapes": Graph(
        lambda: proto(
            f"(float[N,3,8,8] x) => (float[N,M] y) {{ {HEAD} s = Shape<start=0,end=1>(r) t = Concat<axis=0>(s, rest) "
            "f = Reshape(r, t) y = MatMul(f, w) }",
            a=BODY["a"],
            rest=np.array([-1], np.int64),
            w=weight(16 * 36, 4),
        ),
        picture(),
        (16,),
    ),
}

# Name -> model, a sample, and words of the reason that its channels can't go.
STUCK = {
    "an output": Graph(conv("y = Conv(x, a)", out="float[N,16,H,W] y", a=BODY["a"]), picture(), ()),
    "softmax over channels": Graph(conv(f"{HEAD} s = Softmax<axis=1>(r) y = Conv(s, b)", **BODY), picture(), ()),
    "an operator that is not known": Graph(conv(f"{HEAD} s = LRN<size=3>(r) y = Conv(s, b)", **BODY), picture(), ()),
    "every second channel": Graph(
        conv(
            f"{HEAD} p = Slice(r, zero, end, one, two) y = Conv(p, b)",
            a=BODY["a"],
            zero=np.array([0], np.int64),
            end=np.array([16], np.int64),
            one=np.array([1], np.int64),
            two=np.array([2], np.int64),
            b=weight(4, 8, 1, 1, seed=4),
        ),
        picture(),
        (),
    ),
    "a sum with an input": Graph(
        conv("c = Conv(x, a) s = Add(c, x) y = Conv(s, b)", a=weight(3, 3, 1, 1), b=weight(4, 3, 1, 1)), picture(), ()
    ),
    "indices of a pool": Graph(
        conv(
            f"{HEAD} p, i = MaxPool<kernel_shape=[2,2],strides=[2,2]>(r) c2 = Conv(p, w) s = Softmax<axis=1>(c2) "
            "u = MaxUnpool<kernel_shape=[2,2],strides=[2,2]>(s, i) y = Conv(u, b)",
            **BODY,
            w=weight(16, 16, 1, 1, seed=3),
        ),
        picture(),
        (),
    ),
    "statistics of training": Graph(
        conv(
            "c = Conv(x, a) n, m2, v2 = BatchNormalization<training_mode=1>(c, s, s, m, s) z = Conv(n, b) "
            "k = ReduceMean<keepdims=0>(m2) y = Add(z, k)",
            **BODY,
            s=np.ones(16, np.float32),
            m=noise(16),
        ),
        picture(),
        (),
    ),
    "the width of queries and keys": Graph(
        lambda: proto(
            "(float[N,L,16] x) => (float[N,L,L2] y) { q = MatMul(x, w) k = MatMul(x, v) "
            "t = Transpose<perm=[0,2,1]>(k) y = MatMul(q, t) }",
            w=weight(16, 8),
            v=weight(16, 8, seed=2),
        ),
        tokens(),
        (),
    ),
    "a state that is fed": Graph(
        lambda: proto(
            "(float[L,N,16] x, float[1,N,8] s) => (float[N,4] y) { h, l = GRU<hidden_size=8>(x, w, r, , , s) "
            "k = Squeeze(l, zero) y = MatMul(k, b) }",
            w=weight(1, 24, 16),
            r=weight(1, 24, 8, seed=2),
            zero=np.array([0], np.int64),
            b=weight(8, 4),
        ),
        lambda: {"x": noise(5, 1, 16), "s": noise(1, 1, 8)},
        (),
    ),
    "what a branch reads": Graph(
        conv(
            f"{HEAD} m = ReduceMean<keepdims=0>(x) k = Greater(m, zero) s = If(k) "
            "<then_branch = t () => (float[N,16,6,6] o) { o = Neg(r) }, "
            "else_branch = e () => (float[N,16,6,6] p) { p = Abs(r) }> y = Conv(s, b)",
            **BODY,
            zero=np.float32(0),
        ),
        picture(),
        (),
    ),
}
WHY = {
    "a sum with an input": "Add.*joins it with what no weight makes",
    "indices of a pool": "MaxPool.*takes channels as they are",
    "statistics of training": "BatchNormalization.*takes channels as they are",
    "the width of queries and keys": "MatMul.*sums over it, and no weight does",
    "a state that is fed": "no weight makes s, a state of",
    "what a branch reads": "a subgraph reads r",
    "an output": "model's output y",
    "softmax over channels": "Softmax.*works along it",
    "an operator that is not known": "LRN.*takes channels as they are",
    "every second channel": "Slice.*can't be told or cut",
}
