"""Reads PNG pictures with zlib and numpy, after the W3C's PNG specification, third edition.

https://www.w3.org/TR/png-3/; the section numbers below are its.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_PIXELS = 64_000_000
MAX_SIDE = 32_768

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGBA = 0, 2, 3, 4, 6
# Section 11.2.1: samples a pixel, and the bit depths allowed, for each colour type.
_SAMPLES = {_GREY: 1, _RGB: 3, _PALETTE: 1, _GREY_ALPHA: 2, _RGBA: 4}
_DEPTHS = {_GREY: (1, 2, 4, 8, 16), _RGB: (8, 16), _PALETTE: (1, 2, 4, 8), _GREY_ALPHA: (8, 16), _RGBA: (8, 16)}
# Section 8: of each Adam7 pass the first column and row, and the steps between columns and between rows.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MAGIC = {b"\xff\xd8\xff": "a JPEG", b"GIF8": "a GIF", b"BM": "a BMP", b"RIFF": "a WebP", b"II*\0": "a TIFF"}


class _Header(NamedTuple):
    """IHDR, section 11.2.1."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filter: int
    interlace: int

    @property
    def samples(self) -> int:
        """Samples a pixel."""
        return _SAMPLES[self.colour]

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of `width` pixels, without its filter byte."""
        return (width * self.samples * self.depth + 7) // 8


def decode_png(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The pixels of a PNG: H x W x C uint8, C = 1 for grey and 3 for RGB and palettes.

    Samples of 16 bits are reduced to their high byte; those of 1, 2 and 4 bits are spread over 0 to 255. Alpha is
    dropped, not blended, and a tRNS chunk is ignored. Gamma and colour profiles are not applied.

    Args:
        data: the file's bytes.
        name: what errors call it.
        max_pixels: the largest H x W accepted; checked before anything is inflated.

    Raises:
        InputError: not a PNG, damaged, cut short, too large, or against the specification.
    """
    if not data.startswith(SIGNATURE):
        kind = kind_of(data) or "not a PNG"
        raise InputError(
            f"{name} is {kind}; this runtime reads PNG: decode it yourself and pass an array of shape HxWx3 uint8, or "
            "package the model with decode = true"
        )
    try:
        return _decode(data, max_pixels)
    except _PngError as error:
        raise InputError(f"{name} is not a readable PNG: {error}") from error


def check_png(data: bytes, name: str) -> None:
    """See that a decoder in the graph reads a PNG as `decode_png` does.

    Raises:
        InputError: as `decode_png`; or it is interlaced, which such decoders misread.
    """
    try:
        header, palette, compressed = _read_chunks(data, MAX_PIXELS)
        if header.interlace:
            raise _PngError("it is interlaced; save it without")
        lines = np.frombuffer(_inflate(compressed, header.height * (1 + header.row_bytes(header.width))), np.uint8)
        if lines.reshape(header.height, -1)[:, 0].max() > 4:
            raise _PngError("a row has a filter type that there is not")
        if palette:
            _decode(data, MAX_PIXELS)  # indices beyond the palette
    except _PngError as error:
        raise InputError(f"{name} is not a PNG that can be decoded: {error}") from error


def kind_of(data: bytes) -> str | None:
    """What a file is by its first bytes: `a JPEG`, `a GIF`; None if that is not known."""
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)


class _PngError(Exception):
    """What is wrong with the PNG, without its name."""


