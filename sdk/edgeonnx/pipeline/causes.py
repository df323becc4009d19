"""Why two preprocessings of one sample differ: each likely cause is tried, and named if it explains the difference.

A cause is tried by doing to one result what the cause would have done, and looking how much of the difference is left.
"""

from collections.abc import Iterator
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeonnx.pipeline.compare import Floats, Levels

# What a cause that explains a difference leaves of it, at most.
_LEFT = 0.1
# What a shift or another filter must explain; both are only nearly undone here.
_NEARLY = 0.5
# Ratios of logarithms that people take for one another: value by the base meant -> by the base taken.
_LOGS = {
    "log10 of it, not the natural logarithm": 1 / log(10),
    "decibels (10 log10), not the natural logarithm": 10 / log(10),
    "decibels of amplitude (20 log10), not the natural logarithm": 20 / log(10),
    "decibels of power (10 log10), not log10": 10.0,
    "the natural logarithm, not log10": log(10),
    "the natural logarithm, not decibels": log(10) / 10,
    "the logarithm of power, not of amplitude": 2.0,
    "the logarithm of amplitude, not of power": 0.5,
}


def layout(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[str | None, NDArray[Any]]:
    """What the shapes say, None where they agree; and theirs, its axes as the spec's where that makes them agree."""
    if ours.shape == theirs.shape:
        return None, theirs
    for order, name in (((0, 3, 1, 2), "NHWC"), ((0, 2, 3, 1), "NCHW"), ((0, 2, 1), "with the last two axes swapped")):
        if len(order) == theirs.ndim and theirs.transpose(order).shape == ours.shape:
            told = f"layout: yours is {name}, {theirs.shape}, where the spec gives {ours.shape}"
            return told, theirs.transpose(order)
    return f"shape: the spec gives {ours.shape}, yours is {theirs.shape}", theirs


def of_picture(ours: Floats, theirs: Floats, levels: Levels) -> Iterator[str]:
    """Causes for pictures of one shape, (C, H, W), in the model's units."""
    a, b = ((values - levels.zero) / levels.step for values in (ours, theirs))
    apart = _apart(a, b)
    if _apart(a[::-1], b) < _LEFT * apart or _apart(ours[::-1], theirs) < _LEFT * _apart(ours, theirs):
        yield "channel order: yours is the reverse, RGB against BGR; change color"
        return
    turned = {
        "mirrored: yours is flipped left to right": a[:, :, ::-1],
        "upside down: yours is flipped top to bottom": a[:, ::-1],
    }
    if a.shape[1] == a.shape[2]:
        turned["rows and columns are swapped in yours"] = a.transpose(0, 2, 1)
    for name, other in turned.items():
        if _apart(other, b) < _LEFT * apart:
            yield name
            return
    for values, also in ((a, ""), (a[::-1], "channel order: yours is the reverse; and ")):
        if normal := _normalization(values, theirs, _apart(ours, theirs)):
            yield also + normal
            return
    yield from _geometry(a, b)


def of_signal(ours: Floats, theirs: Floats) -> Iterator[str]:
    """Causes for features and signals of one shape."""
    gain, offset, left = _line(ours.ravel(), theirs.ravel())
    if left > _LEFT * _apart(ours, theirs):
        yield from _shifted(ours, theirs)
        return
    for name, ratio in _LOGS.items():
        if abs(gain / ratio - 1) < 0.01:
            yield f"logarithm: yours is {name}" + (f", and {offset:+.4g}" if abs(offset) > 1e-3 else "")
            return
    terms = [f"gain: yours is {gain:.5g} times the spec's"] if abs(gain - 1) > 1e-3 else []
    if abs(offset) > 1e-3 * (np.abs(ours).max() + 1e-12):
        terms.append(f"offset: yours is {offset:+.5g} higher" if not terms else f"offset {offset:+.5g}")
    yield ", ".join(terms)


def of_tokens(ours: NDArray[Any], theirs: NDArray[Any]) -> Iterator[str]:
    """Causes for token ids and other integers, (1, tokens)."""
    a, b = ours.ravel(), theirs.ravel()
    if a.size == b.size + 2 and np.array_equal(a[1:-1], b):
        yield "special tokens: yours has none at the beginning and the end"
    elif b.size == a.size + 2 and np.array_equal(b[1:-1], a):
        yield "special tokens: the spec adds none at the beginning and the end"
    elif a.size != b.size and np.array_equal(a[: b.size], b[: a.size]):
        yield f"length: the spec gives {a.size} values, yours {b.size}; padding or truncation differs"
    elif a.size == b.size:
        (places,) = np.nonzero(a != b)
        first = int(places[0])
        if (b[first:] == b[first]).all() and (a[first:] == a[first]).all():
            yield f"padding: the spec pads with {a[first]}, yours with {b[first]}"
        else:
            yield f"value {first} is the first to differ: the spec gives {a[first]}, yours {b[first]}"


def of_columns(ours: Floats, theirs: Floats) -> Iterator[str]:
    """Causes for a row of numbers: which of them differ."""
    (places,) = np.nonzero(~np.isclose(ours.ravel(), theirs.ravel(), rtol=1e-4, atol=1e-6))
    told = ", ".join(f"{i} ({ours.flat[i]:.5g} against {theirs.flat[i]:.5g})" for i in places[:5])
    yield f"columns that differ, from 0: {told}{' and more' if len(places) > 5 else ''}"


def _apart(a: Floats, b: Floats) -> float:
    return float(np.abs(a - b).mean())


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Gain and offset of the line y = gain * x + offset by least squares, and the mean absolute difference left."""
    spread = float(((x - x.mean()) ** 2).sum())
    gain = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    offset = float(y.mean() - gain * x.mean())
    return gain, offset, float(np.abs(gain * x + offset - y).mean())


def _normalization(pixels: Floats, theirs: Floats, apart: float) -> str | None:
    """Where theirs is a line over the spec's pixels, channel by channel: the normalization it comes of.

    It must explain most of how far theirs is `apart` from what the spec gives.
    """
    lines = [_line(x.ravel(), y.ravel()) for x, y in zip(pixels, theirs, strict=True)]
    if any(not gain for gain, _, _ in lines):
        return None
    if sum(left / abs(gain) for gain, _, left in lines) / len(lines) > 1:  # more than a grey level
        return None
    if sum(left for _, _, left in lines) / len(lines) > _NEARLY * apart:
        return None
    scale = 255 if all(abs(gain) < 0.1 for gain, _, _ in lines) else 1
    std = [1 / (scale * gain) for gain, _, _ in lines]
    mean = [-offset * s for (_, offset, _), s in zip(lines, std, strict=True)]
    listed = (f"[{', '.join(f'{round(value, 4) + 0.0:g}' for value in values)}]" for values in (mean, std))
    return "normalization: yours is normalize = {{scale = {}, mean = {}, std = {}}}".format(scale, *listed)


def _geometry(a: Floats, b: Floats) -> Iterator[str]:
    """Causes in where pixels come from, in grey levels."""
    constant = _padding(a, b)
    if constant:
        yield constant
        return
    yield from _shifted(a, b)
    rough = [float((_laplacian(x) ** 2).mean()) for x in (a, b)]
    if min(rough) and not 0.9 < rough[1] / rough[0] < 1.1:
        smoother = rough[1] < rough[0]
        yield (
            f"{'smoother' if smoother else 'sharper'}: yours has {rough[1] / rough[0]:.2f} of the spec's detail; "
            f"{'antialias on, or ' if smoother else 'antialias off, or '}another interpolation"
        )


def _padding(a: Floats, b: Floats) -> str | None:
    """Whole rows or columns at the border that are one colour in each and not the same in both."""
    apart = np.abs(a - b).max(0) > 1
    if not apart.any():
        return None
    flat = all(np.ptp(x[:, apart], axis=1).max() < 1 for x in (a, b))
    if not flat:
        return None
    colours = (", ".join(str(round(value)) for value in x[:, apart].mean(1)) for x in (a, b))
    return "padding: the spec fills with {}, yours with {}".format(*colours)


def _shifted(a: Floats, b: Floats) -> Iterator[str]:
    """A shift along the last two axes, from the brightness' slopes (Lucas and Kanade, 1981)."""
    if a.ndim < 2 or min(a.shape[-2:]) < 4:
        return
    slopes = np.stack([np.gradient(a, axis=axis).ravel() for axis in (-2, -1)], 1)
    difference = (b - a).ravel()
    shift, *_ = np.linalg.lstsq(slopes, difference, rcond=None)
    left = float(((slopes @ shift - difference) ** 2).sum())
    if left < _NEARLY * float((difference**2).sum()) and np.abs(shift).max() > 0.02:
        down, right = -shift
        yield (
            f"shift: yours lies {right:+.2f} pixels to the right and {down:+.2f} down; "
            "another crop, or corners aligned against half-pixel centres"
        )


def _laplacian(a: Floats) -> Floats:
    inner = a[:, 1:-1, 1:-1]
    return a[:, :-2, 1:-1] + a[:, 2:, 1:-1] + a[:, 1:-1, :-2] + a[:, 1:-1, 2:] - 4 * inner
