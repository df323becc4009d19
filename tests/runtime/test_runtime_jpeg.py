"""What passes the check decodes, and does not end the process; what does not says why in one line."""

import struct
import zlib

import numpy as np
import onnx
import pytest
from runtime_jpegs import damaged, decode_all, encoded, jpegs, pngs, with_checksums
from runtime_pngs import chunk, header
from runtime_pngs import encode as encode_png

from edgeonnx.runtime import InputError
from edgeonnx.runtime._checks import Checks
from edgeonnx.runtime._inputs import as_array, check_encoded, read_input
from edgeonnx.runtime._jpeg import check_jpeg
from edgeonnx.runtime._manifest import InputSpec, Media

PICTURE = InputSpec("image", "uint8", ("image_bytes",), Media("image", "rgb", encoded=True))
BASELINE = encoded("L", quality=60)
PROGRESSIVE = encoded("L", quality=60, progressive=True)
RESTARTS = encoded("L", quality=60, restart_marker_blocks=3)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A model that decodes, as a file."""
    pytest.importorskip("onnxruntime_extensions")
    node = onnx.helper.make_node(
        "DecodeImage", ["data"], ["pixels"], domain="com.microsoft.extensions", color_space="rgb"
    )
    values = [("data", ["bytes"]), ("pixels", ["height", "width", "channels"])]
    data, pixels = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, shape) for name, shape in values)
    graph = onnx.helper.make_graph([node], "decoder", [data], [pixels])
    imports = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.microsoft.extensions", 1)]
    path = tmp_path_factory.mktemp("decoder") / "decoder.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return str(path)


def segment(data: bytes, marker: int) -> int:
    """Where a marker stands."""
    return data.index(bytes([0xFF, marker]))


def patched(data: bytes, marker: int, offset: int, new: bytes) -> bytes:
    """With other bytes in a segment, `offset` from its marker."""
    at = segment(data, marker) + offset
    return data[:at] + new + data[at + len(new) :]


def without(data: bytes, marker: int) -> bytes:
    """Without any segment of a marker."""
    while bytes([0xFF, marker]) in data:
        at = segment(data, marker)
        data = data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]
    return data


def scan(data: bytes) -> bytes:
    """From the last scan's header to before the end."""
    return data[data.rindex(b"\xff\xda") : -2]


def test_what_pillow_writes_passes_and_decodes(decoder):
    files = [*jpegs(), BASELINE + b"more than the picture"]
    for data in files:
        np.testing.assert_array_equal(check_encoded(data, "x"), np.frombuffer(data, np.uint8))
    got = decode_all(decoder, files)
    assert len(got) == len(files)
    assert all(line.startswith("40 56 ") for line in got)


TWO_SCANS = BASELINE[:-2] + scan(BASELINE) + b"\xff\xd9"
BAD = [
    (encoded("CMYK"), r"got 4 components \(CMYK\); convert it to RGB"),
    (patched(BASELINE, 0xC0, 4, b"\x0c"), "expected 8 bits a sample, got 12"),
    (patched(BASELINE, 0xC0, 1, b"\xc9"), "arithmetic coding is not supported; save it as a baseline JPEG"),
    (patched(BASELINE, 0xC0, 1, b"\xc3"), "marker 0xc3 is not supported"),
    (patched(BASELINE, 0xC0, 1, b"\x02"), "marker 0x2 does not belong there"),
    (patched(BASELINE, 0xC0, 5, b"\0\0"), "56 x 0 pixels"),
    (patched(BASELINE, 0xC0, 5, struct.pack(">HH", 10_000, 10_000)), "at most 64000000 pixels .* got 10000 x 10000"),
    (patched(BASELINE, 0xC0, 5, struct.pack(">HH", 8_000, 8_000)), "too little data for its size"),
    (patched(BASELINE, 0xC0, 9, b"\2"), "its header is damaged"),
    (patched(BASELINE, 0xC0, 11, b"\x50"), "its components are damaged"),
    (patched(encoded(subsampling=2), 0xC0, 11, b"\x32\1\2\x22"), "not by whole factors"),
    (patched(encoded(subsampling=0), 0xC0, 11, b"\x44\0\2\x44"), "sampling is out of bounds"),
    (patched(BASELINE, 0xC4, 5, b"\3\1\2"), "more codes than there are"),
    (patched(BASELINE, 0xC4, 5, b"\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "more codes than there are"),
    (patched(BASELINE, 0xC4, 4, b"\x50"), "a Huffman table is damaged"),
    (patched(BASELINE, 0xC4, 21, b"\x7f"), "a Huffman table is damaged"),
    (patched(BASELINE, 0xDB, 4, b"\x09"), "a quantization table is damaged"),
    (without(BASELINE, 0xC4), "needs a table that the file does not have"),
    (without(BASELINE, 0xDB), "needs a table that the file does not have"),
    (without(BASELINE, 0xC0), "a scan is damaged"),
    (patched(BASELINE, 0xDA, 5, b"\x07"), "components that the picture does not have"),
    (patched(BASELINE, 0xDA, 7, b"\x01"), "coefficients that there are not"),
    (patched(PROGRESSIVE, 0xDA, 8, b"\x05"), "coefficients that there are not"),
    (TWO_SCANS, "a component comes twice"),
    (PROGRESSIVE[:-2] + scan(PROGRESSIVE) * 100 + b"\xff\xd9", "at most 100 scans"),
    (RESTARTS.replace(b"\xff\xd1", b"\xff\xd3", 1), "restart markers are damaged"),
    (RESTARTS.replace(b"\xff\xd1", b"", 1), "restart markers are damaged"),
    (patched(RESTARTS, 0xDD, 2, b"\0\5"), "restart interval is damaged|marker"),
    (BASELINE[: segment(BASELINE, 0xDA)] + b"\xff\xd9", "ends before the picture does"),
    (BASELINE[:2] + b"\xff\xe0\0\1" + BASELINE[2:], "a segment has no length"),
    (BASELINE[:20] + b"x" + BASELINE[20:], "expected a marker at byte 20"),
    (BASELINE[:-2] + BASELINE[segment(BASELINE, 0xC0) :], "two frames|comes twice"),
]


@pytest.mark.parametrize(("data", "match"), BAD, ids=[match for _, match in BAD])
def test_a_bad_jpeg_is_one_line(data, match):
    with pytest.raises(InputError, match=f"x.jpg is not a JPEG that can be decoded: .*(?:{match})") as caught:
        check_jpeg(data, "x.jpg")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [BASELINE, PROGRESSIVE, RESTARTS, encoded()])
def test_any_file_cut_short_is_refused(data):
    for size in range(len(data) - 1):
        with pytest.raises(InputError):
            check_jpeg(data[:size], "x")


def test_pngs_that_decoders_misread_are_refused():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 8, 3))
    check_encoded(encode_png(pixels, 8, 2), "x")
    with pytest.raises(InputError, match=r"x is not a PNG that can be decoded: it is interlaced; save it without"):
        check_encoded(encode_png(pixels, 8, 2, interlace=True), "x")
    with pytest.raises(InputError, match="palette indices below 3, got 5"):
        check_encoded(encode_png(np.full((2, 2, 1), 5), 8, 3, palette=bytes(9)), "x")
    end = chunk(b"IEND", b"")
    bad_filter = chunk(b"IDAT", zlib.compress(b"\5" + bytes(27)))
    for body, match in (
        (header(2, 4) + bad_filter + end, "filter type"),
        (header(2, 5) + chunk(b"IDAT", zlib.compress(bytes(28))) + end, "expected 35 bytes of pixels, got fewer"),
        (header(10, 10) + chunk(b"IDAT", zlib.compress(bytes(50_000_000), 9)) + end, "got more"),
        (header(10_000, 10_000) + bad_filter + end, "at most 64000000 pixels"),
    ):
        with pytest.raises(InputError, match=match):
            check_encoded(b"\x89PNG\r\n\x1a\n" + body, "x")


