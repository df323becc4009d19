"""What models may be built of: branches, loops, functions, recurrent layers, operators of other domains."""

import numpy as np
import onnx

from tests.unit.models import convnet, noise, proto, weight
from tests.zoo.case import Case, normal, with_shapes_open

W, V = weight(16, 16), weight(16, 16, seed=2)
ROWS = normal(x=(4, 16))
IMAGES = normal(x=(2, 8, 12, 12))


def graph(text: str, **more) -> onnx.ModelProto:
    return with_shapes_open(proto(text, **more))


def choosing(seed: int) -> dict[str, np.ndarray]:
    return {"x": noise(4, 16, seed=seed), "c": np.array(seed % 2 == 0)}


def quantized() -> onnx.ModelProto:
    return graph(
        """(float[N,16] x) => (float y) {
            q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) e = DequantizeLinear(w, s, zw) y = MatMul(d, e)
        }""",
        s=np.float32(0.02),
        z=np.uint8(128),
        zw=np.int8(0),
        w=np.arange(-128, 128, dtype=np.int8).reshape(16, 16),
    )


def recurrent(kind: str, gates: int) -> onnx.ModelProto:
    return graph(
        f"""(float[s,1,16] x) => (float y) {{
            h = MatMul(x, v) o, l = {kind}<hidden_size = 8>(h, w, r) q = Squeeze(o, axis) y = MatMul(q, u)
        }}""",
        v=V,
        w=weight(1, gates * 8, 16),
        r=weight(1, gates * 8, 8),
        u=weight(8, 4),
        axis=np.array([1]),
    )


def ml(tail: str, outputs: str = "float y") -> onnx.ModelProto:
    return graph(
        f"(float[N,16] x) => ({outputs}) {{ h = Gemm<transB = 1>(x, w, b) r = Relu(h) {tail} }}",
        domains=["ai.onnx.ml"],
        w=weight(4, 16),
        b=noise(4),
    )


TREES = """y = ai.onnx.ml.TreeEnsembleRegressor<
    n_targets = 1, nodes_treeids = [0,0,0], nodes_nodeids = [0,1,2], nodes_featureids = [0,0,0],
    nodes_modes = ["BRANCH_LEQ","LEAF","LEAF"], nodes_values = [0.1,0.0,0.0], nodes_truenodeids = [1,0,0],
    nodes_falsenodeids = [2,0,0], target_treeids = [0,0], target_nodeids = [1,2], target_ids = [0,0],
    target_weights = [1.0,2.0]>(r)"""
CLASSIFIER = """l, y = ai.onnx.ml.LinearClassifier<
    coefficients = [1.0,0.0,0.5,0.2, 0.0,1.0,0.1,0.3], intercepts = [0.0,0.1], classlabels_ints = [0,1],
    post_transform = "SOFTMAX">(r)"""

