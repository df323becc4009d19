import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_wavs import EXTENSIBLE, FLOAT, PCM, chunk, fmt, noise, riff, wav

from edgeonnx.runtime import InputError
from edgeonnx.runtime._manifest import InputSpec, Media
from edgeonnx.runtime._wav import decode_wav, read_audio


def spec(dtype="int16", channels=1, rate=8000, samples="samples", least=1):
    shape = (samples,) if channels == 1 else (samples, channels)
    return InputSpec("audio", dtype, shape, Media("audio", rate=rate, channels=channels, min_samples=least))


@pytest.fixture
def read(tmp_path):
    def read(data, *args, **kwargs):
        path = tmp_path / "x.wav"
        path.write_bytes(data)
        return read_audio(path, spec(*args, **kwargs))

    return read


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_what_pythons_own_module_writes(width, channels):
    values = np.random.default_rng(width).integers(0, 256, (40, channels, width)).astype(np.uint8)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(22050)
        writer.writeframes(values.tobytes())
    got, rate = decode_wav(file.getvalue(), "x.wav")
    assert rate == 22050
    assert got.shape == (40, channels)
    whole = [int.from_bytes(sample.tobytes(), "little", signed=width > 1) for sample in values.reshape(-1, width)]
    expected = np.array(whole).reshape(40, channels)
    shifted = {1: (expected - 128) * 256, 2: expected, 3: expected * 256, 4: expected}[width]
    np.testing.assert_array_equal(got, shifted)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats(read, dtype):
    samples = np.array([[-1.0], [-0.5], [0.25], [1.0], [3.0]], dtype)
    np.testing.assert_array_equal(read(wav(samples), "float32"), samples[:, 0].astype(np.float32))
    np.testing.assert_array_equal(read(wav(samples)), [-32768, -16384, 8192, 32767, 32767])


def test_every_width_is_as_loud(read):
    quarter = {np.uint8: 128 + 32, np.int16: 1 << 13, np.int32: 1 << 29}
    for dtype, value in quarter.items():
        data = wav(np.full((9, 1), value, dtype))
        np.testing.assert_array_equal(read(data, "float32"), np.full(9, 0.25, np.float32))
        np.testing.assert_array_equal(read(data), np.full(9, 1 << 13, np.int16))


@pytest.mark.parametrize(("codec", "samples"), [(PCM, noise()), (FLOAT, noise() / np.float32(32768))])
def test_extensible(read, codec, samples):
    form = fmt(EXTENSIBLE, 1, 8000, 8 * samples.itemsize, extended=codec)
    np.testing.assert_array_equal(read(riff(form, chunk(b"data", samples.tobytes()))), noise()[:, 0])


def test_other_chunks_are_passed_over(read):
    samples = noise()
    data = riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", bytes(4)), chunk(b"data", samples.tobytes()), b"\0\0")
    np.testing.assert_array_equal(read(data), samples[:, 0])
    reversed_order = riff(chunk(b"data", samples.tobytes()), fmt())
    np.testing.assert_array_equal(read(reversed_order), samples[:, 0])


def test_channels(read):
    stereo = noise(50, 2)
    np.testing.assert_array_equal(read(wav(stereo), channels=2), stereo)
    np.testing.assert_array_equal(read(wav(stereo)), np.rint(stereo.mean(axis=1)))
    np.testing.assert_allclose(read(wav(stereo), "float32"), stereo.mean(axis=1) / 32768, atol=1 / 32768)
    np.testing.assert_array_equal(read(wav(noise()), channels=2), noise().repeat(2, axis=1))
    with pytest.raises(InputError, match=r"x\.wav: expected 3 channels or 1, got 2"):
        read(wav(stereo), channels=3)


def test_nothing_is_resampled(read):
    with pytest.raises(InputError, match=r"expected 16000 samples a second, got 8000; .* source_rate = 8000"):
        read(wav(noise()), rate=16000)


def test_length(read):
    assert read(wav(noise(40)), samples=40).shape == (40,)
    with pytest.raises(InputError, match=r"x\.wav: expected 40 samples of audio, got 50; .* samples in"):
        read(wav(noise(50)), samples=40)
    with pytest.raises(InputError, match=r"expected at least 400 samples of audio, got 50"):
        read(wav(noise(50)), least=400)
    with pytest.raises(InputError, match="empty audio"):
        read(wav(noise(0)))


def test_a_size_that_its_writer_did_not_know(read):
    body = noise().tobytes()
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        data = riff(fmt(), chunk(b"data", body + b"\1", size=size))
        np.testing.assert_array_equal(read(data[:-1]), noise()[:, 0])


BODY = chunk(b"data", noise().tobytes())
DAMAGED = [
    (b"", "expected a WAV file"),
    (b"fLaC" + bytes(40), "expected a WAV file, this looks like FLAC; ffmpeg"),
    (b"RIFF" + bytes(4) + b"AVI " + bytes(40), "expected a WAV file"),
    (riff(), "no format in it"),
    (riff(fmt()), "no data in it"),
    (riff(BODY), "no format in it"),
    (riff(chunk(b"fmt ", bytes(8)), BODY), "its format takes 16 bytes, got 8"),
    (riff(fmt(channels=0), BODY), "0 channels"),
    (riff(fmt(rate=0), BODY), "0 Hz"),
    (riff(fmt(block=0), BODY), "0 bytes for one sample"),
    (riff(fmt(bits=64), BODY), "64 bits"),
    (riff(fmt(channels=2, block=3), BODY), "3 bytes for one sample of all channels"),
    (riff(fmt(bits=32, block=2), BODY), "32 bits, 2 bytes"),
    (riff(fmt(codec=7, bits=8), BODY), "expected PCM or floats, got mu-law; ffmpeg"),
    (riff(fmt(codec=85, block=1), BODY), "got MP3"),
    (riff(fmt(codec=4242), BODY), "got codec 4242"),
    (riff(fmt(), chunk(b"data", bytes(10), size=1000)), "cut short: expected 1000 bytes of audio, got 10"),
    (wav(np.array([[0.0], [np.nan]], np.float32)), "NaN or infinity"),
]


@pytest.mark.parametrize(("data", "message"), DAMAGED)
def test_damaged_files(read, data, message):
    with pytest.raises(InputError, match=message):
        read(data)


@pytest.mark.parametrize("end", range(0, len(wav(noise())), 3))
def test_cut_short_anywhere(read, end):
    with pytest.raises(InputError):
        read(wav(noise())[:end])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bytes_do_harm(data):
    """Any four bytes of the header changed: samples, or an InputError."""
    content = bytearray(wav(noise(20, 2)))
    place = data.draw(st.integers(0, 44))
    content[place : place + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
    try:
        samples, rate = decode_wav(bytes(content), "x.wav")
    except InputError:
        return
    assert samples.size <= len(content)
    assert rate > 0


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_audio(tmp_path / "none.wav", spec())
