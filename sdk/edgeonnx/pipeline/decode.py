"""Read a picture file on the development machine: PNG by the device's own reader, the rest by Pillow."""

import io
from pathlib import Path

import numpy as np

from edgeonnx.errors import DataError, InputError
from edgeonnx.model import first_line
from edgeonnx.runtime._inputs import to_channels
from edgeonnx.runtime._png import decode_png

_PNG = b"\x89PNG"


def read_picture(path: Path, colour: str) -> np.ndarray:
    """A picture as uint8, shape (height, width, channels).

    Args:
        path: the file.
        colour: `grey`, `rgb` or `bgr`.

    Raises:
        DataError: not a picture, damaged, or a format that needs the extra `images`, which is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    if not data.startswith(_PNG):
        return to_channels(_decode(path, data), colour)
    try:
        return to_channels(decode_png(data, str(path)), colour)
    except InputError as error:
        raise DataError(str(error)) from error


def _decode(path: Path, data: bytes) -> np.ndarray:
    """Pixels of a picture that is not a PNG: grey where it is grey, else RGB; orientation tags are not applied."""
    try:
        from PIL import Image  # an extra
    except ImportError as error:
        raise DataError(f"{path} is not a PNG; to read other pictures, pip install 'edgeonnx[images]'") from error
    try:
        with Image.open(io.BytesIO(data)) as picture:
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    except Exception as error:  # Pillow's readers raise what each format's code raises
        raise DataError(f"{path} is not a picture that can be read: {first_line(error)}") from error
    return pixels.reshape(*pixels.shape[:2], -1)