@pytest.mark.parametrize(("kind", "got"), [("GIF", "a GIF"), ("BMP", "a BMP"), ("TIFF", "a TIFF"), ("WEBP", "a WebP")])
def test_other_formats_are_refused(kind, got):
    with pytest.raises(InputError, match=f"x: expected a JPEG or PNG file, got {got}; save it as one of them"):
        check_encoded(encoded("RGB", kind), "x")
    with pytest.raises(InputError, match="got neither"):
        check_encoded(b"", "x")


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_nothing_that_passes_ends_the_process(decoder, kind):
    """A fixed sample; tens of thousands more were tried when the check was written."""
    rng = np.random.default_rng(1)
    sources = jpegs() if kind == "jpeg" else pngs()
    passed = []
    for _ in range(3000):
        data = damaged(sources[rng.integers(len(sources))], rng)
        data = with_checksums(data) if kind == "png" else data
        try:
            check_encoded(data, "x")
        except InputError:
            continue
        passed.append(data)
    assert len(passed) > 100
    assert len(decode_all(decoder, passed)) == len(passed)


def test_what_the_check_is_for(decoder):
    """A decoder ends its process on what the check refuses; or, should it learn better, refuses it."""
    assert decode_all(decoder, [BASELINE, TWO_SCANS])[1:] in ([], ["refused"])


def test_files_and_bytes_as_inputs(tmp_path):
    path = tmp_path / "p.jpg"
    path.write_bytes(BASELINE)
    for value in (path, str(path), BASELINE, bytearray(BASELINE), memoryview(BASELINE)):
        np.testing.assert_array_equal(as_array(PICTURE, value), np.frombuffer(BASELINE, np.uint8))
    path.write_bytes(BASELINE[:-9])
    with pytest.raises(InputError, match=r"p\.jpg is not a JPEG that can be decoded: it is cut short"):
        as_array(PICTURE, path)
    with pytest.raises(InputError, match="input image is not a JPEG that can be decoded"):
        as_array(PICTURE, BASELINE[:-9])


def test_arrays_of_bytes_are_checked_before_they_run():
    checks = Checks([PICTURE])
    checks.check({"image": np.frombuffer(BASELINE, np.uint8)})
    with pytest.raises(InputError, match="input image is not a JPEG that can be decoded: it is cut short"):
        checks.check({"image": np.frombuffer(BASELINE[:-9], np.uint8)})


def test_a_text_is_a_text_and_a_path_is_a_file(tmp_path):
    spec = InputSpec("text", "str", (1,), Media("text"))
    path = tmp_path / "t.txt"
    path.write_text("from a file\n")
    assert as_array(spec, str(path)).tolist() == [str(path)]
    assert as_array(spec, path).tolist() == read_input(spec, str(path)).tolist() == ["from a file"]


def test_an_array_stays_as_it_is():
    array = np.zeros(3, np.float32)
    assert as_array(InputSpec("x", "float32", (3,)), array) is array
