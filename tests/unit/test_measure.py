"""What is scored was not calibrated on; the yardstick scores by labels, agreement or the user's own function."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import build, noise, run, weight

from edgeonnx.errors import DataError, MetricError, ModelError
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.verbs.data import Preparation, predictor
from edgeonnx.verbs.measure import Yardstick, divide

MODEL = build("(float[N,8] x) => (float[N,3] y) { y = MatMul(x, w) }", w=weight(8, 3))
PREPARE = Preparation(MODEL, None)


def data(count, seed=0, labels=True):
    x = noise(count, 8, seed=seed)
    return {"x": x, "labels": run(MODEL, {"x": x})["y"].argmax(axis=1)} if labels else {"x": x}


@given(count=st.integers(2, 60), limit=st.integers(1, 80))
def test_no_sample_does_both(count, limit):
    calibration, evaluation = divide(PREPARE, data(count), None, None, limit)
    assert not set(calibration.indexes) & set(evaluation.indexes)
    assert len(calibration.indexes) + len(evaluation.indexes) == count
    assert 1 <= len(calibration.indexes) <= limit
    assert len(evaluation.indexes) >= count // 2
    assert calibration.samples is evaluation.samples


@given(count=st.integers(1, 60), limit=st.integers(1, 80))
def test_with_data_of_its_own_evaluation_leaves_all_to_calibration(count, limit):
    calibration, evaluation = divide(PREPARE, data(count), data(7, seed=1), None, limit)
    assert len(calibration.indexes) == min(count, limit)
    assert sorted(set(calibration.indexes)) == list(calibration.indexes)
    assert calibration.indexes[-1] < count
    assert evaluation.indexes == tuple(range(7))
    assert evaluation.samples is not calibration.samples


def test_a_metric_brings_its_own_samples():
    calibration, evaluation = divide(PREPARE, data(5), None, lambda predict: 1.0, 3)
    assert len(calibration.indexes) == 3
    assert evaluation is None


def test_one_sample_cannot_be_divided():
    with pytest.raises(DataError, match="at least 2 samples"):
        divide(PREPARE, data(1), None, None, 5)


def evaluation_of(samples):
    return divide(PREPARE, samples, samples, None, 1)[1]


def test_labels_make_it_top_1():
    yardstick = Yardstick(MODEL, PREPARE, evaluation_of(data(20)))
    assert (yardstick.metric, yardstick.float_score) == ("top-1", 1.0)
    wrong = build("(float[N,8] x) => (float[N,3] y) { h = MatMul(x, w) y = Neg(h) }", w=weight(8, 3))
    assert yardstick.score(wrong) == 0.0


def test_without_labels_it_is_agreement():
    yardstick = Yardstick(MODEL, PREPARE, evaluation_of(data(20, labels=False)))
    assert (yardstick.metric, yardstick.float_score) == ("agreement with float", 1.0)
    assert yardstick.score(MODEL) == 1.0


def test_a_function_of_the_users_own():
    seen = []

    def metric(predict):
        seen.append(predict({"x": noise(1, 8)})["y"].shape)
        return 0.25

    yardstick = Yardstick(MODEL, PREPARE, None, metric)
    assert (yardstick.metric, yardstick.float_score) == ("metric", 0.25)
    assert seen == [(1, 3)] * 2  # twice: it has to be deterministic
    numbers = iter(noise(9))
    with pytest.raises(MetricError, match="expected the same"):
        Yardstick(MODEL, PREPARE, None, lambda predict: next(numbers))
    with pytest.raises(MetricError, match="--eval-data or --metric"):
        Yardstick(MODEL, PREPARE, None)


def test_speed_is_paired():
    calibration, _ = divide(PREPARE, data(3), data(3), None, 3)
    speed = Yardstick(MODEL, PREPARE, evaluation_of(data(3))).speed(MODEL, calibration)
    assert speed.first.runs == speed.second.runs >= 30
    assert speed.low <= speed.ratio <= speed.high


def test_preparation_with_a_pipeline():
    model = build("(float[1,1,2,2] x) => (float[1,4] y) { y = Flatten(x) }")
    spec = PipelineSpec.model_validate(
        {"input": {"x": {"type": "image", "color": "grey", "normalize": {"scale": 255}}}}
    )
    prepare = Preparation(model, spec)
    pixels = np.array([[[0], [51]], [[102], [255]]], np.uint8)
    (sample,) = prepare.open({"x": pixels[None]}).feeds()
    np.testing.assert_array_equal(sample["x"], pixels)
    np.testing.assert_allclose(predictor(model, prepare)(sample)["y"], [[0, 0.2, 0.4, 1]], rtol=1e-6)
    with pytest.raises(DataError, match="a sample does not fit the pipeline"):
        prepare({"x": pixels[:1]})
    with pytest.raises(ModelError, match="the model does not run on a sample"):
        predictor(MODEL, PREPARE)({"x": noise(1, 9)})


def test_a_users_metric_sees_results_and_the_models_own_outputs():
    model = build(
        "(float[1,1,2,2] x) => (float[1,4] y, float[1] z) { y = Flatten(x) z = ReduceMax<axes = [1], keepdims = 0>(y) }"
    )
    output = {"type": "classification", "scores": "y", "activation": "softmax"}
    spec = PipelineSpec.model_validate({"input": {"x": {"type": "image", "color": "grey"}}, "output": output})
    prepare = Preparation(model, spec)
    sample = {"x": np.array([[[0], [1]], [[2], [3]]], np.uint8)}
    raw = predictor(model, prepare)(sample)
    assert list(raw) == ["y", "z"]
    seen = predictor(model, prepare, finished=True)(sample)
    np.testing.assert_allclose(seen["probabilities"], [np.exp([0, 1, 2, 3]) / np.exp([0, 1, 2, 3]).sum()], rtol=1e-5)
    assert (list(seen), seen["y"].tolist()) == (["y", "z", "probabilities"], [[0, 1, 2, 3]])
    yardstick = Yardstick(model, prepare, None, lambda predict: float(predict(sample)["probabilities"].max()))
    assert yardstick.float_score == yardstick.score(model) == pytest.approx(0.644, abs=1e-3)


def test_notes_reach_the_postprocessing():
    """Boxes come back in pixels of the picture, whose size only preprocessing knows."""
    text = (
        "(float[1,3,8,8] x) => (float[1,2,6] y) { m = ReduceMean<keepdims = 0>(x) n = Mul(m, zero) y = Add(rows, n) }"
    )
    rows = np.array([[[0, 0, 4, 4, 0.9, 1], [2, 2, 8, 8, 0.8, 0]]], np.float32)
    model = build(text, zero=np.float32(0), rows=rows)
    image = {"type": "image", "resize": {"size": 8}}
    spec = PipelineSpec.model_validate({"input": {"x": image}, "output": {"type": "detection", "format": "rows"}})
    seen = predictor(model, Preparation(model, spec), finished=True)({"x": np.zeros((16, 32, 3), np.uint8)})
    np.testing.assert_allclose(seen["boxes"], [[0, 0, 16, 8], [8, 4, 32, 16]], atol=1e-4)
    assert seen["classes"].tolist() == [1, 0]
    assert seen["y"].shape == (1, 2, 6)
