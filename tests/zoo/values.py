"""What tensors may hold: numbers of other types, text, nothing at all, the same for ever, what is not finite."""

import numpy as np
import onnx

from tests.unit.models import noise, proto, weight
from tests.zoo.case import Case, normal, with_shapes_open

W, V = weight(16, 16), weight(16, 16, seed=2)
ROWS = normal(x=(4, 16))
IMAGES = normal(x=(1, 4, 8, 8))
LOWEST = float(np.finfo(np.float32).min)


def rows(body: str, inputs: str = "", opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    """A model of rows x, whose body reads x and gives y."""
    return with_shapes_open(proto(f"(float[N,16] x{inputs}) => (float y) {{ {body} }}", opset=opset, **weights))


def attention(mask: str, fill: float, kind: str = "bool") -> onnx.ModelProto:
    """Attention in which `mask` makes k, the scores a after it, out of the scores s, a mask m and a filler."""
    return proto(
        f"""(float[n,t,16] x, {kind}[t,t] m) => (float[n,t,16] y) {{
            q = MatMul(x, w) k = MatMul(x, v) kt = Transpose<perm = [0,2,1]>(k)
            p = MatMul(q, kt) s = Mul(p, scale)
            {mask}
            e = Softmax(a) c = MatMul(e, x) y = MatMul(c, v)
        }}""",
        w=W,
        v=V,
        scale=np.float32(0.25),
        fill=np.float32(fill),
        one=np.float32(1),
    )


def attended(kind: type) -> Case:
    def feed(seed: int) -> dict[str, np.ndarray]:
        size = 4 + seed % 3
        return {"x": noise(2, size, 16, seed=seed), "m": np.tri(size).astype(kind)}

    return feed


ATTENTION = ("MatMul",) * 3
WHERE = "a = Where(m, s, fill)"
ADD = "n = Sub(one, m) f = Mul(n, fill) a = Add(s, f)"


def bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, its weights in bfloat16."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, onnx.TensorProto.BFLOAT16, array.shape, array.ravel()))
    return model


def ml(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, with the newest operators of ai.onnx.ml."""
    next(opset for opset in model.opset_import if opset.domain == "ai.onnx.ml").version = 3
    return model


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in float16 throughout, as converters make them."""
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(_half(tensor))
    for attribute in (attribute for node in model.graph.node for attribute in node.attribute):
        if attribute.type == onnx.AttributeProto.TENSOR:
            attribute.t.CopyFrom(_half(attribute.t))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return model


def _half(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name)


def half_convnet() -> onnx.ModelProto:
    """Its constants stand in nodes and in attributes, and a branch reads it."""
    return half(
        proto(
            """(float[1,4,8,8] x, bool c) => (float[1,3,6,6] y, float[1,4,6,6] z) {
                h = Conv(x, w)
                k = Constant<value = float[1] {0.5}>()
                m = Mul(h, k)
                sh = Shape(m)
                o = ConstantOfShape<value = float[1] {1.0}>(sh)
                a = Add(m, o)
                f = Cast<to = 1>(a)
                t = Tanh(f)
                g = Cast<to = 10>(t)
                y = Conv(g, v)
                z = If(c) <
                    then_branch = then () => (float16[1,4,6,6] p) { p = Relu(a) },
                    else_branch = other () => (float16[1,4,6,6] q) { q = Identity(a) }
                >
            }""",
            w=weight(4, 4, 3, 3),
            v=weight(3, 4, 1, 1),
        )
    )


CASES = {
    "a scalar input": Case(
        lambda: rows("h = MatMul(x, w) y = Mul(h, s)", ", float s", w=W),
        lambda seed: {"x": noise(4, 16, seed=seed), "s": np.float32(1 + seed)[...]},
    ),
    "int32, int64 and bool inputs": Case(
        lambda: rows(
            """e = Gather(t, i) j = Cast<to = 1>(k) u = Unsqueeze(j, axis) s = Add(x, e) q = Mul(s, u)
               h = MatMul(q, w) y = Where(b, h, x)""",
            ", int64[N] i, int32[N] k, bool[N,1] b",
            t=noise(9, 16),
            w=W,
            axis=np.array([1]),
        ),
        lambda seed: {
            "x": noise(4, 16, seed=seed),
            "i": np.arange(seed, seed + 4) % 9,
            "k": np.arange(1, 5, dtype=np.int32),
            "b": np.arange(4)[:, None] % 2 == seed % 2,
        },
    ),
    "only integer inputs": Case(
        lambda: with_shapes_open(
            proto(
                "(int64[n,s] i) => (float y, int64 best) { e = Gather(t, i) y = MatMul(e, w) best = ArgMax(y) }",
                t=noise(9, 16),
                w=W,
            )
        ),
        lambda seed: {"i": np.arange(seed, seed + 6).reshape(2, 3) % 9},
        sqnr=15,
    ),
    "text": Case(
        lambda: ml(
            proto(
                """(string[N] s, float[N,16] x) => (float[N,16] y, string[N] t) {
                    i = ai.onnx.ml.LabelEncoder<keys_strings = ["a","b"], values_int64s = [0,1], default_int64 = 2>(s)
                    e = Gather(w, i) h = Add(x, e) y = MatMul(h, w) t = Identity(s)
                }""",
                domains=["ai.onnx.ml"],
                w=W,
            )
        ),
        lambda seed: {"s": np.array(["a", "b", "?", "a"]), "x": noise(4, 16, seed=seed)},
        kept=("LabelEncoder",),
    ),
    "float64": Case(
        lambda: rows("d = Cast<to = 11>(x) e = Exp(d) f = Cast<to = 1>(e) y = MatMul(f, w)", w=W), ROWS, sqnr=20
    ),
    "a mask of -inf chosen": Case(lambda: attention(WHERE, -np.inf), attended(bool), ATTENTION),
    "a mask of the lowest number chosen": Case(lambda: attention(WHERE, LOWEST), attended(bool), ATTENTION),
    "a mask of -10000 chosen": Case(lambda: attention(WHERE, -10000), attended(bool), ATTENTION),
    "a mask of the lowest number added": Case(lambda: attention(ADD, LOWEST, "float"), attended(np.float32), ATTENTION),
    "a mask of -10000 added": Case(lambda: attention(ADD, -10000, "float"), attended(np.float32), ATTENTION),
    "boxes joined with probabilities": Case(
        lambda: rows(
            """h = MatMul(x, w) p = Sigmoid(h) b = Mul(h, pixels) c = Concat<axis = 1>(b, p)
               t = Transpose(c) d = Gather(t, i) e = Mul(d, shrink) y = Concat<axis = 0>(d, e)""",
            w=W,
            pixels=np.float32(640),
            i=np.arange(16, 32),
            shrink=np.float32(0.5),
        ),
        ROWS,
        sqnr=30,
    ),
    "the logarithm of zero": Case(
        lambda: rows("r = Relu(x) l = Log(r) e = Exp(l) h = MatMul(e, w) y = Concat<axis = 0>(h, l)", w=W), ROWS
    ),
    "a division by zero": Case(
        lambda: rows(
            "r = Relu(x) d = Reciprocal(r) z = Clip(d, lo, hi) y = MatMul(z, w)",
            w=W,
            lo=np.float32(0),
            hi=np.float32(8),
        ),
        ROWS,
    ),
    "NaN on the way": Case(
        lambda: rows(
            "s = Sqrt(x) n = IsNaN(s) c = Where(n, zero, s) h = MatMul(c, w) t = Relu(s) y = Where(n, h, t)",
            w=W,
            zero=np.float32(0),
        ),
        ROWS,
    ),
    "NaN in a weight": Case(
        lambda: rows(
            "h = MatMul(x, w) k = MatMul(x, n) b = IsNaN(k) y = Where(b, h, k)",
            w=W,
            n=np.where(np.eye(16), np.nan, W).astype(np.float32),
        ),
        ROWS,
    ),
    "huge numbers": Case(
        lambda: rows("b = Mul(x, big) s = Div(b, big) y = MatMul(s, w)", w=W, big=np.float32(5e37)), ROWS
    ),
    "both ends of float32": Case(
        lambda: rows(
            "c = Concat<axis = 1>(x, ends) h = MatMul(x, w) y = Concat<axis = 1>(h, c)",
            w=W,
            ends=np.tile(np.array([[LOWEST, -LOWEST]], np.float32), (4, 1)),
        ),
        ROWS,
    ),
    "tiny numbers": Case(
        lambda: rows("t = Mul(x, tiny) h = MatMul(t, w) y = MatMul(h, w)", w=W, tiny=np.float32(1e-30)),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "denormal weights": Case(
        lambda: rows("h = MatMul(x, z) k = MatMul(x, w) y = Add(h, k)", w=W, z=W * np.float32(1e-41)),
        ROWS,
        ("Gemm", "MatMul"),
    ),
    "weights of zero": Case(
        lambda: rows("h = MatMul(x, z) k = MatMul(x, w) y = Add(h, k)", w=W, z=np.zeros_like(W)),
        ROWS,
        ("Gemm", "MatMul"),
    ),
    "activations of zero": Case(
        lambda: rows("n = Mul(x, zero) h = MatMul(n, w) k = MatMul(x, w) y = Add(h, k)", w=W, zero=np.float32(0)),
        ROWS,
        ("Gemm", "MatMul"),
    ),
    "activations that never change": Case(
        lambda: rows(
            "s = Shape(x) o = ConstantOfShape<value = float[1] {3}>(s) h = MatMul(o, w) k = MatMul(x, w) y = Add(h, k)",
            w=W,
        ),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "a Conv on a constant": Case(
        lambda: with_shapes_open(
            proto(
                "(float[1,4,8,8] x) => (float y) { p = Conv(k, w) c = Conv(x, w) y = Add(c, p) }",
                k=noise(1, 4, 8, 8),
                w=weight(4, 4, 3, 3),
            )
        ),
        IMAGES,
        ("Conv",),
    ),
    "an empty tensor joined": Case(
        lambda: rows(
            "e = Slice(x, end, end, axis) c = Concat<axis = 1>(e, x) h = MatMul(c, w) k = Relu(e) "
            "y = Concat<axis = 1>(h, k)",
            w=W,
            end=np.array([16]),
            axis=np.array([1]),
        ),
        ROWS,
    ),
    "an empty weight": Case(
        lambda: rows(
            "c = Concat<axis = 1>(x, e) h = MatMul(c, w) n = MatMul(x, z) y = Concat<axis = 1>(h, n)",
            w=W,
            e=np.zeros((4, 0), np.float32),
            z=np.zeros((16, 0), np.float32),
        ),
        ROWS,
    ),
    "an empty cache": Case(
        lambda: with_shapes_open(
            proto(
                "(float[n,16] x, float[p,16] cache) => (float y, float next) { "
                "h = MatMul(x, w) next = Concat<axis = 0>(cache, h) y = MatMul(next, w) }",
                w=W,
            )
        ),
        lambda seed: {"x": noise(4, 16, seed=seed), "cache": noise(0 if seed < 6 else seed, 16, seed=seed)},
        ("MatMul", "MatMul"),
    ),
    "float16": Case(
        lambda: half(
            proto("(float[N,16] x) => (float[N,16] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }", w=W, v=V)
        ),
        lambda seed: {"x": noise(4, 16, seed=seed).astype(np.float16)},
        ("MatMul", "MatMul"),
    ),
    "float16 with constants and a branch": Case(
        half_convnet,
        lambda seed: {"x": noise(1, 4, 8, 8, seed=seed).astype(np.float16), "c": np.array(seed % 2 == 0)},
        ("Conv", "Conv"),
    ),
    "float16 weights beside float32": Case(
        lambda: rows("h = Cast<to = 1>(w) y = MatMul(x, h)", w=W.astype(np.float16)), ROWS
    ),
    "bfloat16 weights": Case(lambda: bfloat16(rows("h = Cast<to = 1>(w) y = MatMul(x, h)", w=W)), ROWS),
}