CASES = {
    "If": Case(
        lambda: graph(
            """(float[N,16] x, bool c) => (float y) {
                h = MatMul(x, w)
                k = If(c) <
                    then_branch = t () => (float[N,16] a) { m = MatMul(h, w) a = Add(m, x) },
                    else_branch = e () => (float[N,16] b) { b = Neg(h) }
                >
                y = MatMul(k, v)
            }""",
            w=W,
            v=V,
        ),
        choosing,
        ("MatMul", "MatMul"),
        kept=("If",),
    ),
    "If within If, of names that stand outside too": Case(
        lambda: graph(
            """(float[N,16] x, bool c) => (float y) {
                h = MatMul(x, w)
                y = If(c) <
                    then_branch = t () => (float[N,16] a) {
                        a = If(c) <
                            then_branch = t2 () => (float[N,16] a2) { a2 = MatMul(h, w) },
                            else_branch = e2 () => (float[N,16] b2) { b2 = Relu(x) }
                        >
                    },
                    else_branch = e () => (float[N,16] b) {
                        k = Constant<value = float[1] {2}>() h_quantized = Mul(h, k) b = Neg(h_quantized)
                    }
                >
            }""",
            w=W,
        ),
        choosing,
        kept=("If",),
    ),
    "a branch that reads what an activation follows": Case(
        lambda: graph(
            """(float[N,16] x, bool c) => (float y) {
                h = MatMul(x, w)
                r = Relu(h)
                k = If(c) <
                    then_branch = t () => (float[N,16] a) { a = Neg(h) },
                    else_branch = e () => (float[N,16] b) { b = Identity(r) }
                >
                s = Sub(r, k)
                y = MatMul(s, v)
            }""",
            w=W,
            v=V,
        ),
        choosing,
        ("MatMul", "MatMul"),
        kept=("If",),
    ),
    "If of constant condition": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                y = If(yes) <
                    then_branch = t () => (float[N,16] a) { a = MatMul(x, w) },
                    else_branch = e () => (float[N,16] b) { b = Neg(x) }
                >
            }""",
            w=W,
            yes=np.array(True),
        ),
        ROWS,
    ),
    "Loop": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                h = MatMul(x, w)
                k, all = Loop(three, yes, h) <
                    body = b (int64 i, bool go, float[N,16] s) => (bool on, float[N,16] t, float[N,16] each) {
                        on = Identity(go) m = MatMul(s, w) t = Tanh(m) each = Add(t, h)
                    }
                >
                y = MatMul(k, v)
            }""",
            w=W,
            v=V,
            three=np.array(3),
            yes=np.array(True),
        ),
        ROWS,
        ("MatMul", "MatMul"),
        kept=("Loop",),
    ),
    "Scan": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                h = MatMul(x, w)
                last, all = Scan<num_scan_inputs = 1,
                    body = b (float[16] s, float[16] row) => (float[16] t, float[16] each) {
                        t = Add(s, row) each = Mul(t, row)
                    }
                >(zero, h)
                y = MatMul(all, v)
            }""",
            w=W,
            v=V,
            zero=np.zeros(16, np.float32),
        ),
        ROWS,
        ("MatMul", "MatMul"),
        kept=("Scan",),
    ),
    "functions within functions": Case(
        lambda: graph(
            "(float[N,16] x) => (float y) { h = my.layer<n = 1>(x, w) y = my.layer<n = 1>(h, v) }",
            domains=["my"],
            functions=[
                '<domain: "my", opset_import: ["" : 17, "my" : 1]> layer <n> (a, b) => (c) '
                "{ m = MatMul(a, b) c = my.act(m) }",
                '<domain: "my", opset_import: ["" : 17]> act (a) => (b) { h = Relu(a) b = Add(h, a) }',
            ],
            w=W,
            v=V,
        ),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "a function of an older opset": Case(
        lambda: graph(
            "(float[N,16] x) => (float y) { h = my.layer(x, w) y = Relu(h) }",
            opset=11,
            domains=["my"],
            functions=[
                '<domain: "my", opset_import: ["" : 11]> layer (a, b) => (c) { m = MatMul(a, b) c = Softmax(m) }'
            ],
            w=W,
        ),
        ROWS,
    ),
    "LSTM": Case(lambda: recurrent("LSTM", 4), normal(x=(5, 1, 16)), ("MatMul", "MatMul"), kept=("LSTM",)),
    "GRU": Case(lambda: recurrent("GRU", 3), normal(x=(5, 1, 16)), ("MatMul", "MatMul"), kept=("GRU",)),
    "ai.onnx.ml Normalizer and Scaler": Case(
        lambda: ml('n = ai.onnx.ml.Normalizer<norm = "L2">(r) y = ai.onnx.ml.Scaler<offset = [0.1], scale = [2.0]>(n)'),
        ROWS,
        ("Gemm",),
        kept=("Normalizer", "Scaler"),
    ),
    "ai.onnx.ml LinearClassifier": Case(
        lambda: ml(CLASSIFIER, "int64 l, float y"), ROWS, ("Gemm",), kept=("LinearClassifier",)
    ),
    "ai.onnx.ml TreeEnsembleRegressor": Case(
        lambda: ml(TREES), ROWS, ("Gemm",), kept=("TreeEnsembleRegressor",), sqnr=10
    ),
    "com.microsoft": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                h = MatMul(x, w) g = com.microsoft.Gelu(h) f = com.microsoft.FusedMatMul<alpha = 0.5>(g, v)
                t = Transpose(f) r = Relu(t) b = Transpose(r) y = MatMul(b, w)
            }""",
            domains=["com.microsoft"],
            w=W,
            v=V,
        ),
        ROWS,
        ("MatMul", "MatMul", "MatMul"),  # the fused one is taken apart
        kept=("Gelu",),
    ),
    "ConvTranspose": Case(
        lambda: graph(
            "(float[1,4,8,8] x) => (float y) { c = Conv(x, w) y = ConvTranspose<strides = [2,2]>(c, u, b) }",
            w=weight(4, 4, 3, 3),
            u=weight(4, 6, 2, 2),
            b=noise(6),
        ),
        normal(x=(1, 4, 8, 8)),
        ("Conv",),
        kept=("ConvTranspose",),
    ),
    "sequences": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                h = MatMul(x, w) s = SplitToSequence<axis = 1>(h, eight) a = SequenceAt(s, one) y = MatMul(a, u)
            }""",
            w=W,
            u=weight(8, 4),
            eight=np.array(8),
            one=np.array(1),
        ),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "quantized already": Case(quantized, ROWS, told="is quantized already; give the float model"),
    "quantized already, in integer operators": Case(
        lambda: graph(
            """(float[N,16] x) => (float y) {
                q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, z) f = Cast<to = 1>(i) y = Mul(f, s)
            }""",
            w=np.arange(-128, 128, dtype=np.int8).reshape(16, 16),
        ),
        ROWS,
        told="is quantized already; give the float model",
    ),
    "quantized already, within a function": Case(
        lambda: graph(
            "(float[N,16] x) => (float y) { h = my.fake(x, s, z) y = MatMul(h, w) }",
            domains=["my"],
            functions=[
                '<domain: "my", opset_import: ["" : 17]> fake (a, s, z) => (c) '
                "{ q = QuantizeLinear(a, s, z) c = DequantizeLinear(q, s, z) }"
            ],
            w=W,
            s=np.float32(0.02),
            z=np.uint8(128),
        ),
        ROWS,
        told="is quantized already; give the float model",
    ),
    "nothing to quantize": Case(
        lambda: graph("(float[N,16] x) => (float y) { y = Relu(x) }"),
        ROWS,
        told="has nothing to quantize: no Conv, Gemm, MatMul; ship it in float",
    ),
    "everything in branches": Case(
        lambda: graph(
            """(float[N,16] x, bool c) => (float y) {
                y = If(c) <
                    then_branch = t () => (float[N,16] a) { a = MatMul(x, w) },
                    else_branch = e () => (float[N,16] b) { b = Neg(x) }
                >
            }""",
            w=W,
        ),
        choosing,
        told="has nothing to quantize: .*; ship it in float",
    ),
    "unknown operator": Case(
        lambda: graph(
            "(float[N,16] x) => (float y) { h = MatMul(x, w) y = com.example.Magic(h) }", domains=["com.example"], w=W
        ),
        ROWS,
        told="com.example",
    ),
    "unknown version": Case(
        lambda: _of_the_future(convnet()),
        IMAGES,
        told="opset",
    ),
}


def _of_the_future(model: onnx.ModelProto) -> onnx.ModelProto:
    model.opset_import[0].version = 99
    return model
