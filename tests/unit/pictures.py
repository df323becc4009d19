"""Pictures as arrays and files, and preprocessing done over again in numpy, from its definitions."""

import io

import numpy as np


def picture(height=8, width=6, channels=3, seed=0):
    """Random pixels, uint8, height x width x channels."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(pixels, kind, **options):
    """A picture file's bytes, written by Pillow; 1 channel is grey, 3 are RGB, 4 with transparency."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def bilinear(distance):
    """The kernel: shares of pixels at these distances, in pixels."""
    return np.clip(1 - abs(distance), 0, None)


def bicubic(distance, a):
    """Keys' kernel: shares of pixels at these distances, in pixels."""
    x = abs(distance)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def shares(old, new, interpolation, antialias):
    """What each of `new` pixels takes of each of `old` ones: float64, shape (new, old), rows of sum 1."""
    step = old / new
    if interpolation == "area":
        edges = np.arange(new + 1) * step
        low, high = np.maximum(edges[:-1, None], np.arange(old)), np.minimum(edges[1:, None], np.arange(old) + 1)
        return np.clip(high - low, 0, None) / step
    if interpolation == "nearest":  # to the last bit as OpenCV
        return np.eye(old)[np.minimum((np.arange(new) * (1 / (new / old))).astype(int), old - 1)]
    if interpolation == "nearest_exact":  # as Pillow, which adds up steps
        return np.eye(old)[np.minimum(np.cumsum([step / 2, *[step] * (new - 1)]).astype(int), old - 1)]
    beyond = 0 if antialias else 3  # pixels that repeat the border; with antialias there is nothing beyond it
    width = max(step, 1) if antialias else 1
    centres = (np.arange(new) + 0.5) * step
    distance = (np.arange(-beyond, old + beyond) + 0.5 - centres[:, None]) / width
    weights = bilinear(distance) if interpolation == "bilinear" else bicubic(distance, -0.5 if antialias else -0.75)
    held = np.eye(old)[np.clip(np.arange(-beyond, old + beyond), 0, old - 1)]
    return weights / weights.sum(1, keepdims=True) @ held


def levels(values):
    """Whole grey levels, 0 to 255, float64."""
    return np.clip(np.round(values), 0, 255)


def resized(pixels, size, interpolation="bilinear", antialias=True):
    """Height x width x channels, float64, whole grey levels."""
    smooth = antialias and interpolation in ("bilinear", "bicubic")
    result = pixels.astype(np.float64)
    rows_first = size[0] < pixels.shape[0] and size[1] > pixels.shape[1]
    for axis in (0, 1) if rows_first else (1, 0):
        weights = shares(pixels.shape[axis], size[axis], interpolation, antialias)
        result = np.moveaxis(np.tensordot(weights, result, (1, axis)), 0, axis)
        result = levels(result) if smooth else result  # Pillow has 8 bits between the axes, too
    return levels(result)


def resize_size(height, width, resize):
    """Height and width before a letterbox pads and `fill` crops."""
    if resize.short_side or resize.long_side:
        of = min(height, width) if resize.short_side else max(height, width)
        side = resize.short_side or resize.long_side
        return max(1, int(side * height / of)), max(1, int(side * width / of))
    if resize.mode == "stretch":
        return resize.height, resize.width
    choose = max if resize.mode == "fill" else min
    ratio = choose(resize.height / height, resize.width / width)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def center_cropped(pixels, size):
    """As torchvision: zeros around what is too small, then a window around the middle, halves to even."""
    missing = [max(0, wanted - got) for wanted, got in zip(size, pixels.shape[:2], strict=True)]
    pixels = np.pad(pixels, [(m // 2, m - m // 2) for m in missing] + [(0, 0)])
    top, left = (round((got - wanted) / 2) for wanted, got in zip(size, pixels.shape[:2], strict=True))
    return pixels[top : top + size[0], left : left + size[1]]


def steps(pixels, image):
    """The steps of a spec that keep grey levels: float64, height x width x channels."""
    result = pixels.astype(np.float64)
    if image.central_fraction is not None:
        top, left = (int((side - side * image.central_fraction) / 2) for side in pixels.shape[:2])
        result = result[top : pixels.shape[0] - top, left : pixels.shape[1] - left]
    if image.resize is not None:
        r = image.resize
        result = resized(result, resize_size(*result.shape[:2], r), r.interpolation, r.antialias)
        if r.mode == "fill":
            result = center_cropped(result, (r.height, r.width))
        if r.mode == "letterbox":
            missing = [wanted - got for wanted, got in zip((r.height, r.width), result.shape[:2], strict=True)]
            before = [m // 2 if r.align == "center" else 0 for m in missing]
            sides = [(b, m - b) for b, m in zip(before, missing, strict=True)]
            result = np.pad(result, [*sides, (0, 0)], constant_values=r.fill)
    if image.center_crop is not None:
        result = center_cropped(result, image.center_crop)
    if image.pad is not None:
        p = image.pad
        more = {"constant_values": p.fill} if p.mode == "constant" else {}
        result = np.pad(result, [(p.top, p.bottom), (p.left, p.right), (0, 0)], p.mode, **more)
    return result if image.flip is None else np.flip(result, {"vertical": 0, "horizontal": 1}[image.flip])


def expected(pixels, image):
    """What the model is to get: the spec carried out as its docstrings define it, float64."""
    normal = image.normalize
    result = (steps(pixels, image) / normal.scale - np.array(normal.mean)) / np.array(normal.std)
    return (result if image.layout == "NHWC" else result.transpose(2, 0, 1))[None]
