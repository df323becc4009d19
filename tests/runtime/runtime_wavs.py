"""WAV files written chunk by chunk, so that each field can be wrong."""

import struct

import numpy as np

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(kind, body, size=None):
    return kind + struct.pack("<I", len(body) if size is None else size) + body + bytes(len(body) % 2)


def fmt(codec=PCM, channels=1, rate=8000, bits=16, block=None, extended=None):
    block = channels * bits // 8 if block is None else block
    body = struct.pack("<HHIIHH", codec, channels, rate, rate * block, block, bits)
    if codec == EXTENSIBLE:
        body += struct.pack("<HHIH", 22, bits, 0, extended) + _GUID_TAIL
    return chunk(b"fmt ", body)


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(samples, rate=8000, **more):
    """Samples of shape (samples, channels): int16, int32, uint8, or floats."""
    codec = FLOAT if samples.dtype.kind == "f" else PCM
    form = fmt(codec, samples.shape[1], rate, 8 * samples.itemsize, **more)
    return riff(form, chunk(b"data", samples.astype(samples.dtype.newbyteorder("<")).tobytes()))


def noise(count=50, channels=1, seed=0):
    return np.random.default_rng(seed).integers(-32768, 32768, (count, channels)).astype(np.int16)
