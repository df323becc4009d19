import io
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from runtime_pngs import SAMPLES, chunk, encode, header

from edgeonnx.runtime import InputError
from edgeonnx.runtime._inputs import to_channels
from edgeonnx.runtime._png import decode_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TYPES = [
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((2, depth) for depth in (8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
    *((4, depth) for depth in (8, 16)),
    *((6, depth) for depth in (8, 16)),
]


def pillow(data: bytes, channels: int) -> np.ndarray:
    """Pillow's pixels, H x W x channels, alpha dropped and 16 bits reduced to the high byte."""
    picture = Image.open(io.BytesIO(data))
    if picture.mode.startswith("I"):
        return (np.asarray(picture) >> 8).astype(np.uint8)[:, :, None]
    return np.asarray(picture.convert("RGBA"))[:, :, :channels]


@pytest.mark.parametrize("interlace", [False, True], ids=["plain", "adam7"])
@pytest.mark.parametrize(("colour", "depth"), TYPES)
@pytest.mark.parametrize(("height", "width"), [(13, 17), (1, 1), (1, 9), (9, 1), (3, 2)])
def test_every_type_reads_as_pillow_reads_it(colour, depth, interlace, height, width):
    rng = np.random.default_rng(colour * 100 + depth)
    samples = rng.integers(0, 2**depth, (height, width, SAMPLES[colour]))
    palette = rng.integers(0, 256, 3 * 2**depth).astype(np.uint8).tobytes() if colour == 3 else b""
    data = encode(samples, depth, colour, interlace=interlace, palette=palette, seed=depth)
    got = decode_png(data, "x.png")
    channels = 1 if colour in (0, 4) else 3
    np.testing.assert_array_equal(got, pillow(data, channels))
    assert got.dtype == np.uint8
    assert got.shape == (height, width, channels)


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("colour", [0, 2, 6])
def test_each_filter_alone(kind, colour):
    samples = np.random.default_rng(kind).integers(0, 256, (12, 10, SAMPLES[colour]))
    data = encode(samples, 8, colour, filters=[kind])
    np.testing.assert_array_equal(decode_png(data, "x.png"), samples[:, :, : 1 if colour == 0 else 3])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_what_pillow_writes(mode):
    smooth = np.add.outer(np.arange(50), 2 * np.arange(40)).astype(np.uint8)
    picture = Image.fromarray(np.stack([smooth, smooth[::-1], smooth[:, ::-1]], -1))
    picture = picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    channels = 1 if mode in ("1", "L", "LA", "I;16") else 3
    np.testing.assert_array_equal(decode_png(file.getvalue(), "x.png"), pillow(file.getvalue(), channels))


def test_grey_is_pillows_luma_for_every_sum():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (400, 500, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(rgb).convert("L"))
    np.testing.assert_array_equal(to_channels(rgb, "grey")[:, :, 0], expected)


def test_channels():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    grey = rgb[:, :, :1]
    np.testing.assert_array_equal(to_channels(rgb, "rgb"), rgb)
    np.testing.assert_array_equal(to_channels(rgb, "bgr"), rgb[:, :, ::-1])
    assert to_channels(rgb, "bgr").flags.c_contiguous
    np.testing.assert_array_equal(to_channels(grey, "grey"), grey)
    np.testing.assert_array_equal(to_channels(grey, "rgb"), np.repeat(grey, 3, axis=2))


def test_speed():
    """640 x 480 RGB takes well under a second; the bound allows for a busy machine."""
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    start = time.perf_counter()
    decode_png(file.getvalue(), "x.png")
    assert time.perf_counter() - start < 1


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + b"".join(chunks)


IDAT = chunk(b"IDAT", zlib.compress(bytes(4 * 7)))
IEND = chunk(b"IEND", b"")
GOOD = png(header(2, 4), IDAT, IEND)


def test_the_good_one_is_good():
    assert decode_png(GOOD, "x.png").shape == (4, 2, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\xff\xd8\xff\xe0rest",
            "x is a JPEG; this runtime reads PNG: decode it yourself and pass an array of shape HxWx3 uint8",
        ),
        (b"GIF89a", "x is a GIF"),
        (b"", "x is not a PNG"),
        (SIGNATURE, "cut short"),
        (GOOD[:-6], "cut short"),
        (GOOD[:50], "cut short within chunk IDAT"),
        (GOOD.replace(b"IDAT", b"IDAU"), "CRC of chunk IDAU"),
        (png(IDAT, IEND), "expected chunk IHDR of 13 bytes first"),
        (png(header(2, 4), IEND), "it holds no picture"),
        (png(header(0, 4), IDAT, IEND), "0 x 4 pixels"),
        (png(header(2, 4, depth=4), IDAT, IEND), "no colour type 2 of bit depth 4"),
        (png(header(2, 4, colour=7), IDAT, IEND), "no colour type 7"),
        (png(header(2, 4, interlace=2), IDAT, IEND), "interlace method is unknown"),
        (png(header(2, 4, colour=3), IDAT, IEND), "expected a palette"),
        (png(header(6, 4, colour=3), chunk(b"PLTE", bytes(4)), IDAT, IEND), "expected a palette"),
        (png(header(2, 4), chunk(b"ABCD", b""), IDAT, IEND), "critical chunk ABCD"),
        (png(header(2, 5), IDAT, IEND), "expected 35 bytes of pixels, got fewer"),
        (png(header(2, 3), IDAT, IEND), "expected 21 bytes of pixels, got more"),
        (png(header(2, 4), chunk(b"IDAT", b"junk"), IEND), "can't be inflated"),
        (png(header(2, 4), chunk(b"IDAT", zlib.compress(b"\5" + bytes(27))), IEND), "no filter type 5"),
        (png(header(100_000, 100_000), IDAT, IEND), "expected at most 64000000 pixels"),
        (png(header(40_000, 1), IDAT, IEND), "32768 a side, got 40000 x 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_picture_is_one_line(data, message):
    with pytest.raises(InputError) as caught:
        decode_png(data, "x")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_palette_index_out_of_range():
    data = encode(np.full((2, 2, 1), 5), 8, 3, palette=bytes(9))
    with pytest.raises(InputError, match="expected palette indices below 3, got 5"):
        decode_png(data, "x.png")


def test_a_bomb_is_never_inflated():
    import tracemalloc

    bomb = png(header(10, 10), chunk(b"IDAT", zlib.compress(bytes(200_000_000), 9)), IEND)
    tracemalloc.start()
    with pytest.raises(InputError, match="got more"):
        decode_png(bomb, "x.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_any_flipped_byte_is_an_input_error_or_the_same_picture():
    data = bytearray(encode(np.random.default_rng(0).integers(0, 256, (5, 6, 3)), 8, 2))
    expected = decode_png(bytes(data), "x.png")
    refused = 0
    for i in range(len(data)):
        for mask in (0x01, 0x20, 0xFF):
            data[i] ^= mask
            try:
                np.testing.assert_array_equal(decode_png(bytes(data), "x.png"), expected)
            except InputError:
                refused += 1
            data[i] ^= mask
    assert refused > 2.9 * len(data)
    for size in range(len(data)):
        with pytest.raises(InputError):
            decode_png(bytes(data[:size]), "x.png")
