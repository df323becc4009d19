"""JPEGs of every kind that Pillow writes, ways to damage files, and a decoder in a process of its own."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
from PIL import Image

PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (10, 14, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8))


def encoded(mode="RGB", kind="JPEG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, kind, **options)
    return file.getvalue()


def jpegs() -> list[bytes]:
    """Grey and colour, baseline and progressive, all samplings, with restart markers and without."""
    kinds = [
        encoded(mode, quality=60, progressive=progressive, subsampling=sampling, restart_marker_blocks=blocks)
        for mode in ("L", "RGB")
        for progressive in (False, True)
        for sampling in (0, 1, 2)
        for blocks in (0, 3)
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    return [*kinds, encoded(optimize=True, comment=b"hello"), encoded(keep_rgb=True), encoded(exif=exif.tobytes())]


def pngs() -> list[bytes]:
    """Of every mode that Pillow writes."""
    return [encoded(mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits, bytes or pieces changed, removed, added, or the end cut off; more often near the beginning."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = int(rng.integers(2, min(len(out), 700 if rng.random() < 0.5 else len(out))))
        size = int(rng.choice([1, 2, 5, 40]))
        way = rng.integers(0, 6)
        if way <= 1:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif way == 2:
            out[at] = int(rng.integers(0, 256))
        elif way == 3:
            del out[at : at + size]
        elif way == 4:
            start = int(rng.integers(2, len(out)))
            out[at:at] = out[start : start + size]
        else:
            out = out[: max(at, 20)] + b"\xff\xd9"
        if len(out) < 20:
            break
    return bytes(out)


def with_checksums(data: bytes) -> bytes:
    """A damaged PNG whose chunks look right again, as far as chunks can be told."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        out += data[at : at + 8 + length] + struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + length]))
        at += 12 + length
    return out


_DECODER = """
import struct, sys
import numpy as np, onnxruntime as ort
from onnxruntime_extensions import get_library_path
options = ort.SessionOptions()
options.log_severity_level = 4
options.register_custom_ops_library(get_library_path())
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
while header := sys.stdin.buffer.read(4):
    data = np.frombuffer(sys.stdin.buffer.read(*struct.unpack(">I", header)), np.uint8)
    try:
        print(*session.run(None, {"data": data})[0].shape, flush=True)
    except Exception:
        print("refused", flush=True)
"""


def decode_all(model: str, files: list[bytes]) -> list[str]:
    """What a process that decodes the files one after another says of each; it is shorter if the process ends."""
    stream = b"".join(struct.pack(">I", len(data)) + data for data in files)
    command = [sys.executable, "-c", _DECODER, model]
    ended = subprocess.run(command, input=stream, capture_output=True, timeout=120, check=False)
    return ended.stdout.decode().splitlines()
