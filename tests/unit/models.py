"""Small models for the tests, written in ONNX's text form; weights are seeded, so every run sees the same."""

import numpy as np
import onnx
import onnx.parser

from edgeonnx.model import Model, session_options


def proto(text, opset=17, ir_version=8, domains=(), functions=(), **weights):
    """A model from `(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }`; weights are arrays by name."""
    imports = ", ".join([f'"" : {opset}', *(f'"{domain}" : 1' for domain in domains)])
    header = f"<ir_version: {ir_version}, opset_import: [{imports}]>"
    model = onnx.parser.parse_model("\n".join([header, f"graph {text}", *functions]))
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def build(text, **more):
    """As `proto`, wrapped."""
    return Model.from_proto(proto(text, **more))


def noise(*shape, seed=0, scale=1.0):
    """Standard normal values, float32."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def weight(*shape, seed=1):
    """Weights that keep the magnitude of what they are applied to: normal, divided by the root of the fan-in."""
    return noise(*shape, seed=seed, scale=float(np.prod(shape[1:])) ** -0.5)


def run(model, feeds, optimize=True):
    """Outputs by name."""
    names = [tensor.name for tensor in model.outputs]
    return dict(zip(names, model.session(session_options(optimize=optimize)).run(names, feeds), strict=True))


def run_proto(model, feeds):
    """Outputs by name, of a protobuf model, by onnxruntime without anything of edgeonnx in between."""
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def sqnr(reference, got):
    """Signal to quantization noise, in dB."""
    reference, got = reference.astype(np.float64), got.astype(np.float64)
    error = float(np.sum((reference - got) ** 2))
    return float("inf") if not error else 10 * np.log10(float(np.sum(reference**2)) / error)


def operators(model):
    """Operator types of the main graph, in order."""
    return [node.op_type for node in model.ir.graph]


def convnet(opset=17, **more):
    """A small classifier: Conv, Relu, depthwise Conv, Clip, residual Add, pooling, Gemm."""
    return proto(
        """(float[N,8,12,12] x) => (float[N,5] y) {
            c = Conv<pads = [1,1,1,1]>(x, w1, b1)
            r = Relu(c)
            d = Conv<pads = [1,1,1,1], group = 16>(r, w2, b2)
            q = Clip(d, zero, six)
            a = Add(r, q)
            g = GlobalAveragePool(a)
            f = Flatten(g)
            y = Gemm<transB = 1>(f, w3, b3)
        }""",
        opset=opset,
        w1=weight(16, 8, 3, 3),
        b1=noise(16, seed=2, scale=0.1),
        w2=weight(16, 1, 3, 3, seed=3),
        b2=noise(16, seed=4, scale=0.1),
        zero=np.float32(0),
        six=np.float32(6),
        w3=weight(5, 16, seed=5),
        b3=noise(5, seed=6, scale=0.1),
        **more,
    )
