"""What seems wrong with calibration data, judged from a few figures of it and from what the model does first."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from edgeonnx.calibration.entrance import Entrance

_CHANNELS = (1, 3, 4)
# Below so many samples nothing is said of what is usual among them.
_USUAL = 16
_NAMED = 5
# A picture is looked at in so many of its values.
_VALUES = 1 << 14


@dataclass(frozen=True)
class DataWarning:
    """Something that seems wrong with the data.

    Attributes:
        kind: one of `KINDS`.
        message: one line: what was seen, and what may be the cause.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        *("layout", "scale", "colour", "constant", "dead-channel", "outliers", "duplicates", "few"),
    )

    kind: str
    message: str


@dataclass
class Picture:
    """Figures of an input of rank 4, over the samples that were looked at.

    Attributes:
        shape: of the first sample.
        low: smallest value of each channel (axis 1).
        high: largest value of each channel.
        mean: sum over samples of each channel's mean.
        square: sum over samples of the mean square.
        whole: whether all values were whole numbers.
        near: sum of mean differences between values next to each other in memory.
        third: the same between values three apart.
        samples: how many.
    """

    shape: tuple[int, ...] = ()
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    square: float = 0.0
    whole: bool = True
    near: float = 0.0
    third: float = 0.0
    samples: int = 0

    def add(self, array: np.ndarray) -> None:
        """Look at one sample, of shape (N, channels, height, width)."""
        shape, flat = array.shape, array.reshape(-1)[:_VALUES]
        every = max(1, int((array.size / _VALUES) ** 0.5))
        array = array[:, :, ::every, ::every]
        low, high = array.min(axis=(0, 2, 3)), array.max(axis=(0, 2, 3))
        mean = array.mean(axis=(0, 2, 3), dtype=np.float64)
        if self.samples and array.shape[1] != len(self.low):
            return  # another number of channels: not to be compared
        if self.samples:
            low, high, mean = np.minimum(low, self.low), np.maximum(high, self.high), mean + self.mean
        self.shape = self.shape or shape
        self.low, self.high, self.mean = low.tolist(), high.tolist(), mean.tolist()
        self.square += float(np.mean(array.astype(np.float64) ** 2))
        self.whole = self.whole and bool((array == np.rint(array)).all())
        self.near += float(np.abs(flat[1:] - flat[:-1]).mean()) if flat.size > 1 else 0.0
        self.third += float(np.abs(flat[3:] - flat[:-3]).mean()) if flat.size > 3 else 0.0
        self.samples += 1

    def state(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> "Picture":
        """From `state`."""
        return cls(**{**state, "shape": tuple(state["shape"])})


def of_picture(picture: Picture, entrance: Entrance) -> Iterator[DataWarning]:
    """What seems wrong with an input of rank 4."""
    layout = _layout(picture, entrance)
    if layout:
        yield layout
        return  # channels are not what they seem
    yield from _scale(picture, entrance)
    yield from _colour(picture, entrance)
    channels = [index for index, (low, high) in enumerate(zip(picture.low, picture.high, strict=True)) if low == high]
    if channels and not entrance.transposed and len(channels) < len(picture.low):
        which = ", ".join(str(index) for index in channels[:_NAMED])
        message = f"{entrance.name}: channel {which} never changes in {picture.samples} samples: is it filled in?"
        yield DataWarning("dead-channel", message)


def far_outside(name: str, means: np.ndarray, peaks: np.ndarray) -> Iterator[DataWarning]:
    """Samples whose mean or largest magnitude lies far from those of the others.

    By distance from the median in median absolute deviations (Iglewicz and Hoaglin, How to detect and handle outliers,
    1993; they cut at 3.5, here 10, and a deviation counts as at least a twentieth of the usual magnitude).

    Args:
        name: of the input.
        means: of shape (samples,).
        peaks: largest magnitudes, of shape (samples,).
    """
    if len(means) < _USUAL:
        return
    floor = 0.05 * float(np.median(peaks))
    if not floor:
        return
    distance = np.maximum(np.abs(_scores(means, floor)), _scores(peaks, floor))
    outside = np.flatnonzero(distance > 10)
    if outside.size and outside.size <= 0.05 * len(means) + 1:  # more are not outliers but another kind of data
        which = ", ".join(str(index) for index in outside[:_NAMED])
        more = f" and {outside.size - _NAMED} more" if outside.size > _NAMED else ""
        yield DataWarning(
            "outliers",
            f"{name}: sample {which}{more} lies far outside the rest (largest magnitude {peaks[outside].max():g}, "
            f"usually {np.median(peaks):g}): a few such samples widen the ranges for all",
        )


def _scores(values: np.ndarray, floor: float) -> np.ndarray:
    away = values - np.median(values)
    scores: np.ndarray = away / max(1.4826 * float(np.median(np.abs(away))), floor)
    return scores


def _layout(picture: Picture, entrance: Entrance) -> DataWarning | None:
    _, second, third, last = picture.shape
    channels = None if entrance.weight is None else entrance.weight.shape[1]
    name, shape = entrance.name, ",".join(str(size) for size in picture.shape)
    if not entrance.transposed and last in _CHANNELS and second > 4 and third > 4 and channels == last:
        message = f"{name}: {shape} looks like NHWC, the model takes NCHW; transpose to (0, 3, 1, 2)"
        return DataWarning("layout", message)
    if entrance.transposed and second in _CHANNELS and last > 4 and third > 4 and channels == second:
        message = f"{name}: {shape} looks like NCHW, the model takes NHWC; transpose to (0, 2, 3, 1)"
        return DataWarning("layout", message)
    # In a picture neighbours are alike. Where values three apart are more alike, they are one colour's.
    if not entrance.transposed and second == 3 and min(third, last) > 8 and picture.third < 0.7 * picture.near:
        message = f"{name}: colours stand next to each other in memory: NHWC was reshaped, not transposed, to NCHW"
        return DataWarning("layout", message)
    return None


def _scale(picture: Picture, entrance: Entrance) -> Iterator[DataWarning]:
    answer = entrance.response(float(np.sqrt(picture.square / picture.samples)))
    if answer is None or min(picture.low) < 0:
        return
    strength, relative = answer
    biased = entrance.bias is not None and bool(np.any(entrance.bias))
    high = max(picture.high)
    if picture.whole and 127 < high <= 255 and strength > 30 and (relative > 15 if biased else strength > 60):
        yield DataWarning(
            "scale",
            f"{entrance.name}: whole numbers up to {high:g} look like raw pixels, and the model's first Conv answers "
            f"with values around {strength:.0f}: it was trained on smaller ones; declare the preprocessing, or "
            "divide by 255",
        )
    if high <= 1 and biased and strength < 0.02 and relative < 0.01:
        yield DataWarning(
            "scale",
            f"{entrance.name}: values up to {high:g} hardly move the model's first Conv (by {relative:.1%} of its "
            "bias): it was trained on larger ones, maybe 0 to 255",
        )


def _colour(picture: Picture, entrance: Entrance) -> Iterator[DataWarning]:
    """Against what the model itself subtracts from each channel; without that, colour order can't be told."""
    expected = entrance.means
    if expected is None or len(expected) != 3 or len(picture.mean) != 3 or picture.samples < _USUAL:
        return
    means = np.array(picture.mean) / picture.samples
    direct, swapped = np.abs(means - expected).sum(), np.abs(means - expected[::-1]).sum()
    if swapped < 0.25 * direct and np.abs(expected - expected[::-1]).sum() > 0.05 * np.abs(expected).sum():
        yield DataWarning(
            "colour",
            f"{entrance.name}: channel means {', '.join(f'{mean:.3g}' for mean in means)} fit what the model "
            "subtracts in reverse order: is it RGB for BGR?",
        )
