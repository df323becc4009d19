"""Writes PNGs of every colour type, bit depth, filter and interlace, which Pillow can't write."""

import struct
import zlib

import numpy as np

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width, height, depth=8, colour=2, interlace=0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def pack(samples: np.ndarray, depth: int) -> list[bytes]:
    """Rows of bytes from H x W x samples."""
    if depth == 16:
        return [row.astype(">u2").tobytes() for row in samples]
    if depth == 8:
        return [row.astype(np.uint8).tobytes() for row in samples]
    rows = []
    for row in samples.reshape(len(samples), -1):
        bits = "".join(format(int(value), f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        rows.append(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)))
    return rows


def paeth(a: int, b: int, c: int) -> int:
    p = a + b - c
    return min((a, b, c), key=lambda value: abs(p - value))  # min keeps the first among equals: a, b, c


def filter_row(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """Section 9.2 of the specification, byte by byte."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = above[i]
        c = above[i - step] if i >= step else 0
        out.append((value - [0, a, b, (a + b) // 2, paeth(a, b, c)][kind]) % 256)
    return bytes(out)


def encode(
    samples: np.ndarray, depth: int, colour: int, *, interlace=False, palette=b"", filters=None, seed=0
) -> bytes:
    """A PNG of H x W x samples; `filters` (by default any) are drawn at random for each row."""
    rng = np.random.default_rng(seed)
    height, width, count = samples.shape
    step = max(1, count * depth // 8)
    raw = b""
    for x, y, dx, dy in ADAM7 if interlace else [(0, 0, 1, 1)]:
        part = samples[y::dy, x::dx]
        if not part.size:
            continue
        above = bytes(len(pack(part[:1], depth)[0]))
        for row in pack(part, depth):
            raw += filter_row(int(rng.choice(filters or [0, 1, 2, 3, 4])), row, above, step)
            above = row
    compressed = zlib.compress(raw)
    cut = len(compressed) // 2
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            header(width, height, depth, colour, int(interlace)),
            chunk(b"tEXt", b"Comment\0made for a test"),
            chunk(b"PLTE", palette) if palette else b"",
            chunk(b"IDAT", compressed[:cut]),
            chunk(b"IDAT", compressed[cut:]),
            chunk(b"IEND", b""),
        ]
    )
