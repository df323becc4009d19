"""A sample as two preprocessings give it, as one picture: the spec's, the other, and their difference, side by side."""

import struct
import zlib
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeonnx.pipeline.compare import Floats, Levels

Pixels = NDArray[np.uint8]

_GAP = 4
_SMALLEST = 192
_WAVE = 128


def png(pixels: Pixels) -> bytes:
    """A PNG file of (height, width, 3) pixels (ISO/IEC 15948, no filter)."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def of_picture(ours: Floats, theirs: Floats, levels: Levels, bgr: bool) -> tuple[Pixels, float]:
    """Panels of pictures, (C, H, W) in the model's units; and what the difference was multiplied by."""
    a, b = ((values - levels.zero) / levels.step for values in (ours, theirs))
    if bgr:
        a, b = a[::-1], b[::-1]
    gain = _gain(np.abs(a - b))
    return _beside([_pixels(a), _pixels(b), _pixels(np.abs(a - b) * gain)]), gain


def of_signal(ours: Floats, theirs: Floats) -> tuple[Pixels, float]:
    """Panels of a signal or of features; and what the difference was multiplied by."""
    low, high = min(ours.min(), theirs.min()), max(ours.max(), theirs.max())
    grey = 255 / (high - low) if high > low else 1.0
    a, b = ((values - low) * grey for values in (ours, theirs))
    gain = _gain(np.abs(a - b))
    a, b = np.squeeze(a), np.squeeze(b)
    if a.ndim < 2:
        return _beside([_wave(values.ravel()) for values in (a, b, (a - b) * gain + 127)]), gain
    rows = [values.reshape(-1, values.shape[-1])[None] for values in (a, b, np.abs(a - b) * gain)]
    return _beside([_pixels(values) for values in rows]), gain


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _gain(difference: Floats) -> float:
    """What makes the largest difference plain to see: a power of two, 1 to 256."""
    largest = float(difference.max(initial=0.0))
    return 2.0 ** np.clip(int(np.log2(255 / largest)), 0, 8) if largest else 1.0


def _pixels(values: Floats) -> Pixels:
    """(C, H, W) in grey levels -> (H, W, 3), small pictures enlarged; the first channel alone where there are not 3."""
    colours = values if len(values) == 3 else np.repeat(values[:1], 3, 0)
    pixels = np.clip(np.round(colours), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    times = max(1, ceil(_SMALLEST / max(pixels.shape[:2])))
    return pixels.repeat(times, 0).repeat(times, 1)


def _wave(values: Floats) -> Pixels:
    """A signal in 0..255 drawn over its time, low to high in each column."""
    width = min(4 * _SMALLEST, len(values))
    columns = np.array_split(np.clip(values, 0, 255), width)
    levels = np.arange(_WAVE)[::-1] * 255 / (_WAVE - 1)
    step = 255 / (_WAVE - 1)
    drawn = [(levels >= part.min() - step) & (levels <= part.max() + step) for part in columns]
    return np.repeat(np.where(np.stack(drawn, 1), 255, 32).astype(np.uint8)[:, :, None], 3, 2)


def _beside(panels: list[Pixels]) -> Pixels:
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + _GAP * (len(panels) - 1)
    whole: NDArray[Any] = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for panel in panels:
        whole[: panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + _GAP
    return whole
