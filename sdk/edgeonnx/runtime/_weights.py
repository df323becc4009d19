"""Gives onnxruntime a model's external weights from the bundle itself.

onnxruntime maps external data of the CPU from its file, at any offset, and lets go of what it has repacked: no copy is
made. An ONNX file names that file and the offset in each tensor (onnx.proto, TensorProto.external_data); in a bundle it
names the entry. Here those fields are written anew, by walking over protobuf's wire format
(https://protobuf.dev/programming-guides/encoding/): a model without its weights is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ._zip import Place

# Numbers of fields in onnx.proto.
_GRAPH = 7
_INITIALIZER = 5
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
_KEY, _VALUE = 1, 2

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def map_weights(model: bytes, file: bytes, places: Mapping[str, Place]) -> bytes:
    """The model with weights that onnxruntime reads from the bundle.

    Args:
        model: the ONNX file.
        file: the bundle's, as onnxruntime is to find it.
        places: the entries that may hold weights.

    Raises:
        BundleError: not ONNX, or a tensor lies outside those entries.
    """

    def refer(tensor: bytes, name: str, offset: int, length: int) -> bytes:
        place = (b"%d" % (places[name].offset + offset), b"%d" % length)
        pairs = zip((b"location", b"offset", b"length"), (file, *place))
        entries = [_field(_EXTERNAL_DATA, _field(_KEY, key) + _field(_VALUE, value)) for key, value in pairs]
        return _rewritten(tensor, _EXTERNAL_DATA, _nothing) + b"".join(entries)

    return _with_tensors(model, places, refer)


def inline_weights(model: bytes, places: Mapping[str, Place], read: Callable[[str], bytes]) -> bytes:
    """The model with its weights inside, for an onnxruntime that can't be told where a model's folder is.

    Args:
        model: the ONNX file.
        places: the entries that may hold weights.
        read: gives the bytes of one of them.

    Raises:
        BundleError: not ONNX, or a tensor lies outside those entries.
    """
    data = {name: memoryview(read(name)) for name in places}

    def fill(tensor: bytes, name: str, offset: int, length: int) -> bytes:
        bare = _rewritten(_rewritten(tensor, _EXTERNAL_DATA, _nothing), _DATA_LOCATION, _nothing)
        return bare + _field(_RAW_DATA, data[name][offset : offset + length])

    return _with_tensors(model, places, fill)


def _with_tensors(model: bytes, places: Mapping[str, Place], change: Callable[[bytes, str, int, int], bytes]) -> bytes:
    """The model with `change(tensor, entry, offset, length)` made to each initializer with external data."""

    def in_tensor(tensor: bytes) -> bytes:
        entries = [dict(_fields(entry)) for number, entry in _fields(tensor) if number == _EXTERNAL_DATA]
        if not entries:
            return tensor
        external = {entry.get(_KEY, b""): entry.get(_VALUE, b"") for entry in entries}
        return change(tensor, *_within(external, places))

    try:
        return _rewritten(model, _GRAPH, lambda graph: _rewritten(graph, _INITIALIZER, in_tensor))
    except (IndexError, ValueError) as error:
        raise BundleError("not an ONNX file; package the model again") from error


def _within(external: Mapping[bytes, bytes], places: Mapping[str, Place]) -> tuple[str, int, int]:
    """A tensor's entry, its offset there and its length, in bytes."""
    name = external.get(b"location", b"").decode("utf-8", "replace")
    if name not in places:
        raise BundleError(f"weights in {name[:80]!r}, which the manifest does not list for it; don't use this bundle")
    offset, length = int(external.get(b"offset", b"0")), int(external[b"length"]) if b"length" in external else -1
    if offset < 0 or length < 0 or offset + length > places[name].size:
        raise BundleError(f"weights beyond the end of {name}; package the model again")
    return name, offset, length


def _rewritten(message: bytes, number: int, change: Callable[[bytes], bytes | None]) -> bytes:
    """The message with `change` made to each of its fields of that number; None takes the field out."""
    parts: list[bytes] = []
    copied = 0
    for found, start, begin, end in _walk(message):
        if found != number:
            continue
        new = change(message[begin:end])
        parts += [message[copied:start], b"" if new is None else _field(number, new)]
        copied = end
    return b"".join([*parts, message[copied:]])


def _nothing(_value: bytes) -> None:
    """Takes a field out."""


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    for number, _, begin, end in _walk(message):
        yield number, message[begin:end]


def _walk(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Every field: its number, where it starts, and where its value begins and ends."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        begin = at
        if kind == _LENGTH:
            length, begin = _varint(message, at)
            at = begin + length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("cut short")
        yield tag >> 3, start, begin, at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value = message[at]
    at += 1
    if value < 0x80:
        return value, at
    value &= 0x7F
    for shift in range(7, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _field(number: int, value: bytes | memoryview) -> bytes:
    """A field of the kind that has a length."""
    return b"".join((_encoded(number << 3 | _LENGTH), _encoded(len(value)), value))


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
