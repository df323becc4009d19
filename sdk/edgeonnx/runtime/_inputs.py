"""Inputs from files: pictures, sounds, texts, rows, .npy and .npz, one by one or as a command line names them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import InputError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ._manifest import InputSpec


class Sample(NamedTuple):
    """One sample: the arrays by input name, and the files they are from."""

    source: str
    inputs: dict[str, NDArray[Any]]


def read_samples(arguments: Sequence[str], specs: Sequence[InputSpec]) -> Iterator[Sample]:
    """The samples that a command line names, each read when it is asked for.

    Args:
        arguments: files: an `.npz` is a sample whose arrays are named after the inputs, any other file is a sample of a
            model with one input. Or `name=file` pairs, which together make one sample.
        specs: the manifest's inputs.

    Raises:
        InputError: a file that can't be read or does not suit, or files mixed with pairs.
    """
    names = [spec.name for spec in specs]
    pairs = [_pair(argument, names) for argument in arguments]
    if all(pairs) and pairs:
        by_name = {spec.name: spec for spec in specs}
        paths = dict(pair for pair in pairs if pair)
        if len(paths) < len(pairs):
            raise InputError(f"expected each input once, got {' '.join(arguments)}")
        yield Sample(" ".join(arguments), {name: read_input(by_name[name], path) for name, path in paths.items()})
    elif any(pairs):
        raise InputError(f"expected files or name=file pairs, got both: {' '.join(arguments)}")
    else:
        for path in arguments:
            yield Sample(path, read_npz(path) if path.lower().endswith(".npz") else _read_only_input(specs, path))


def as_array(spec: InputSpec, value: Any) -> NDArray[Any]:
    """The array for one input.

    Args:
        spec: the manifest's.
        value: an array, which stays as it is; the path of a file; a text, where the input takes one (the path of its
            file is a `pathlib.Path` there); the bytes of a JPEG or PNG file, where the graph decodes them.

    Raises:
        InputError: as `read_input`.
    """
    media = spec.media
    if media is not None and media.type == "text" and isinstance(value, str):
        from ._text import as_text

        return as_text(value, f"input {spec.name}")
    if media is not None and media.encoded and isinstance(value, (bytes, bytearray, memoryview)):
        return check_encoded(bytes(value), f"input {spec.name}")
    return read_input(spec, value) if isinstance(value, (str, os.PathLike)) else value


def read_input(spec: InputSpec, path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array for one input: from an `.npy` file as it is, else from a file of what `spec.media` says.

    Returns:
        For a picture, H x W x C uint8 with the channels that the media names, from a PNG; or the bytes of a JPEG or PNG
        file where the graph decodes them. For the rest see `read_audio`, `read_text` and `read_row`.

    Raises:
        InputError: the file can't be read, or the input takes arrays alone, or a picture of another size.
    """
    path = os.fspath(path)
    media = spec.media
    if path.lower().endswith(".npy"):
        return parse_npy(read_bytes(path), path)
    if media is None:
        raise InputError(
            f"{path}: input {spec.name} takes an array, the bundle was packaged without preprocessing of files; "
            f"give it an .npy file of dtype {spec.dtype}, or package the model with a pipeline"
        )
    # What reads one kind of file is imported with the first of its kind.
    if media.type == "audio":
        from ._wav import read_audio

        return read_audio(path, spec)
    if media.type == "text":
        from ._text import read_text

        return read_text(path, spec)
    if media.type == "table":
        from ._table import read_row

        return read_row(path, [spec])[spec.name]
    return check_encoded(read_bytes(path), path) if media.encoded else _read_pixels(spec, media.color or "rgb", path)


def check_encoded(data: bytes, name: str) -> NDArray[np.uint8]:
    """The bytes of a JPEG or PNG file as an array, uint8, shape (bytes,), for a graph that decodes them.

    They are looked over first: decoders may end the process, or show another picture, on what they do not expect.

    Args:
        data: the file's.
        name: what errors call it.

    Raises:
        InputError: it is neither, damaged, cut short, too large, or of a kind that decoders misread.
    """
    from ._png import SIGNATURE, check_png, kind_of

    if data.startswith(SIGNATURE):
        check_png(data, name)
    elif data.startswith(b"\xff\xd8"):
        from ._jpeg import check_jpeg

        check_jpeg(data, name)
    else:
        raise InputError(
            f"{name}: expected a JPEG or PNG file, got {kind_of(data) or 'neither'}; save it as one of them"
        )
    return np.frombuffer(data, np.uint8)


def _read_pixels(spec: InputSpec, color: str, path: str) -> NDArray[np.uint8]:
    from ._png import decode_png

    picture = to_channels(decode_png(read_bytes(path), path), color)
    for what, expected, got in zip(("high", "wide"), spec.shape, picture.shape):
        if isinstance(expected, int) and expected != got:
            raise InputError(
                f"{path}: expected a picture {expected} pixels {what}, got {got}; resize it, or package the model "
                "with a pipeline that resizes"
            )
    return picture


def read_npz(path: str) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file by name. Raises InputError; no pickled objects."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except Exception as error:  # as for .npy; AttributeError for an .npy file of that name
        raise InputError(f"{path} is not a readable .npz file: {first_line(error)}") from error


def to_channels(picture: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """A picture with the channels that a manifest's `color` asks for.

    Args:
        picture: H x W x C uint8; C = 1 is grey, C = 3 is RGB.
        color: "grey" is ITU-R BT.601-2 luma, in the integer arithmetic of Pillow's `convert("L")`; "rgb" and "bgr"
            repeat a grey picture.

    Returns:
        H x W x 1 or H x W x 3 uint8, contiguous.
    """
    if color == "grey":
        if picture.shape[2] == 1:
            return picture
        red, green, blue = (picture[:, :, i].astype(np.uint32) for i in range(3))
        return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, :, None]
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    return np.ascontiguousarray(picture[:, :, ::-1]) if color == "bgr" else picture


def parse_npy(data: bytes, name: str) -> NDArray[Any]:
    """The array in the bytes of an `.npy` file, which errors call `name`. Raises InputError; no pickled objects."""
    from io import BytesIO

    try:
        return np.asarray(np.lib.format.read_array(BytesIO(data), allow_pickle=False))
    except Exception as error:  # numpy raises half a dozen types for damage
        raise InputError(f"{name} is not a readable .npy file: {first_line(error)}") from error


def _read_only_input(specs: Sequence[InputSpec], path: str) -> dict[str, NDArray[Any]]:
    if len(specs) > 1 and all(spec.media is not None and spec.media.type == "table" for spec in specs):
        from ._table import read_row

        return read_row(path, specs)  # numbers and categories of one row are two inputs
    if len(specs) != 1:
        names = ", ".join(spec.name for spec in specs)
        raise InputError(f"{path}: the model has {len(specs)} inputs ({names}); give name=file pairs or an .npz")
    return {specs[0].name: read_input(specs[0], path)}


def _pair(argument: str, names: list[str]) -> tuple[str, str] | None:
    """`name=file` taken apart; None for the path of a file."""
    name, equals, path = argument.partition("=")
    if not equals or (name not in names and os.path.exists(argument)):
        return None
    if name not in names:
        raise InputError(f"{argument}: expected an input named one of {', '.join(names)}, got {name}")
    return name, path


def read_bytes(path: str) -> bytes:
    """The bytes of a file. Raises InputError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
