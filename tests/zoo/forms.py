"""How the same model may be written down: opsets, weights, names, order, inputs and outputs."""

import numpy as np
import onnx

from tests.unit.models import convnet, noise, proto, weight
from tests.zoo.case import Case, edited, normal

OLDEST, NEWEST = 7, min(onnx.defs.onnx_opset_version(), 28)
IMAGES = normal(x=(2, 8, 12, 12))
ROWS = normal(x=(4, 16))
W = weight(16, 16)
TWO_LAYERS = "(float[N,16] x) => (float[N,16] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }"
WEIGHTS = {"w": W, "v": weight(16, 16, seed=2)}
NET = ("Conv", "Conv", "Gemm")


def of_opset(opset: int) -> onnx.ModelProto:
    """Conv, BatchNormalization, Clip, Gemm, as an exporter of that time writes them."""
    clip = "Clip(n, zero, six)" if opset >= 11 else "Clip<min = 0.0, max = 6.0>(n)"
    dropout = "Dropout(f)" if opset >= 12 else "Dropout<ratio = 0.5>(f)"
    ir_version = {7: 3, 8: 3, 9: 4}.get(opset, 14 if opset > 25 else 10 if opset > 20 else 7)
    model = proto(
        f"""(float[N,8,12,12] x) => (float[N,5] y) {{
            c = Conv<kernel_shape = [3,3], pads = [1,1,1,1]>(x, w1)
            n = BatchNormalization(c, s, b, m, v)
            q = {clip}
            g = GlobalAveragePool(q)
            f = Flatten(g)
            d = {dropout}
            y = Gemm<transB = 1>(d, w3, b3)
        }}""",
        opset=opset,
        ir_version=ir_version,
        w1=weight(16, 8, 3, 3),
        s=noise(16, seed=1) * 0.1 + 1,
        b=noise(16, seed=2),
        m=noise(16, seed=3),
        v=np.abs(noise(16, seed=4)) + 0.5,
        w3=weight(5, 16, seed=5),
        b3=noise(5, seed=6),
        **({"zero": np.float32(0), "six": np.float32(6)} if opset >= 11 else {}),
    )
    return edited(model, weights_also_inputs) if ir_version == 3 else model


def weights_also_inputs(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def weights_in_constants(model: onnx.ModelProto) -> None:
    nodes = [onnx.helper.make_node("Constant", [], [t.name], value=t) for t in model.graph.initializer]
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)


def nodes_backwards(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def node_names(*names: str):
    def edit(model: onnx.ModelProto) -> None:
        for index, node in enumerate(model.graph.node):
            node.name = names[index % len(names)]

    return edit


def tensor_names(**names: str):
    """Rename tensors of the main graph wherever they stand."""

    def edit(model: onnx.ModelProto) -> None:
        graph = model.graph
        for item in (*graph.input, *graph.output, *graph.initializer):
            item.name = names.get(item.name, item.name)
        for node in graph.node:
            for side in (node.input, node.output):
                side[:] = [names.get(name, name) for name in side]

    return edit


def domain_spelled_out(model: onnx.ModelProto) -> None:
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"


def external(model: onnx.ModelProto) -> None:
    """Attributes that say nothing: documentation, metadata, an unused initializer and function domain."""
    model.doc_string, model.producer_name = "about", "somebody"
    model.graph.initializer.append(onnx.numpy_helper.from_array(noise(3), "nobody_reads_me"))
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 3))
    model.metadata_props.add(key="author", value="somebody")


