"""Looks a JPEG over before a decoder gets it: libjpeg, as decoders embed it, ends the whole process on what it refuses.

After ITU-T T.81 | ISO/IEC 10918-1, https://www.w3.org/Graphics/JPEG/itu-t81.pdf; the section numbers below are its.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from ._errors import InputError
from ._png import MAX_PIXELS, MAX_SIDE

_MAX_SCANS = 100  # a progressive file has about ten; each costs a pass over the whole picture
_SOF = {0xC0: "baseline", 0xC1: "extended sequential", 0xC2: "progressive"}
_DHT, _RST0, _SOI, _EOI, _SOS, _DQT, _DRI, _COM = 0xC4, 0xD0, 0xD8, 0xD9, 0xDA, 0xDB, 0xDD, 0xFE


class _Component(NamedTuple):
    """Of a frame, section B.2.2: the sampling factors and the quantization table."""

    across: int
    down: int
    table: int


class _Frame(NamedTuple):
    """Section B.2.2."""

    progressive: bool
    width: int
    height: int
    components: dict[int, _Component]

    def blocks(self, numbers: list[int]) -> tuple[int, int]:
        """Units (MCU) of a scan of these components, and blocks in all of them: section A.2."""
        most = max(c.across for c in self.components.values()), max(c.down for c in self.components.values())
        if len(numbers) > 1:
            units = _ceil(self.width, 8 * most[0]) * _ceil(self.height, 8 * most[1])
            return units, units * sum(self.components[i].across * self.components[i].down for i in numbers)
        one = self.components[numbers[0]]
        wide, high = _ceil(self.width * one.across, most[0]), _ceil(self.height * one.down, most[1])
        return (_ceil(wide, 8) * _ceil(high, 8),) * 2


def check_jpeg(data: bytes, name: str) -> None:
    """See that a JPEG can be decoded: whole, baseline or progressive, 8 bits, grey or of three components.

    Every segment is read; of the coded data, only its markers and whether it can be all. Bits that are wrong within it
    change what the picture shows, as in any decoder.

    Args:
        data: the file's bytes. What follows the end of the picture is not looked at.
        name: what errors call it.

    Raises:
        InputError: damaged, cut short, too large, or of a kind that the decoder does not read.
    """
    try:
        _Walk(data).run()
    except _JpegError as error:
        raise InputError(f"{name} is not a JPEG that can be decoded: {error}") from error


class _JpegError(Exception):
    """What is wrong with the JPEG, without its name."""


class _Walk:
    """Goes from marker to marker, and keeps what scans refer to."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 2
        # Section B.1.1.5: a marker is FF and what is neither 00 nor FF; in coded data all are, elsewhere some are.
        octets = np.frombuffer(data, np.uint8)
        at = np.flatnonzero(octets[:-1] == 0xFF)
        codes = octets[at + 1]
        markers = (codes != 0) & (codes != 0xFF)
        self._at, self._codes = at[markers], codes[markers]
        self._frame: _Frame | None = None
        self._quantization: set[int] = set()
        self._huffman: set[tuple[int, int]] = set()  # class (0: DC, 1: AC) and number
        self._interval = 0
        self._scans = 0
        self._shown: set[int] = set()

    def run(self) -> None:
        if not self._data.startswith(b"\xff\xd8"):
            raise _JpegError("it does not begin as one")
        while (marker := self._marker()) != _EOI:
            if (marker != _COM and not 0xC0 <= marker <= 0xEF) or _RST0 <= marker <= _SOI:
                raise _JpegError(f"marker {marker:#x} does not belong there; it is damaged")
            self._segment(marker, self._body())
        if self._frame is None or self._shown != self._frame.components.keys():
            raise _JpegError("it ends before the picture does")

    def _marker(self) -> int:
        """The code of the marker that must come next; any number of FF may go before it."""
        start = self._position
        while self._data[self._position : self._position + 1] == b"\xff":
            self._position += 1
        if self._position >= len(self._data):
            raise _JpegError("it is cut short")
        if start == self._position:
            raise _JpegError(f"expected a marker at byte {start}; it is damaged")
        self._position += 1
        return self._data[self._position - 1]

    def _body(self) -> bytes:
        length = int.from_bytes(self._data[self._position : self._position + 2], "big")
        end = self._position + length
        if end > len(self._data):
            raise _JpegError("it is cut short")
        if length < 2:
            raise _JpegError("a segment has no length; it is damaged")
        body = self._data[self._position + 2 : end]
        self._position = end
        return body

    def _segment(self, marker: int, body: bytes) -> None:
        if marker in _SOF:
            self._start_frame(marker, body)
        elif marker == _DHT:
            self._huffman |= _read_huffman(body)
        elif marker == _DQT:
            self._quantization |= _read_quantization(body)
        elif marker == _DRI:
            if len(body) != 2:
                raise _JpegError("its restart interval is damaged")
            self._interval = int.from_bytes(body, "big")
        elif marker == _SOS:
            self._scan(body)
        elif marker != _COM and not 0xE0 <= marker <= 0xEF:
            kind = "arithmetic coding" if marker in (0xC9, 0xCA, 0xCC) else f"marker {marker:#x}"
            raise _JpegError(f"{kind} is not supported; save it as a baseline JPEG")

    def _start_frame(self, marker: int, body: bytes) -> None:
        if self._frame is not None:
            raise _JpegError("it has two frames; it is damaged")
        self._frame = _read_frame(marker, body)

    def _scan(self, body: bytes) -> None:
        """Section B.2.3, and the coded data that follows."""
        frame, self._scans = self._frame, self._scans + 1
        if frame is None or len(body) < 4 or len(body) != 4 + 2 * body[0]:
            raise _JpegError("a scan is damaged")
        if self._scans > _MAX_SCANS:
            raise _JpegError(f"expected at most {_MAX_SCANS} scans; save it as a baseline JPEG")
        numbers, tables = list(body[1:-3:2]), body[2:-3:2]
        if not numbers or len(set(numbers)) < len(numbers) or not frame.components.keys() >= set(numbers):
            raise _JpegError("a scan is of components that the picture does not have")
        if not frame.progressive and self._shown & set(numbers):
            raise _JpegError("a component comes twice; it is damaged")
        first, last, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
        _check_spectrum(frame, len(numbers), (first, last, high, low))
        if len(numbers) > 1 and sum(frame.components[i].across * frame.components[i].down for i in numbers) > 10:
            raise _JpegError("its sampling is out of bounds")  # section B.2.3
        for number, table in zip(numbers, tables):
            coders = {(0, table >> 4)} if first == 0 and high == 0 else set()
            coders |= {(1, table & 15)} if last > 0 else set()
            if not coders <= self._huffman or frame.components[number].table not in self._quantization:
                raise _JpegError("a scan needs a table that the file does not have")
        self._coded_data(frame, numbers, first, last)
        self._shown |= set(numbers) if first == 0 else set()

    def _coded_data(self, frame: _Frame, numbers: list[int], first: int, last: int) -> None:
        """Restart markers count from 0 to 7 and on; a block takes a bit for each kind of coefficient at least."""
        start = int(np.searchsorted(self._at, self._position))
        codes = self._codes[start:]
        ends = np.flatnonzero(codes >> 3 != _RST0 >> 3)
        if not ends.size:
            raise _JpegError("it is cut short")
        coded = int(self._at[start + ends[0]]) - self._position
        self._position += coded
        units, blocks = frame.blocks(numbers)
        restarts = (units - 1) // self._interval if self._interval else 0
        if ends[0] != restarts or (codes[:restarts] & 7 != np.arange(restarts) % 8).any():
            raise _JpegError("its restart markers are damaged")
        bits = 0 if first else 1 + (last > 0)  # runs of empty blocks are coded as one where only first > 0
        if coded * 8 < blocks * bits:
            raise _JpegError("it is cut short, or damaged: too little data for its size")


