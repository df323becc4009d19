"""Is a JPEG whole? Asked before it is decoded: the decoder ends the process, or fills in grey, where one is not.

The layout is that of ITU-T T.81, annex B: segments of marker and length, and after each start of scan the compressed
data, up to the next marker.
"""

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
# Sequential and progressive frames in Huffman code; the decoder knows no other.
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}


def is_jpeg(data: bytes) -> bool:
    """Whether it begins like one."""
    return data.startswith(b"\xff\xd8\xff")


def jpeg_problem(data: bytes) -> str | None:
    """What is wrong with a JPEG; None if it holds a frame the decoder knows, and goes on to its end."""
    at, framed = 2, False
    while True:
        at = _next_marker(data, at)
        if at + 2 > len(data):
            return "it is cut short"
        kind = data[at + 1]
        at += 2
        if kind == _END:
            return None if framed else "it holds no picture"
        if kind in _WITHOUT_LENGTH:
            continue
        if kind in _OTHER_FRAMES or (kind in _FRAMES and data[at + 2 : at + 3] != b"\x08"):
            return "it is of a kind that is not supported (arithmetic code, lossless, or more than 8 bits)"
        framed = framed or kind in _FRAMES
        if kind == _SCAN and not framed:
            return "it holds no picture"
        at += max(2, int.from_bytes(data[at : at + 2], "big"))


def _next_marker(data: bytes, at: int) -> int:
    """Where the next marker begins: FF, and not a stuffed 00, a fill byte or a restart in between."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0:
            return len(data)
        following = data[at + 1 : at + 2]
        if following not in (b"\x00", b"\xff"):
            return at
        at += 1 if following == b"\xff" else 2
