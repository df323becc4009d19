"""Each step on audio as numpy would do it, the shapes that models ask for, and what does not fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, run

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.graph import check, entries, join, preprocessing
from edgeonnx.pipeline.inputs._rate import needed, resampled
from edgeonnx.pipeline.inputs._spectrum import Stft
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Media

STFT = {"n_fft": 64, "hop": 20, "window_length": 50}


def spec(rate=8000, **audio):
    return PipelineSpec.model_validate({"input": {"audio": {"rate": rate, **audio}}})


def noise(*shape, dtype=np.int16, seed=0):
    values = np.random.default_rng(seed).integers(-20000, 20000, shape)
    return values.astype(np.int16) if dtype == np.int16 else (values / 32768).astype(np.float32)


def model(shape="T", dtype="float"):
    return build(f"({dtype}[{shape}] x) => ({dtype}[{shape}] y) {{ y = Neg(x) }}")


def prepared(sound, /, shape="T", dtype="float", **audio):
    (array,) = run(preprocessing(model(shape, dtype), spec(**audio)), {"audio": sound}).values()
    return array


def test_16_bit_numbers_become_minus_one_to_one():
    pcm = np.array([-32768, -1, 0, 1, 32767], np.int16)
    np.testing.assert_array_equal(prepared(pcm), pcm / np.float32(32768))
    np.testing.assert_array_equal(prepared(pcm, gain=32768), pcm.astype(np.float32))


def test_floats_stay_as_they_are():
    wave = noise(100, dtype=np.float32)
    np.testing.assert_array_equal(prepared(wave, pcm="float32"), wave)


def test_channels_are_averaged():
    pcm = noise(100, 3)
    np.testing.assert_allclose(prepared(pcm, channels=3), pcm.mean(axis=1) / 32768, rtol=1e-6, atol=1e-7)


def test_mean_and_peak():
    pcm = noise(100) // 4 + 5000
    wave = pcm / 32768
    np.testing.assert_allclose(prepared(pcm, remove_dc=True), wave - wave.mean(), atol=1e-6)
    centred_wave = wave - wave.mean()
    both = prepared(pcm, remove_dc=True, normalize_peak=True)
    np.testing.assert_allclose(both, centred_wave / np.abs(centred_wave).max(), atol=1e-5)
    np.testing.assert_array_equal(prepared(np.zeros(9, np.int16), normalize_peak=True), np.zeros(9))


@settings(max_examples=40, deadline=None)
@given(have=st.integers(1, 40), want=st.integers(1, 40), align=st.sampled_from(["start", "center"]))
def test_samples_are_added_and_left_out(have, want, align):
    wave = np.arange(1, have + 1, dtype=np.float32)
    got = prepared(wave, pcm="float32", samples=want, align=align)
    missing = max(want - have, 0)
    before = missing // 2 if align == "center" else 0
    first = max(have - want, 0) // 2 if align == "center" else 0
    kept = wave[first : first + min(have, want)]
    np.testing.assert_array_equal(got, np.pad(kept, (before, missing - before)))


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 500), source=st.integers(1, 30), target=st.integers(1, 30))
def test_as_many_samples_as_were_said(samples, source, target):
    pipeline = {"rate": target, "source_rate": source}
    assert prepared(noise(samples), **pipeline).shape == (resampled(samples, source, target),)
    enough = needed(samples, source, target)
    assert resampled(enough, source, target) >= samples
    assert enough == 1 or resampled(enough - 1, source, target) < samples


@settings(max_examples=60, deadline=None)
@given(
    n_fft=st.integers(2, 40),
    shorter=st.integers(0, 38),
    hop=st.integers(1, 30),
    framing=st.sampled_from(["center", "fft", "window"]),
    pad_mode=st.sampled_from(["reflect", "constant"]),
    drop_last=st.booleans(),
    more=st.integers(0, 60),
)
def test_frames_of_any_settings(n_fft, shorter, hop, framing, pad_mode, drop_last, more):
    fields = {"n_fft": n_fft, "window_length": max(n_fft - shorter, 2), "hop": hop, "framing": framing}
    stft = Stft(**fields, pad_mode=pad_mode, drop_last=drop_last)
    pcm = noise(stft.min_samples + more)
    got = prepared(pcm, "F,T", stft=stft.model_dump())
    expected = spectrogram(pcm / 32768, stft)
    assert got.shape == expected.shape == (stft.bins, stft.frames(len(pcm)))
    np.testing.assert_allclose(got, expected, atol=1e-4)
    least, most = stft.span(got.shape[1])
    assert least <= len(pcm) <= most


def spectrogram(wave, stft):
    """By numpy's transform, frame by frame; everything that is under no window is there all the same."""
    size = stft.length if stft.framing == "window" else stft.n_fft
    before = (size - stft.length) // 2
    window = np.pad(np.hanning(stft.length + 1)[:-1], (before, size - stft.length - before))
    if stft.framing == "center":
        wave = np.pad(wave, stft.n_fft // 2, mode=stft.pad_mode)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (0, size)), size)
    count = (len(wave) - size) // stft.hop + 1 - stft.drop_last
    return np.abs(np.fft.rfft(frames[:: stft.hop][:count] * window, stft.n_fft)).T ** 2


@pytest.mark.parametrize("window", ["hanning", "hamming", "blackman"])
def test_symmetric_windows_are_numpys(window):
    kind = window.replace("hanning", "hann")
    stft = Stft(n_fft=32, hop=8, framing="window", window=kind, periodic=False)
    np.testing.assert_allclose(stft.kernel()[0, 0], getattr(np, window)(32), atol=1e-7)
    periodic = stft.model_copy(update={"periodic": True}).kernel()[0, 0]
    np.testing.assert_allclose(periodic, getattr(np, window)(33)[:-1], atol=1e-7)


def test_normalize_with_given_numbers():
    pcm = noise(400)
    plain = prepared(pcm, "F,T", stft=STFT)
    mean, std = np.linspace(0, 1, 33), np.linspace(1, 2, 33)
    got = prepared(pcm, "F,T", stft=STFT, normalize={"mean": mean.tolist(), "std": std.tolist()})
    np.testing.assert_allclose(got, (plain - mean[:, None]) / std[:, None], rtol=1e-5, atol=1e-5)


def test_normalize_with_the_samples_own():
    pcm = noise(400)
    plain = prepared(pcm, "F,T", stft=STFT).astype(np.float64)
    got = prepared(pcm, "F,T", stft=STFT, normalize={"per": "feature", "unbiased": True, "epsilon": 0.01})
    spread = np.sqrt(plain.var(axis=1, ddof=1, keepdims=True) + 0.01)
    np.testing.assert_allclose(got, (plain - plain.mean(axis=1, keepdims=True)) / spread, atol=1e-4)
    single = prepared(
        pcm[:50], "F,T", stft={**STFT, "framing": "window"}, normalize={"per": "feature", "unbiased": True}
    )
    np.testing.assert_array_equal(single, np.zeros((33, 1)))
    whole = prepared(pcm, normalize={"per": "sample"})
    wave = pcm / 32768
    np.testing.assert_allclose(whole, (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7), atol=1e-5)


LAYOUTS = [
    ("33,T", None, "ft->ft"),
    ("1,33,T", None, "ft->1ft"),
    ("N,1,33,T", None, "ft->11ft"),
    ("T,33", "TF", "ft->tf"),
    ("1,T,33", "NTF", "ft->1tf"),
    ("1,1,T,33", "NCTF", "ft->11tf"),
    ("1,33,T,1", "NFTC", "ft->1ft1"),
    ("1,T,33,1", "NTFC", "ft->1tf1"),
]


@pytest.mark.parametrize(("shape", "layout", "axes"), LAYOUTS)
def test_layouts_of_features(shape, layout, axes):
    pcm = noise(400)
    plain = prepared(pcm, "F,T", stft=STFT)
    result = axes.partition("->")[2]
    expected = plain if "ft" in result else plain.T
    expected = expected.reshape([1 if axis == "1" else plain.shape["ft".index(axis)] for axis in result])
    np.testing.assert_array_equal(prepared(pcm, shape, stft=STFT, layout=layout), expected)


@pytest.mark.parametrize(("shape", "layout"), [("T", None), ("1,T", None), ("N,1,T", None), ("1,T,1", "NTC")])
def test_layouts_of_waveforms(shape, layout):
    pcm = noise(50)
    got = prepared(pcm, shape, layout=layout)
    np.testing.assert_array_equal(got.reshape(-1), pcm / np.float32(32768))
    assert got.ndim == shape.count(",") + 1


def entry(shape, **audio):
    (found,) = entries(model(shape), spec(**audio))
    return found.spec, found.media


def test_what_the_joined_model_takes():
    media = Media("audio", rate=8000)
    assert entry("1,T") == (TensorSpec("audio", "int16", ("audio_samples",)), media)
    assert entry("1,80", pcm="float32")[0] == TensorSpec("audio", "float32", (80,))
    assert entry("1,80", channels=2) == (TensorSpec("audio", "int16", (80, 2)), media._replace(channels=2))
    assert entry("1,80", source_rate=44100) == (TensorSpec("audio", "int16", (436,)), media._replace(rate=44100))
    assert entry("1,80", samples=80)[0].shape == ("audio_samples",)
    assert entry("1,33,T", stft={**STFT, "framing": "fft"})[1] == media._replace(min_samples=64)
    assert entry("1,33,T", stft=STFT)[1] == media._replace(min_samples=26)
    assert entry("1,33,T", stft=STFT, samples=100)[1] == media
    assert entry("1,33,T", stft=STFT, source_rate=4000)[1] == media._replace(rate=4000, min_samples=13)
    assert entry("1,33,6", stft=STFT, stream={"window": 0.0125})[0].shape == (100,)
    joined = join(model("1,33,T"), spec(stft=STFT))
    assert [str(tensor) for tensor in joined.inputs] == ["audio: int16[audio_samples]"]


@pytest.mark.parametrize("framing", ["center", "fft", "window"])
def test_min_samples_are_enough_and_no_more_than_needed(framing):
    fields = {**STFT, "framing": framing}
    least = entry("1,33,T", stft=fields)[1].min_samples
    assert prepared(noise(least), "F,T", stft=fields).shape[1] >= 1
    with pytest.raises(Exception, match=r"Pad|Conv|Slice|shape"):
        prepared(noise(least - 1), "F,T", stft=fields)


MISFITS = [
    ("1,T", "int64", {}, r"audio becomes float32, float16, float64, the model has x: int64\[1,T\]"),
    ("1,1,1,T", "float", {}, r"a waveform becomes an input of 1 to 3 axes, or say layout"),
    ("T", "float", {"stft": STFT}, r"a spectrogram becomes an input of 2 to 4 axes"),
    ("1,T", "float", {"layout": "NCT"}, r"input.audio.layout: NCT is of 3 axes, the model has x: float32\[1,T\]"),
    ("2,T", "float", {}, r"layout NT: expected 2 as N, got 1"),
    ("1,40,T", "float", {"stft": STFT}, r"layout NFT: expected 40 as F, got 33"),
    (
        "1,33,6",
        "float",
        {"stft": STFT},
        r"input.audio.samples: expected 100 to 119, which make 6 frames, got none \(x: ",
    ),
    (
        "1,33,6",
        "float",
        {"stft": STFT, "samples": 120},
        r"audio.samples: expected 100 to 119, which make 6 frames, got 120",
    ),
    ("1,90", "float", {"samples": 80}, r"input.audio.samples: expected 90, got 80"),
    ("1,90", "float", {"stream": {"window": 0.01}}, r"input.audio.stream.window: expected 90, got 80"),
    ("1,9", "float", {"rate": 16000, "source_rate": 8000}, r"input.audio.samples: expected 9, got 10"),
    (
        "1,33,T",
        "float",
        {"stft": {**STFT, "framing": "fft"}, "samples": 50},
        r"samples: expected at least 64, for a frame of stft, got 50",
    ),
    (
        "1,33,T",
        "float",
        {"stft": STFT, "stream": {"window": 0.001}},
        r"stream.window: expected at least 26, for a frame of stft, got 8",
    ),
]


@pytest.mark.parametrize(("shape", "dtype", "audio", "message"), MISFITS)
def test_what_does_not_fit_the_model(shape, dtype, audio, message):
    with pytest.raises(PipelineError, match=message):
        check(model(shape, dtype), spec(**audio))


MISTAKES = [
    ({"mel": {"count": 4}}, "mel: expected stft as well"),
    ({"stft": STFT, "mfcc": {"count": 4}}, "mfcc: expected mel as well"),
    ({"stft": STFT, "mel": {"count": 4}, "mfcc": {"count": 4}}, "mfcc: expected log as well"),
    (
        {"stft": STFT, "mel": {"count": 4}, "log": {"kind": "ln"}, "mfcc": {"count": 5}},
        "mfcc.count: expected at most mel.count, 4, got 5",
    ),
    ({"stft": STFT, "mel": {"count": 4, "f_max": 5000}}, "mel.f_max: expected f_min, 0, < f_max <= 4000, half of rate"),
    ({"stft": {**STFT, "window_length": 65}}, "window_length: expected at most n_fft, 64, got 65"),
    ({"layout": "NFT"}, "layout: expected a waveform's axes, without F, got NFT"),
    ({"stft": STFT, "layout": "NT"}, "layout: expected axes F and T, got NT"),
    ({"stft": STFT, "normalize": {"mean": [1, 2]}}, "normalize.mean: expected 1 number or 33, one a feature, got 2"),
    ({"normalize": {"std": 0}}, "std: expected numbers other than 0"),
    ({"normalize": {"per": "sample", "std": 2}}, "std: per = 'sample' measures it"),
    ({"source_rate": 44101}, "source_rate: expected a rounder ratio to rate than 44101/8000"),
    ({"stft": STFT, "log": {"kind": "log2"}}, "ln"),
    ({"sampels": 4}, "sampels"),
]


@pytest.mark.parametrize(("audio", "message"), MISTAKES)
def test_what_does_not_fit_together(audio, message):
    with pytest.raises(PipelineError, match=message):
        PipelineSpec.parse({"input": {"audio": {"rate": 8000, **audio}}}, "spec.toml")
