"""Reads WAV files with struct and numpy, after the RIFF specification and Microsoft's WAVE_FORMAT_EXTENSIBLE.

http://www-mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html collects both.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._checks import check_length
from ._errors import InputError
from ._inputs import read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._manifest import InputSpec

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODECS = {2: "ADPCM", 6: "A-law", 7: "mu-law", 17: "ADPCM", 85: "MP3"}
_KINDS = {_PCM: {1: "u1", 2: "<i2", 3: "", 4: "<i4"}, _FLOAT: {4: "<f4", 8: "<f8"}}
_MAGIC = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\xff\xfb": "MP3", b"FORM": "AIFF", b"RF64": "RF64"}
# Programs that write to a pipe don't know the size and claim the largest; so from here on a size is no promise.
_UNKNOWN_SIZE = 0x7FFFF000


class _Format(NamedTuple):
    """The chunk `fmt `: codec, channels, samples a second, bytes of one sample of one channel."""

    codec: int
    channels: int
    rate: int
    width: int


def read_audio(path: str | os.PathLike[str], spec: InputSpec) -> NDArray[Any]:
    """The samples of a WAV file, of PCM with 8, 16, 24 or 32 bits or of floats, as an input takes them.

    Several channels are averaged where the input takes one, and one is repeated where it takes several; 24 and 32 bits
    lose the lower ones where it takes int16. Nothing is resampled.

    Args:
        path: the file.
        spec: an input whose `media` is audio.

    Returns:
        Shape (samples,), or (samples, channels) where the input takes several, of the spec's dtype.

    Raises:
        InputError: the file can't be read, is no WAV, is damaged or cut short, holds no samples or not enough, or is of
            another rate or another number of channels.
    """
    path = os.fspath(path)
    data = read_bytes(path)
    samples, rate = decode_wav(data, path)
    media = spec.media
    if media is not None and media.rate not in (None, rate):
        raise InputError(
            f"{path}: expected {media.rate} samples a second, got {rate}; resample the file, or package the model with "
            f"source_rate = {rate} in the pipeline's [input.{spec.name}]"
        )
    samples = _to_channels(samples, media.channels if media is not None else 1, path)
    check_length(samples.shape[0], spec, path)
    return _to_dtype(samples, spec.dtype, path)


def decode_wav(data: bytes, name: str) -> tuple[NDArray[Any], int]:
    """The samples of a WAV file as they stand there, and its rate in Hz.

    Args:
        data: the file.
        name: begins the errors.

    Returns:
        Shape (samples, channels): int16 for 8 and 16 bits, int32 for 24 and 32 (24 as the upper ones), or floats.

    Raises:
        InputError: no WAV, of a codec that is not read, damaged, or cut short.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        found = next((f", this looks like {kind}" for magic, kind in _MAGIC.items() if data.startswith(magic)), "")
        raise InputError(f"{name}: expected a WAV file{found}; ffmpeg -i FILE -c:a pcm_s16le OUT.wav makes one")
    found_format, body = None, None
    position = 12
    while position + 8 <= len(data) and (found_format is None or body is None):
        kind, size = struct.unpack_from("<4sI", data, position)
        position += 8
        if kind == b"fmt ":
            found_format = _format(data[position : position + size], name)
        elif kind == b"data":
            if position + size > len(data) and size < _UNKNOWN_SIZE:
                raise InputError(f"{name}: cut short: expected {size} bytes of audio, got {len(data) - position}")
            body = data[position : position + size]
        position += size + size % 2
    if found_format is None or body is None:
        raise InputError(f"{name}: damaged WAV file: no {'format' if found_format is None else 'data'} in it")
    return _values(body, found_format), found_format.rate


def _format(chunk: bytes, name: str) -> _Format:
    if len(chunk) < 16:
        raise InputError(f"{name}: damaged WAV file: its format takes 16 bytes, got {len(chunk)}")
    codec, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", chunk)
    if codec == _EXTENSIBLE and len(chunk) >= 26:
        codec = struct.unpack_from("<H", chunk, 24)[0]  # the first field of the GUID SubFormat
    if codec not in _KINDS:
        raise InputError(
            f"{name}: expected PCM or floats, got {_CODECS.get(codec, f'codec {codec}')}; "
            "ffmpeg -i FILE -c:a pcm_s16le OUT.wav converts it"
        )
    width = block // channels if channels else 0
    if not channels or not rate or block % channels or width not in _KINDS[codec] or bits > 8 * width:
        got = f"{channels} channels, {rate} Hz, {bits} bits, {block} bytes for one sample of all channels"
        raise InputError(f"{name}: damaged WAV file: {got}")
    return _Format(codec, channels, rate, width)


def _values(body: bytes, form: _Format) -> NDArray[Any]:
    count = len(body) // (form.width * form.channels) * form.channels  # what is left of a last sample is left out
    if form.codec == _PCM and form.width == 3:
        wide = np.zeros((count, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(body, np.uint8, 3 * count).reshape(-1, 3)
        values = wide.view("<i4")
    else:
        values = np.frombuffer(body, _KINDS[form.codec][form.width], count)
    if form.codec == _PCM and form.width == 1:  # the only one without a sign
        values = (values.astype(np.int16) - 128) << 8
    return values.astype(values.dtype.newbyteorder("="), copy=False).reshape(-1, form.channels)


def _to_channels(samples: NDArray[Any], channels: int, name: str) -> NDArray[Any]:
    """Shape (samples,) for one channel, (samples, channels) for several."""
    found = samples.shape[1]
    if channels == 1 and found > 1:
        mean = samples.mean(axis=1, dtype=np.float64)
        return np.asarray(np.rint(mean) if samples.dtype.kind == "i" else mean, samples.dtype)
    if found not in (1, channels):
        raise InputError(f"{name}: expected {channels} channels or 1, got {found}")
    return samples[:, 0] if channels == 1 else np.repeat(samples, channels // found, axis=1)


def _to_dtype(samples: NDArray[Any], dtype: str, name: str) -> NDArray[Any]:
    """The same loudness in another type: full scale is 1 as a float, 2^15 and 2^31 as int16 and int32."""
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise InputError(f"{name}: NaN or infinity among its samples")
    if dtype == "int16" and samples.dtype == np.int32:
        return np.asarray(samples >> 16, np.int16)
    if dtype == "int16" and samples.dtype.kind == "f":
        return np.asarray(np.rint(np.clip(samples * np.float64(32768), -32768, 32767)), np.int16)
    if dtype != "int16" and samples.dtype.kind == "i":
        return np.asarray(samples / -float(np.iinfo(samples.dtype).min), dtype)
    return np.ascontiguousarray(samples, dtype)
