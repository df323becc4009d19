"""Read a picture file on the development machine: PNG by the device's own reader, the rest by Pillow."""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeonnx.errors import DataError, InputError, first_line
from edgeonnx.runtime._inputs import check_encoded, to_channels
from edgeonnx.runtime._manifest import Media
from edgeonnx.runtime._png import MAX_PIXELS, SIGNATURE, decode_png

if TYPE_CHECKING:
    from PIL import Image


def read_image(path: Path, media: Media) -> np.ndarray:
    """A picture as an input takes it.

    Args:
        path: the file.
        media: the input's.

    Returns:
        Pixels, uint8, shape (height, width, channels); or the file's bytes, uint8, shape (bytes,), where the graph
        decodes them.

    Raises:
        DataError: not a picture, damaged, too large, of a kind that can't be read right, or a format that needs the
            extra `images`, which is not installed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    try:
        if media.encoded:
            return check_encoded(data, str(path))
        pixels = decode_png(data, str(path)) if data.startswith(SIGNATURE[:4]) else _decode(path, data)
    except InputError as error:
        raise DataError(str(error)) from error
    return to_channels(pixels, media.color or "rgb")


def _decode(path: Path, data: bytes) -> np.ndarray:
    """Pixels of a picture that is not a PNG: grey where it is grey, else RGB.

    As of a PNG, alpha is dropped and of 16 bits the high byte is kept. Orientation tags are not applied.
    """
    try:
        from PIL import Image  # an extra
    except ImportError as error:
        raise DataError(f"{path} is not a PNG; to read other pictures, pip install 'edgeonnx[images]'") from error
    try:
        with warnings.catch_warnings():  # of its own limit, which is another
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data))
        with opened as picture:
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width} x {picture.height}"
                raise DataError(f"{path}: expected at most {MAX_PIXELS} pixels, got {size}; scale it down first")
            return _pixels(picture, path)
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise what each format's code raises
        raise DataError(f"{path} is not a picture that can be read: {first_line(error)}") from error


def _pixels(picture: "Image.Image", path: Path) -> np.ndarray:
    """Of a picture of any of Pillow's modes: uint8, shape (height, width, 1 or 3)."""
    if picture.mode in ("I", "F"):
        raise DataError(f"{path}: expected 8 or 16 bits a sample, got 32 ({picture.mode}); save it with 8")
    if picture.mode.startswith("I;16"):  # Pillow would cut off what is above 255
        pixels = (np.asarray(picture) >> 8).astype(np.uint8)
    else:
        pixels = np.asarray(picture.convert("L" if picture.mode in ("1", "L", "LA", "La") else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)
