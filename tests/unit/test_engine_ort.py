"""The engine that is onnxruntime's own quantizer, and what any engine's proposal must be."""

import numpy as np
import onnx
import pytest

from edgeonnx.engines import NAMES, Failure, Proposal, load_engine
from edgeonnx.engines.base import integer_nodes, proposal
from edgeonnx.errors import EngineError
from edgeonnx.model import session_options
from tests.unit.fashion import calibration, fashion_model, top1
from tests.unit.models import build, proto

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3)).astype(np.float32)


def small():
    return build("(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", w=WEIGHT)


def samples():
    return [{"x": np.linspace(-1, 1, 4, dtype=np.float32)[None] * scale} for scale in (0.5, 1.0)]


def proposed(model, feeds, folder, seconds=60.0):
    return list(load_engine("ort").propose(model, feeds, folder, seconds))


def test_three_ways_in_order(tmp_path):
    made = proposed(small(), samples, tmp_path)
    assert [p.name for p in made] == ["ort: per-channel", "ort: per-tensor", "ort: dynamic"]
    assert all(isinstance(p, Proposal) and integer_nodes(p.model) for p in made)


def test_proposals_do_not_need_the_folder_any_more(tmp_path):
    (tmp_path / "work").mkdir()
    first = proposed(small(), samples, tmp_path / "work")[0]
    for file in (tmp_path / "work").iterdir():
        file.unlink()
    outputs = first.model.session(session_options()).run(None, samples()[1])[0]
    np.testing.assert_allclose(outputs, samples()[1]["x"] @ WEIGHT, atol=0.1)


def test_a_real_model_keeps_its_accuracy(tmp_path):
    model = fashion_model("resnet8")
    per_channel = proposed(model, lambda: calibration(32), tmp_path)[0]
    assert top1(per_channel.model, 500) > top1(model, 500) - 0.02


def test_samples_are_read_anew_for_each_way(tmp_path):
    passes = []
    proposed(small(), lambda: passes.append(1) or samples(), tmp_path)
    assert len(passes) == 2  # dynamic quantization reads none


def test_what_fails_is_said_and_the_rest_goes_on(tmp_path):
    made = proposed(small(), lambda: [{"wrong": np.zeros((1, 4), np.float32)}], tmp_path)
    assert [type(p) for p in made] == [Failure, Failure, Proposal]
    assert "wrong" in made[0].reason
    assert "\n" not in made[0].reason


def test_nothing_is_begun_after_its_time(tmp_path):
    made = proposed(small(), samples, tmp_path, seconds=-1)
    assert {type(p) for p in made} == {Failure}
    assert "not begun" in made[0].reason


def test_a_float_model_is_no_proposal(tmp_path):
    assert proposal("x: y", small().save(tmp_path / "float.onnx"), small()).reason == "nothing in it is quantized"


def test_a_model_with_other_outputs_is_no_proposal(tmp_path):
    other = proto("(float[N,4] x) => (float[N,3] z) { z = MatMul(x, w) }", w=WEIGHT)
    onnx.save(other, tmp_path / "other.onnx")
    reason = proposal("x: y", tmp_path / "other.onnx", small()).reason
    assert "expected x float32, y float32, got x float32, z float32" in reason


def test_a_broken_file_is_no_proposal(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no")
    assert "not an ONNX model" in proposal("x: y", tmp_path / "broken.onnx", small()).reason


def test_no_such_engine():
    with pytest.raises(EngineError, match="expected one of ort, inc"):
        load_engine("other")
    assert [load_engine(name).name for name in NAMES] == [*NAMES]
