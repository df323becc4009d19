"""onnxruntime's fused products taken apart: the same outputs, in operators that quantize and prune know."""

import numpy as np
import pytest

import edgeonnx
from edgeonnx.optimize.normalize import plain
from tests.unit.models import build, noise, operators, run, weight

CONV = "(float[1,3,6,6] x, float[1,4,4,4] z) => (float[1,4,4,4] y) {{ y = com.microsoft.FusedConv<{}>({}) }}"
GEMM = "(float[2,5] x) => (float[2,4] y) {{ y = com.microsoft.FusedGemm<{}>(x, w, b) }}"
MATMUL = "(float[2,{}] x) => (float[a,b,c] y) {{ y = com.microsoft.FusedMatMul<{}>(x, w) }}"


def same(model, feeds, expected):
    made = plain(model)
    assert operators(made) == expected
    np.testing.assert_allclose(run(made, feeds)["y"], run(model, feeds)["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("activation", "inputs", "expected"),
    [
        ('activation = "Relu"', "x, w, b", ["Conv", "Relu"]),
        ('activation = "Relu"', "x, w, b, z", ["Conv", "Add", "Relu"]),
        ('activation = "LeakyRelu", activation_params = [0.3]', "x, w", ["Conv", "LeakyRelu"]),
        ('activation = "Clip", activation_params = [0.0, 0.5]', "x, w, b", ["Conv", "Clip"]),
        ('activation = "HardSigmoid", activation_params = [0.2, 0.5]', "x, w, b", ["Conv", "HardSigmoid"]),
    ],
)
def test_convolutions(activation, inputs, expected):
    model = build(CONV.format(activation, inputs), domains=["com.microsoft"], w=weight(4, 3, 3, 3), b=noise(4))
    same(model, {"x": noise(1, 3, 6, 6), "z": noise(1, 4, 4, 4, seed=1)}, expected)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('activation = "Relu", alpha = 0.5', ["Gemm", "Relu"]),
        ('activation = "LeakyRelu", activation_alpha = 0.2, transB = 1', ["Gemm", "LeakyRelu"]),
    ],
)
def test_gemm(attributes, expected):
    w = weight(4, 5) if "transB" in attributes else weight(5, 4)
    same(build(GEMM.format(attributes), domains=["com.microsoft"], w=w, b=noise(4)), {"x": noise(2, 5)}, expected)


@pytest.mark.parametrize(
    ("sizes", "attributes", "shape", "expected"),
    [
        ("3,5", "alpha = 0.5", (5, 4), ["MatMul", "Mul"]),
        ("3,5", "transB = 1", (4, 5), ["Transpose", "MatMul"]),
        ("5,3", "transA = 1, alpha = 2.0", (5, 4), ["Transpose", "MatMul", "Mul"]),
    ],
)
def test_products(sizes, attributes, shape, expected):
    model = build(MATMUL.format(sizes, attributes), domains=["com.microsoft"], w=weight(*shape))
    same(model, {"x": noise(2, *map(int, sizes.split(",")))}, expected)


def test_what_is_not_known_stays():
    text = MATMUL.format("3,5", "transBatchA = 1")
    assert operators(plain(build(text, domains=["com.microsoft"], w=weight(2, 5, 4)))) == ["FusedMatMul"]


def test_a_model_fused_for_a_target_is_pruned_and_quantized(examples, tmp_path):
    fused = edgeonnx.optimize(examples / "mobilenetv1.onnx", target="raspberrypi").model
    assert "FusedConv" in operators(fused)
    data, pipeline = examples / "calibration.npz", examples / "pipeline.toml"
    pruned = edgeonnx.prune(fused, data, ratio=0.1, target="raspberrypi", max_drop=1, pipeline=pipeline).model
    result = edgeonnx.quantize(
        pruned, data, target="raspberrypi", recipe="fast", max_drop=1, force=True, pipeline=pipeline
    )
    assert operators(result.model).count("Conv") > 10
    assert result.model.weight_bytes < pruned.weight_bytes / 2
