"""Two preprocessings of one sample held against each other: how far apart, and where."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of larger samples the percentile looks at as many values, evenly strewn.
_VALUES = 20_000
# A picture's border: this part of its height and width on each side.
_BORDER = 1 / 8


@dataclass(frozen=True)
class Levels:
    """What a grey level is in the model's units: value = pixel * step + zero.

    Attributes:
        step: a channel each, shape (C, 1, 1).
        zero: likewise.
    """

    step: Floats
    zero: Floats


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    Attributes:
        largest: of the absolute differences.
        mean: of them.
        p99: their 99th percentile.
    """

    largest: float
    mean: float
    p99: float


class Tally:
    """Gathers differences, sample by sample, in little memory."""

    def __init__(self) -> None:
        self._largest = self._sum = 0.0
        self._count = 0
        self._strewn: list[Floats] = []

    def add(self, difference: Floats) -> None:
        """The absolute differences of one sample."""
        if difference.size:
            self._largest = max(self._largest, float(difference.max()))
            self._sum += float(difference.sum())
            self._count += difference.size
            self._strewn.append(difference.ravel()[:: ceil(difference.size / _VALUES)].copy())

    @property
    def difference(self) -> Difference:
        """Over all samples."""
        if not self._count:
            return Difference(0.0, 0.0, 0.0)
        p99 = float(np.percentile(np.concatenate(self._strewn), 99))
        return Difference(self._largest, self._sum / self._count, p99)


def overlap(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[Floats, Floats]:
    """The part that both have: equal as they are where shapes agree, else cut to the shorter along each axis."""
    if ours.ndim != theirs.ndim:
        size = min(ours.size, theirs.size)
        return ours.ravel()[:size].astype(np.float64), theirs.ravel()[:size].astype(np.float64)
    cut = tuple(slice(min(a, b)) for a, b in zip(ours.shape, theirs.shape, strict=True))
    return ours[cut].astype(np.float64), theirs[cut].astype(np.float64)


def chw(array: NDArray[Any], layout: str) -> Floats:
    """A picture as the model takes it, 1 x C x H x W or 1 x H x W x C -> (C, H, W)."""
    values: Floats = array[0].astype(np.float64)
    return values if layout == "NCHW" else values.transpose(2, 0, 1)


def place(beyond: NDArray[np.bool_]) -> str:
    """Where in a picture, (C, H, W), values are beyond tolerance: channels and part of the picture, or `nowhere`."""
    if not beyond.any():
        return "nowhere"
    channels = [index for index, channel in enumerate(beyond) if channel.any()]
    pixels: NDArray[np.bool_] = np.any(beyond, axis=0)
    height, width = pixels.shape
    inside = np.zeros_like(pixels)
    rows, columns = ceil(height * _BORDER), ceil(width * _BORDER)
    inside[rows : height - rows, columns : width - columns] = True
    part = "everywhere"
    if not pixels[inside].any():
        part = "at the border"
    elif not pixels[~inside].any():
        part = "inside, not at the border"
    elif pixels.mean() < 0.5:
        part = f"at {pixels.mean():.1%} of the pixels"
    which = f"channel {', '.join(map(str, channels))}, " if len(channels) < len(beyond) else ""
    return which + part
