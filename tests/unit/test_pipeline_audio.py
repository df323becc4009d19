"""Audio as the training libraries prepare it: golden files made with librosa and torchaudio (golden/make_audio.py).

The tolerance is 1e-4 throughout, of one plus the reference's magnitude: |got - reference| <= 1e-4 (1 + |reference|).
For logarithms that is 1e-4 of a neper or a decibel near zero. References are float64, the graph is float32.
"""

from pathlib import Path

import numpy as np
import pytest
from models import build, run

from edgeonnx.pipeline.graph import join, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

GOLDEN = Path(__file__).parents[1] / "golden" / "audio.npz"
TOLERANCE = 1e-4

STFT = {"n_fft": 512, "window_length": 400, "hop": 160}
KALDI = {**STFT, "window": "povey", "framing": "window", "remove_dc": True, "pre_emphasis": 0.97}
KALDI_LOG = {"kind": "ln", "floor": float(np.finfo(np.float32).eps)}
LIBROSA = {"n_fft": 2048, "hop": 512, "pad_mode": "constant"}
LIBROSA_MEL = {"count": 128, "scale": "slaney", "norm": "slaney"}
DB = {"kind": "db", "top_db": 80}
SLANEY = {"scale": "slaney", "norm": "slaney"}

SPECS = {
    "torchaudio.spectrogram": {"stft": {"n_fft": 400, "hop": 200, "power": 1}},
    "torchaudio.mel": {"stft": STFT, "mel": {"count": 64, "f_min": 60, "f_max": 7800}},
    "torchaudio.mfcc": {"stft": STFT, "mel": {"count": 64}, "log": DB, "mfcc": {"count": 40}},
    "torchaudio.mfcc_ln": {
        "stft": {**STFT, "framing": "fft"},
        "mel": {"count": 64, **SLANEY},
        "log": {"kind": "ln", "offset": 1e-6},
        "mfcc": {"count": 13},
    },
    "kaldi.fbank": {
        "gain": 32768,
        "stft": KALDI,
        "mel": {"count": 40, "f_min": 20, "f_max": 7600, "triangles": "mel"},
        "log": KALDI_LOG,
        "layout": "NTF",
    },
    "kaldi.mfcc": {
        "gain": 32768,
        "stft": KALDI,
        "mel": {"count": 23, "f_min": 20, "triangles": "mel"},
        "log": KALDI_LOG,
        "mfcc": {"count": 13, "lifter": 22},
        "layout": "NTF",
    },
    "librosa.mel": {"stft": LIBROSA, "mel": LIBROSA_MEL},
    "librosa.db": {"stft": LIBROSA, "mel": LIBROSA_MEL, "log": {**DB, "ref": "max"}},
    "librosa.mfcc": {"stft": LIBROSA, "mel": LIBROSA_MEL, "log": DB, "mfcc": {"count": 20}},
    "whisper": {
        "stft": {"n_fft": 400, "hop": 160, "drop_last": True},
        "mel": {"count": 80, **SLANEY},
        "log": {"kind": "log10", "top_db": 80},
        "normalize": {"mean": -4, "std": 4},
    },
}


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN))


def spec(rate=16000, **audio):
    return PipelineSpec.model_validate({"input": {"audio": {"rate": rate, **audio}}})


def features():
    """A model that takes features of any size."""
    return build("(float[1,A,B] x) => (float[1,A,B] y) { y = Neg(x) }")


def prepared(pipeline, pcm, model):
    (array,) = run(preprocessing(model, pipeline), {"audio": pcm}).values()
    return array


def difference(got, reference):
    """The largest, as a share of one plus the reference's magnitude."""
    assert got.shape == reference.shape
    return float(np.max(np.abs(got - reference.astype(np.float64)) / (1 + np.abs(reference))))


@pytest.mark.parametrize("name", SPECS)
def test_features_are_those_of_the_reference(golden, name):
    got = prepared(spec(**SPECS[name]), golden["pcm"], features())
    assert difference(got[0], golden[name]) <= TOLERANCE


@pytest.mark.parametrize(("source", "target"), [(44100, 16000), (8000, 16000), (48000, 44100), (16000, 11025)])
def test_resampling_is_torchaudios(golden, source, target):
    pipeline = spec(target, source_rate=source)
    reference = golden[f"torchaudio.resample.{source}.{target}"]
    wave = build("(float[N] x) => (float[N] y) { y = Neg(x) }")
    assert difference(prepared(pipeline, golden["pcm"][:2001], wave), reference) <= 1e-6


def test_pre_emphasis_is_torchaudios(golden):
    wave = build("(float[N] x) => (float[N] y) { y = Neg(x) }")
    got = prepared(spec(pre_emphasis=0.97), golden["pcm"][:500], wave)
    assert difference(got, golden["torchaudio.preemphasis"]) <= 1e-6


@pytest.mark.parametrize("name", SPECS)
def test_a_wrong_setting_is_seen(golden, name):
    """The tolerance tells one setting from the next: without it the tests above would show nothing."""
    wrong = {**SPECS[name], "stft": {**SPECS[name]["stft"], "window": "hamming"}}
    got = prepared(spec(**wrong), golden["pcm"], features())
    assert difference(got[0], golden[name]) > 10 * TOLERANCE


@pytest.mark.parametrize("name", SPECS)
def test_joined_is_preprocessing_then_the_model(golden, name):
    pipeline, pcm = spec(**SPECS[name]), golden["pcm"]
    apart = run(features(), {"x": prepared(pipeline, pcm, features())})
    np.testing.assert_array_equal(run(join(features(), pipeline), {"audio": pcm})["y"], apart["y"])


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_models_of_any_opset(golden, opset):
    everything = {
        **SPECS["torchaudio.mfcc"],
        "source_rate": 44100,
        "channels": 2,
        "remove_dc": True,
        "normalize_peak": True,
        "pre_emphasis": 0.9,
        "samples": 8000,
        "align": "center",
        "normalize": {"per": "feature"},
    }
    pcm = golden["pcm"][:, None].repeat(2, axis=1)
    text = "(float[1,40,51] x) => (float[1,2040] y) { y = Flatten(x) }"
    expected = run(join(build(text), spec(**everything)), {"audio": pcm})["y"]
    got = run(join(build(text, opset=opset), spec(**everything)), {"audio": pcm})["y"]
    np.testing.assert_array_equal(got, expected)
    assert np.abs(expected).max() > 1


def test_silence_and_full_scale_stay_finite():
    for name, fields in SPECS.items():
        for pcm in (np.zeros(4000, np.int16), np.full(4000, -32768, np.int16)):
            assert np.isfinite(prepared(spec(**fields), pcm, features())).all(), name


def test_float16_models(golden):
    half = build("(float16[1,80,T] x) => (float16[1,80,T] y) { y = Neg(x) }")
    got = prepared(spec(**SPECS["whisper"]), golden["pcm"], half)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got[0], golden["whisper"], atol=1e-3)
