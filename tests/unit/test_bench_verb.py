"""Bench: models and bundles, alone and in turns, on noise, on data, and on golden samples."""

import numpy as np
import pytest
from models import build, convnet, noise

from edgeonnx import Model, bench, package
from edgeonnx.errors import BundleError, DataError, ModelError
from edgeonnx.extensions import decoded_inputs
from edgeonnx.pipeline.graph import join
from edgeonnx.pipeline.spec import PipelineSpec


@pytest.fixture
def saved(tmp_path):
    return Model.from_proto(convnet()).save(tmp_path / "m.onnx")


def test_a_model_alone(saved):
    result = bench(saved, seconds=0)
    assert (result.subject, result.versus, result.comparison, result.threads) == (saved, None, None, 1)
    assert result.latency.runs == 30
    assert 0 < result.latency.median <= result.latency.p95


def test_against_a_bundle(saved, tmp_path):
    bundle = package(saved, "raspberrypi", tmp_path / "b.edge").path
    result = bench(str(bundle), str(saved), seconds=0, threads=2)
    assert (result.subject, result.versus, result.threads) == (bundle, saved, 2)
    assert result.latency is result.comparison.second
    assert result.comparison.first.runs == result.comparison.second.runs == 30
    assert bench(saved, bundle, seconds=0).subject == saved


def test_on_data(saved):
    assert bench(saved, data={"x": noise(2, 8, 12, 12)}, seconds=0).latency.runs == 30
    with pytest.raises(DataError, match="missing 'x'"):
        bench(saved, data={"z": noise(2)}, seconds=0)


def test_noise_for_any_input(tmp_path):
    text = "(string[N] s, bool[2] b, int64 n, float[N,3] x) => (float[N,3] y) { y = Relu(x) }"
    assert bench(build(text).save(tmp_path / "m.onnx"), seconds=0).latency.runs == 30


def test_a_graph_that_decodes_pictures_is_fed_one(tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    declared = PipelineSpec.model_validate({"input": {"x": {"type": "image", "decode": True, "resize": {"size": 12}}}})
    joined = join(build("(float[1,3,12,12] x) => (float[1,3,12,12] y) { y = Relu(x) }", opset=18), declared)
    assert decoded_inputs(joined.ir) == {"x"}
    assert bench(joined.save(tmp_path / "m.onnx"), seconds=0).latency.runs == 30
    assert package(joined, "x86-64", tmp_path / "m.edge").manifest.golden.origin == "generated"


def test_files_that_can_not_be_timed(tmp_path, saved):
    with pytest.raises(ModelError, match="no such file"):
        bench(tmp_path / "none.onnx")
    (tmp_path / "b.edge").write_bytes(b"x")
    with pytest.raises(BundleError):
        bench(tmp_path / "b.edge")
    bundle = package(saved, "raspberrypi", tmp_path / "e.edge", golden_samples=0).path
    with pytest.raises(BundleError, match="golden"):
        bench(bundle, seconds=0)
    text = "(float[N,4] x) => (float[N,2] y) { y = MatMul(x, w) }"
    model = build(text, w=np.ones((3, 2), np.float32)).save(tmp_path / "bad.onnx")
    with pytest.raises(ModelError):
        bench(model, seconds=0)
