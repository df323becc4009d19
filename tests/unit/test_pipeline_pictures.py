"""Picture files: PNG to the pixel as Pillow has it, other formats by Pillow itself; all else is a DataError."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import encoded, picture

from edgeonnx.errors import DataError
from edgeonnx.pipeline.pictures import read_image
from edgeonnx.runtime._manifest import Media

RGB, BYTES = Media("image", "rgb"), Media("image", "rgb", encoded=True)
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
    got = read_image(path, Media("image", colour))
    expected = as_pillow(path, colour)
    assert (got.dtype, got.shape) == (np.uint8, (13, 7, 1 if colour == "grey" else 3))
    np.testing.assert_array_equal(got, expected if got.shape == expected.shape else expected[..., None])


@pytest.mark.parametrize("colour", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("kind", ["JPEG", "BMP", "TIFF", "WEBP"])
def test_other_formats_are_pillows(tmp_path, kind, colour):
    path = tmp_path / "p"
    path.write_bytes(encoded(SMOOTH, kind))
    got, expected = read_image(path, Media("image", colour)), as_pillow(path, colour)
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, expected)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    path = tmp_path / "p.jpg"
    image_module.fromarray(SMOOTH).convert("CMYK").save(path)
    assert read_image(path, RGB).shape == SMOOTH.shape


def test_without_the_extra_a_jpeg_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "p.jpg"
    path.write_bytes(encoded(SMOOTH, "JPEG"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"p\.jpg is not a PNG; .* pip install 'edgeonnx\[images\]'"):
        read_image(path, RGB)


@pytest.mark.parametrize(
    "content", [b"", b"GIF", b"not a picture" * 9, b"\x89PNG", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff" * 9]
)
def test_garbage(tmp_path, content):
    path = tmp_path / "garbage.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"garbage\.png") as caught:
        read_image(path, RGB)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(20, 2000), kind=st.sampled_from(["PNG", "JPEG"]))
def test_cut_short(tmp_path_factory, cut, kind):
    whole = encoded(SMOOTH, kind)
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(whole[:-cut])
    with pytest.raises(DataError):
        read_image(path, RGB)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.png can't be read: No such file"):
        read_image(tmp_path / "none.png", RGB)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_where_the_graph_decodes_the_files_bytes_are_fed(tmp_path, kind):
    path = tmp_path / "p"
    path.write_bytes(encoded(SMOOTH, kind))
    np.testing.assert_array_equal(read_image(path, BYTES), np.frombuffer(path.read_bytes(), np.uint8))
    path.write_bytes(encoded(SMOOTH, kind)[:-30])
    with pytest.raises(DataError, match="cut short"):
        read_image(path, BYTES)


def test_what_the_graph_can_not_decode_is_refused(tmp_path):
    path = tmp_path / "p"
    image_module.fromarray(SMOOTH).convert("CMYK").save(path, "JPEG")
    with pytest.raises(DataError, match=r"got 4 components \(CMYK\); convert it to RGB"):
        read_image(path, BYTES)
    path.write_bytes(encoded(SMOOTH, "WEBP"))
    with pytest.raises(DataError, match="expected a JPEG or PNG file, got a WebP"):
        read_image(path, BYTES)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_of_a_tiff_is_what_pillow_converts_it_to(tmp_path, mode):
    path = tmp_path / "p.tiff"
    image_module.fromarray(SMOOTH).convert(mode).save(path)
    for color in ("grey", "rgb"):
        expected = as_pillow(path, color) if mode in ("1", "L", "LA") or color == "rgb" else None
        got = read_image(path, Media("image", color))
        assert got.shape == (*SMOOTH.shape[:2], 1 if color == "grey" else 3)
        if expected is not None:
            np.testing.assert_array_equal(got, expected)


def test_of_16_bits_the_high_byte_is_kept(tmp_path):
    wide = (np.arange(600, dtype=np.uint16) * 109).reshape(20, 30)
    for name in ("p.tiff", "p.png"):
        image_module.fromarray(wide).save(tmp_path / name)
        got = read_image(tmp_path / name, Media("image", "grey"))
        np.testing.assert_array_equal(got[..., 0], (wide >> 8).astype(np.uint8))


def test_floats_are_refused(tmp_path):
    path = tmp_path / "p.tiff"
    image_module.fromarray(np.ones((3, 4), np.float32)).save(path)
    with pytest.raises(DataError, match=r"expected 8 or 16 bits a sample, got 32 \(F\)"):
        read_image(path, RGB)


def test_a_picture_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    data = encoded(SMOOTH, "BMP")
    path = tmp_path / "p.bmp"
    path.write_bytes(data[:18] + (10_000).to_bytes(4, "little") * 2 + data[26:])
    with pytest.raises(DataError, match="expected at most 64000000 pixels, got 10000 x 10000; scale it down"):
        read_image(path, RGB)
