"""examples/keyword_spotting: features as in training, INT8 as good as float, words heard in a stream."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgeonnx
from edgeonnx.pipeline.graph import preprocessing

EXAMPLE = Path(__file__).parents[2] / "examples" / "keyword_spotting"

LABELS = (EXAMPLE / "labels.txt").read_text("utf-8").split()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("keywords")
    result = edgeonnx.quantize(
        EXAMPLE / "keywords.onnx",
        EXAMPLE / "calibration.npz",
        output=folder / "keywords.int8.onnx",
        target="raspberrypi",
        eval_data=EXAMPLE / "test.npz",
        pipeline=EXAMPLE / "pipeline.toml",
        recipe="fast",
        max_drop=0.03,
        force=True,  # on a machine of the target's kind it is timed, and this is no test of speed
    )
    assert result.score >= result.float_score - 0.03
    options = {"pipeline": EXAMPLE / "pipeline.toml", "labels": EXAMPLE / "labels.txt", "data": EXAMPLE / "test.npz"}
    return edgeonnx.package(result.model, "raspberrypi", folder / "keywords.edge", **options).path


def test_features_are_those_of_training():
    """What torch and librosa make of four recordings, within 1e-4 of their standard deviation."""
    import onnxruntime as ort

    model = edgeonnx.Model.load(EXAMPLE / "keywords.onnx")
    before = preprocessing(model, edgeonnx.load_pipeline(EXAMPLE / "pipeline.toml"))
    session = ort.InferenceSession(before.to_proto().SerializeToString(), providers=["CPUExecutionProvider"])
    with np.load(EXAMPLE / "reference.npz") as reference:
        for audio, features in zip(reference["audio"], reference["features"], strict=True):
            np.testing.assert_allclose(session.run(None, {"audio": audio})[0][0], features, atol=1e-4)


def test_recorded_words_are_understood(bundle):
    """35 words of three people whom the model was not trained on; the last of test.npz."""
    model = edgeonnx.load(bundle)
    with np.load(EXAMPLE / "test.npz") as test:
        audio, labels = test["audio"][-35:], test["labels"][-35:]
    right = [model(sample).index == label for sample, label in zip(audio, labels, strict=True)]
    assert sum(right) >= 22  # the README says 25


def test_a_recording_of_another_length(bundle):
    assert edgeonnx.load(bundle)(str(EXAMPLE / "five.wav")).outputs["probabilities"].shape == (1, 11)


def test_listening(bundle):
    """On the device: the bundle's own runtime, the recording in pieces of a tenth of a second."""
    words = [sys.executable, EXAMPLE / "listen.py", bundle, EXAMPLE / "countdown.wav"]
    environment = {**os.environ, "PYTHONPATH": str(bundle)}
    ran = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    heard = [line.split()[-1] for line in ran.stdout.splitlines()]
    assert {"seven", "five", "three"} <= set(heard)
    assert set(heard) <= {"nine", "eight", "seven", "six", "five", "four", "three", "two", "zero"}
    assert heard == sorted(heard, key=LABELS.index, reverse=True)  # it counts down