def _decode(data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    header, palette, compressed = _read_chunks(data, max_pixels)
    passes = list(_passes(header))
    raw = _inflate(compressed, sum(height * (1 + header.row_bytes(width)) for _, _, width, height in passes))
    samples = np.empty((header.height, header.width, header.samples), np.uint8)
    start = 0
    for rows, columns, width, height in passes:
        end = start + height * (1 + header.row_bytes(width))
        lines = np.frombuffer(raw, np.uint8, end - start, start).reshape(height, -1)
        unfiltered = _unfilter(lines, max(1, header.samples * header.depth // 8))
        samples[rows, columns] = _unpack(unfiltered, header, width)
        start = end
    return _colours(samples, header, palette)


def _read_chunks(data: bytes, max_pixels: int) -> tuple[_Header, bytes, bytes]:
    """The header, the palette (empty without one), and the compressed picture: sections 5.3 and 11.2."""
    header: _Header | None = None
    palette, pieces = b"", []
    for kind, body in _chunks(data):
        if header is None:
            header = _read_header(kind, body, max_pixels)
        elif kind == b"PLTE":
            palette = body
        elif kind == b"IDAT":
            pieces.append(body)
        elif kind == b"IEND":
            break
        elif not kind[0] & 0x20:  # a capital: a chunk that no reader may skip
            raise _PngError(f"it has a critical chunk {_shown(kind)} that the specification does not")
    if header is None or not pieces:
        raise _PngError("it holds no picture")
    if header.colour == _PALETTE and (not palette or len(palette) % 3):
        raise _PngError(f"expected a palette of 3 bytes a colour, got {len(palette)} bytes")
    return header, palette, b"".join(pieces)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Types and contents; each chunk's CRC is checked."""
    position = len(SIGNATURE)
    while True:
        if position + 12 > len(data):
            raise _PngError("it is cut short")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise _PngError(f"it is cut short within chunk {_shown(kind)}")
        (expected,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(data[position + 4 : end]) != expected:
            raise _PngError(f"the CRC of chunk {_shown(kind)} does not match")
        yield kind, data[position + 8 : end]
        position = end + 4


def _read_header(kind: bytes, body: bytes, max_pixels: int) -> _Header:
    if kind != b"IHDR" or len(body) != 13:
        raise _PngError(f"expected chunk IHDR of 13 bytes first, got {_shown(kind)} of {len(body)}")
    header = _Header(*struct.unpack(">IIBBBBB", body))
    if header.depth not in _DEPTHS.get(header.colour, ()):
        raise _PngError(f"there is no colour type {header.colour} of bit depth {header.depth}")
    if header.compression or header.filter or header.interlace > 1:
        raise _PngError("its compression, filter or interlace method is unknown")
    width, height = header.width, header.height
    if not (width and height):
        raise _PngError(f"it is {width} x {height} pixels")
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise _PngError(
            f"expected at most {max_pixels} pixels and {MAX_SIDE} a side, got {width} x {height}; scale it down first"
        )
    return header


def _shown(kind: bytes) -> str:
    """A chunk's four letters, or what stands in their place."""
    return kind.decode("ascii", "backslashreplace")


def _passes(header: _Header) -> Iterator[tuple[slice, slice, int, int]]:
    """The rows and columns that each pass fills, its width and its height; one pass without interlace."""
    for x, y, dx, dy in _ADAM7 if header.interlace else ((0, 0, 1, 1),):
        width, height = -((x - header.width) // dx), -((y - header.height) // dy)
        if width > 0 and height > 0:
            yield slice(y, None, dy), slice(x, None, dx), width, height


def _inflate(compressed: bytes, size: int) -> bytes:
    """Exactly `size` bytes, and never room for more: a small file can't ask for gigabytes."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(compressed, size + 1)
    except zlib.error as error:
        raise _PngError(f"it can't be inflated: {error}") from error
    if len(raw) != size or not inflater.eof:
        raise _PngError(f"expected {size} bytes of pixels, got {'more' if len(raw) > size else 'fewer'}")
    return raw


def _unfilter(lines: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Undo the filters of section 9.2.

    A byte is predicted from those to the left, above, and above left, so all bytes on one anti-diagonal can be
    rebuilt at once, whichever filters their rows use: H + W rounds of numpy in place of H x W of Python.

    Args:
        lines: rows x (1 + bytes): the filter type, then the filtered bytes.
        step: bytes a pixel, at least 1.

    Returns:
        rows x bytes, rebuilt.
    """
    types, (rows, columns) = lines[:, 0], (len(lines), (lines.shape[1] - 1) // step)
    if types.max(initial=0) > 4:
        raise _PngError(f"there is no filter type {types.max()}")
    stride = columns + 1  # a column of zeros on the left, a row of zeros above
    grid = np.zeros((rows + 1, stride, step), np.uint8)
    grid[1:, 1:] = lines[:, 1:].reshape(rows, columns, step)
    if types.any():
        _rebuild(grid.reshape(-1, step), types, rows, columns)
    return grid[1:, 1:].reshape(rows, columns * step)


def _rebuild(pixels: NDArray[np.uint8], types: NDArray[np.uint8], rows: int, columns: int) -> None:
    """Rebuild, in place, the pixels of a (rows + 1) x (columns + 1) grid, one anti-diagonal after the other."""
    stride = columns + 1
    for diagonal in range(rows + columns - 1):
        first, last = max(0, diagonal - columns + 1), min(rows - 1, diagonal)
        start = (first + 1) * stride + (diagonal - first + 1)
        stop = (last + 1) * stride + (diagonal - last + 1) + 1
        # One row down and one column to the left lies stride - 1 = columns further on.
        left, up, corner = (
            pixels[start - back : stop - back : columns].astype(np.int16) for back in (1, stride, stride + 1)
        )
        predictions = (np.int16(0), left, up, (left + up) >> 1, _paeth(left, up, corner))
        predicted = np.choose(types[first : last + 1, None], predictions)
        pixels[start:stop:columns] += predicted.astype(np.uint8)


def _paeth(left: NDArray[Any], up: NDArray[Any], corner: NDArray[Any]) -> NDArray[Any]:
    """Section 9.4: whichever of the three is nearest to left + up - corner; ties in that order."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    nearest = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest)


def _unpack(lines: NDArray[np.uint8], header: _Header, width: int) -> NDArray[np.uint8]:
    """Rows of bytes as H x W x samples, one byte a sample; palette indices and small samples as they are."""
    if header.depth == 16:
        lines = lines[:, ::2]  # section 7.1: the high byte comes first
    elif header.depth < 8:
        shifts = np.arange(8 - header.depth, -1, -header.depth, dtype=np.uint8)
        lines = ((lines[:, :, None] >> shifts) & (2**header.depth - 1)).reshape(len(lines), -1)
    return lines[:, : width * header.samples].reshape(len(lines), width, header.samples)


def _colours(samples: NDArray[np.uint8], header: _Header, palette: bytes) -> NDArray[np.uint8]:
    if header.colour == _PALETTE:
        colours = np.frombuffer(palette, np.uint8).reshape(-1, 3)
        if samples.max() >= len(colours):
            raise _PngError(f"expected palette indices below {len(colours)}, got {samples.max()}")
        return colours[samples[:, :, 0]]
    if header.depth < 8:
        samples = samples * np.uint8(255 // (2**header.depth - 1))
    return np.ascontiguousarray(samples[:, :, : 1 if header.colour in (_GREY, _GREY_ALPHA) else 3])