def no_shapes(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")


def rows(text: str, *edits, opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    return edited(proto(text, opset=opset, **(weights or WEIGHTS)), *edits)


def two_layers(*edits) -> Case:
    return Case(lambda: rows(TWO_LAYERS, *edits), ROWS, ("MatMul", "MatMul"))


CASES = {
    **{
        f"opset {n}": Case(lambda n=n: of_opset(n), normal(x=(2, 8, 12, 12)), ("Conv", "Gemm"))
        for n in range(OLDEST, NEWEST + 1)
    },
    "weights in Constant nodes": Case(lambda: edited(convnet(), weights_in_constants), IMAGES, NET),
    "weights also inputs": Case(lambda: edited(convnet(), weights_also_inputs), IMAGES, NET),
    "nodes in no order": Case(lambda: edited(convnet(), nodes_backwards), IMAGES, NET),
    "nodes without names": Case(lambda: edited(convnet(), node_names("")), IMAGES, NET),
    "nodes of one name": Case(lambda: edited(convnet(), node_names("same", "same", "other")), IMAGES, NET),
    "nodes named like ours": Case(
        lambda: edited(convnet(), node_names("x_QuantizeLinear", "w1_DequantizeLinear", "r_DequantizeLinear")),
        IMAGES,
        NET,
    ),
    "domain spelled out": Case(lambda: edited(convnet(), domain_spelled_out), IMAGES, NET),
    "unused things": Case(lambda: edited(convnet(), external), IMAGES, NET),
    "tensors named like ours": two_layers(
        tensor_names(h="x_QuantizeLinear_Output", r="x_DequantizeLinear_Output", w="x_scale", v="x_zero_point")
    ),
    "tensors named like calibration's": two_layers(tensor_names(h="edgeonnx.low", r="edgeonnx.one", w="edgeonnx.high")),
    "inputs and outputs named like ours": Case(
        lambda: rows(
            """(float[N,16] h_scale, float[N,16] x_quantized) =>
               (float[N,16] x_quantized_QuantizeLinear_Output, float[N,16] w_quantized) {
                h = MatMul(h_scale, w)
                w_quantized = MatMul(x_quantized, w)
                x_quantized_QuantizeLinear_Output = Add(h, w_quantized)
            }""",
            w=W,
        ),
        normal(h_scale=(4, 16), x_quantized=(4, 16)),
        ("Gemm", "MatMul"),
    ),
    "a name with spaces and dots": Case(
        lambda: rows(TWO_LAYERS, tensor_names(h="a b", r="/layer.1/é", x="serving_default:0")),
        normal(**{"serving_default:0": (4, 16)}),
        ("MatMul", "MatMul"),
    ),
    "several inputs and outputs": Case(
        lambda: rows(
            """(float[N,16] b, float[N,16] a) => (float[N,16] z, float[N,16] y, float[N,16] h) {
                h = MatMul(a, w)
                z = Relu(h)
                y = MatMul(b, v)
            }"""
        ),
        normal(a=(4, 16), b=(4, 16)),
        ("MatMul", "MatMul"),
    ),
    "an output that others read": Case(
        lambda: rows(
            "(float[N,16] x) => (float[N,16] h, float[N,16] y) { h = MatMul(x, w) r = Relu(h) y = MatMul(r, v) }"
        ),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "an output that is a weight": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] y, float[16,16] w) { y = MatMul(x, w) }", w=W), ROWS
    ),
    "an output that is an input": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] x, float[N,16] y) { y = MatMul(x, w) }", w=W), ROWS
    ),
    "an input passed through": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] z, float[N,16] y) { z = Identity(x) y = MatMul(x, w) }", w=W),
        ROWS,
    ),
    "an unused input": Case(
        lambda: rows("(float[N,16] x, float[3] unused) => (float[N,16] y) { y = MatMul(x, w) }", w=W),
        normal(x=(4, 16), unused=(3,)),
    ),
    "two outputs of one tensor": Case(
        lambda: rows(
            """(float[N,16] x) => (float[N,16] a, float[N,16] b) {
                h = MatMul(x, w) a = Identity(h) b = Identity(h)
            }""",
            w=W,
        ),
        ROWS,
    ),
    "one output twice": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] y, float[N,16] y) { y = MatMul(x, w) }", w=W),
        ROWS,
        told="y is returned twice; give each output a name of its own",
    ),
    "shared weights": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] y) { h = MatMul(x, w) r = Tanh(h) y = MatMul(r, w) }", w=W),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "weights shared as they are and transposed": Case(
        lambda: rows("(float[N,16] x) => (float[N,16] y) { h = MatMul(x, w) t = Transpose(w) y = MatMul(h, t) }", w=W),
        ROWS,
        ("MatMul", "MatMul"),
    ),
    "weights shared with a table": Case(
        lambda: rows(
            """(float[N,16] x, int64[N] i) => (float[N,16] y) {
                e = Gather(w, i) s = Add(x, e) y = MatMul(s, w)
            }""",
            w=W,
        ),
        lambda seed: {"x": noise(4, 16, seed=seed), "i": np.arange(seed, seed + 4) % 16},
    ),
    "a bias shared by two layers": Case(
        lambda: rows(
            """(float[N,16] x) => (float[N,16] y) {
                h = Gemm<transB = 1>(x, w, b) r = Relu(h) y = Gemm<transB = 1>(r, w, b)
            }""",
            w=W,
            b=noise(16),
        ),
        ROWS,
        ("Gemm", "Gemm"),
    ),
    "dynamic batch, height and width": Case(
        lambda: proto(
            """(float[n,4,h,w] x) => (float[n,3] y, float[a,b,c,d] p) {
                c = Conv<pads = [1,1,1,1]>(x, w1) r = Relu(c) p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(r)
                d = Conv(p, w2) g = GlobalAveragePool(d) y = Flatten(g)
            }""",
            w1=weight(8, 4, 3, 3),
            w2=weight(3, 8, 3, 3),
        ),
        lambda seed: {"x": noise(1 + seed % 3, 4, 8 + seed, 20 - seed, seed=seed)},
        ("Conv", "Conv"),
    ),
    "dynamic sequence": Case(
        lambda: rows(
            """(float[n,s,16] x) => (float[n,s,16] y) {
                q = MatMul(x, w) k = MatMul(x, v) t = Transpose<perm = [0,2,1]>(k)
                a = MatMul(q, t) p = Softmax(a) c = MatMul(p, x) y = Add(c, x)
            }"""
        ),
        lambda seed: {"x": noise(1, 3 + seed, 16, seed=seed, scale=0.5)},
        ("MatMul", "MatMul"),
    ),
    "shapes unknown": Case(
        lambda: rows("(float x) => (float y) { h = MatMul(x, w) y = Relu(h) }", no_shapes, w=W),
        ROWS,
    ),
    "optional inputs left out": Case(
        lambda: proto(
            """(float[1,4,8,8] x) => (float[1,4,a,b] y) {
                c = Conv<pads = [1,1,1,1]>(x, w) q = Clip(c, , six) u = Resize(q, , s) y = Clip(u, low)
            }""",
            w=weight(4, 4, 3, 3),
            six=np.float32(6),
            low=np.float32(-1),
            s=np.array([1, 1, 2, 2], np.float32),
        ),
        normal(x=(1, 4, 8, 8)),
        ("Conv",),
    ),
    "variadic": Case(
        lambda: rows(
            """(float[N,16] x) => (float[N,16] y) {
                h = MatMul(x, w) s = Sum(h, x, h) m = Max(s, x) k = Concat<axis = 1>(h) c = Mean(m, k) y = MatMul(c, v)
            }"""
        ),
        ROWS,
        ("MatMul", "MatMul"),
    ),
}