def _check_spectrum(frame: _Frame, components: int, spectrum: tuple[int, int, int, int]) -> None:
    """Sections B.2.3 and G.1.1.1: which coefficients a scan may hold, and at which precision."""
    first, last, high, low = spectrum
    if frame.progressive:
        right = last == 0 if first == 0 else first <= last < 64 and components == 1
        right = right and low <= 13 and high in (0, low + 1)
    else:
        right = spectrum == (0, 63, 0, 0)
    if not right:
        raise _JpegError("a scan is of coefficients that there are not; it is damaged")


def _read_frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _JpegError("its header is damaged")
    precision, height, width, count = struct.unpack(">BHHB", body[:6])
    if precision != 8:
        raise _JpegError(f"expected 8 bits a sample, got {precision}; save it with 8")
    if count not in (1, 3):
        raise _JpegError(f"expected grey or RGB, got {count} components{' (CMYK)' * (count == 4)}; convert it to RGB")
    if not (width and height):
        raise _JpegError(f"it is {width} x {height} pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _JpegError(
            f"expected at most {MAX_PIXELS} pixels and {MAX_SIDE} a side, got {width} x {height}; scale it down first"
        )
    parts = [body[i : i + 3] for i in range(6, len(body), 3)]
    components = {part[0]: _Component(part[1] >> 4, part[1] & 15, part[2]) for part in parts}
    across, down = ([getattr(c, axis) for c in components.values()] for axis in ("across", "down"))
    if len(components) < count or not all(1 <= factor <= 4 for factor in across + down):
        raise _JpegError("its components are damaged")
    if any(max(across) % c.across or max(down) % c.down for c in components.values()):
        raise _JpegError("its sampling is not by whole factors; save it as a baseline JPEG")
    return _Frame(marker == 0xC2, width, height, components)


def _read_quantization(body: bytes) -> set[int]:
    """Numbers of the tables of a DQT segment: section B.2.4.1."""
    found, position = set(), 0
    while position < len(body):
        wide, number = body[position] >> 4, body[position] & 15
        position += 1 + 64 * (wide + 1)
        if wide > 1 or number > 3 or position > len(body):
            raise _JpegError("a quantization table is damaged")
        found.add(number)
    return found


def _read_huffman(body: bytes) -> set[tuple[int, int]]:
    """Classes and numbers of the tables of a DHT segment: section B.2.4.2 and annex C."""
    found, position = set(), 0
    while position < len(body):
        kind, number = body[position] >> 4, body[position] & 15
        counts = body[position + 1 : position + 17]
        end = position + 17 + sum(counts)
        if kind > 1 or number > 3 or len(counts) < 16 or end > len(body) or sum(counts) > 256:
            raise _JpegError("a Huffman table is damaged")
        room = 1
        for count in counts:
            room = room * 2 - count
            if count and room < 1:  # annex C: a code of ones alone is none
                raise _JpegError("a Huffman table has more codes than there are; it is damaged")
        if kind == 0 and max(body[position + 17 : end], default=0) > 15:
            raise _JpegError("a Huffman table is damaged")
        found.add((kind, number))
        position = end
    return found


def _ceil(size: int, by: int) -> int:
    return -(-size // by)
