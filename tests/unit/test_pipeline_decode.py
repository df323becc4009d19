"""Picture files: PNG to the pixel as Pillow has it, JPEG nearly, and anything else is a DataError."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, picture

from edgeonnx.errors import DataError
from edgeonnx.pipeline import decode
from edgeonnx.pipeline.decode import read_picture

image_module = pytest.importorskip("PIL.Image")

RAMP = np.linspace(0, 255, 40)
SMOOTH = np.stack(np.broadcast_arrays(RAMP[:32, None], RAMP[None, :], RAMP[::-1][None, :]), -1).astype(np.uint8)


def as_pillow(path, colour):
    with image_module.open(path) as opened:
        pixels = np.asarray(opened.convert("L" if colour == "grey" else "RGB"))
    return {"grey": pixels[..., None], "rgb": pixels, "bgr": pixels[..., ::-1]}[colour]


@pytest.mark.parametrize("colour", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_pillows_to_the_pixel(tmp_path, channels, colour):
    path = tmp_path / "p.png"
    path.write_bytes(encoded(picture(13, 7, channels), "PNG"))
    got = read_picture(path, colour)
    expected = as_pillow(path, colour)
    assert (got.dtype, got.shape) == (np.uint8, (13, 7, 1 if colour == "grey" else 3))
    np.testing.assert_array_equal(got, expected if got.shape == expected.shape else expected[..., None])


@pytest.mark.parametrize("colour", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True, "restart_marker_rows": 1}])
def test_jpeg_is_nearly_pillows(tmp_path, colour, options):
    pytest.importorskip("onnxruntime_extensions")
    path = tmp_path / "p"
    path.write_bytes(encoded(SMOOTH, "JPEG", quality=95, subsampling=0, **options))
    got, expected = read_picture(path, colour), as_pillow(path, colour)
    assert got.shape == expected.shape
    assert got.flags.c_contiguous
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 3  # decoders may round differently


def test_a_jpeg_that_is_followed_by_something_else(tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(SMOOTH, "JPEG") + b"\0" * 100 + b"a film")
    assert read_picture(path, "rgb").shape == SMOOTH.shape


@pytest.mark.parametrize(
    ("frame", "match"),
    [(b"\xff\xc9\x00\x0b\x08", "kind that is not supported"), (b"\xff\xc0\x00\x0b\x0c", "kind that is not supported")],
)
def test_a_jpeg_of_another_kind(tmp_path, frame, match):
    pytest.importorskip("onnxruntime_extensions")
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(SMOOTH, "JPEG").replace(b"\xff\xc0\x00\x11\x08", frame))
    with pytest.raises(DataError, match=match):
        read_picture(path, "rgb")


def test_without_the_extra_a_jpeg_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(SMOOTH, "JPEG"))
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    decode._decoder.cache_clear()
    try:
        with pytest.raises(DataError, match=r"p\.jpg is a JPEG; to read it, pip install 'edgeonnx\[images\]'"):
            read_picture(path, "rgb")
    finally:
        decode._decoder.cache_clear()


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF", "WEBP"])
def test_other_formats_are_refused_before_the_decoder_sees_them(tmp_path, kind):
    """It would end the process."""
    path = tmp_path / "p"
    path.write_bytes(encoded(SMOOTH, kind))
    with pytest.raises(DataError, match="neither a PNG nor a JPEG; convert it to PNG"):
        read_picture(path, "rgb")


@pytest.mark.parametrize(
    "content", [b"", b"GIF", b"not a picture" * 9, b"\x89PNG", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff" * 9]
)
def test_garbage(tmp_path, content):
    path = tmp_path / "garbage.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"garbage\.png") as caught:
        read_picture(path, "rgb")
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(20, 2000), kind=st.sampled_from(["PNG", "JPEG"]))
def test_cut_short(tmp_path_factory, cut, kind):
    whole = encoded(SMOOTH, kind)
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(whole[:-cut])
    with pytest.raises(DataError):
        read_picture(path, "rgb")


def test_no_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.png can't be read: No such file"):
        read_picture(tmp_path / "none.png", "rgb")
