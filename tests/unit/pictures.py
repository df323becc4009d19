"""Pictures as arrays and files, and preprocessing done over again in numpy."""

import io

import numpy as np


def picture(height=8, width=6, channels=3, seed=0):
    """Random pixels, uint8, height x width x channels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def bilinear(pixels, height, width):
    """Half-pixel centres, edges held, no antialias: the definition, in float64. Shape (height, width, channels)."""
    result = pixels.astype(np.float64)
    for axis, size in ((0, height), (1, width)):
        old = result.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        below = np.floor(at).astype(int)
        share = (at - below).reshape([-1 if a == axis else 1 for a in range(3)])
        above = np.minimum(below + 1, old - 1)
        result = result.take(below, axis) * (1 - share) + result.take(above, axis) * share
    return result


def expected(pixels, image):
    """What the model is to get: the spec carried out as its docstrings define it, float64."""
    result = pixels.astype(np.float64)
    if image.resize is not None:
        result = bilinear(pixels, image.resize.height, image.resize.width)
    normal = image.normalize
    result = (result / normal.scale - np.array(normal.mean)) / np.array(normal.std)
    return (result if image.layout == "NHWC" else result.transpose(2, 0, 1))[None]


def encoded(pixels, kind, **options):
    """A picture file's bytes, written by Pillow; 1 channel is grey, 3 are RGB, 4 with transparency."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, kind, **options)
    return buffer.getvalue()
