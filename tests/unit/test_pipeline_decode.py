"""Picture files: PNG to the pixel as Pillow has it, other formats by Pillow itself; all else is a DataError."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, picture

from edgeonnx.errors import DataError
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
@pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_pillows(tmp_path, kind, colour):
    path = tmp_path / "p"
    path.write_bytes(encoded(SMOOTH, kind))
    got, expected = read_picture(path, colour), as_pillow(path, colour)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, expected)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    path = tmp_path / "p.jpg"
    image_module.fromarray(SMOOTH).convert("CMYK").save(path)
    assert read_picture(path, "rgb").shape == SMOOTH.shape


def test_without_the_extra_a_jpeg_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(SMOOTH, "JPEG"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"p\.jpg is not a PNG; .* pip install 'edgeonnx\[images\]'"):
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
