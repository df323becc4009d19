"""Looks at calibration data as it streams by, and says what seems wrong with it.

What it says has to be reliable: where a model gives no clue what it expects, nothing is said of scale, layout or colour
order. Memory and time are bounded: a sample is looked at in at most 65,536 of its values, the first 10,000 samples are
remembered by a few numbers each.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgeonnx.baseline import Baselines
from edgeonnx.calibration.entrance import Entrance, entrances
from edgeonnx.calibration.suspicions import DataWarning, Picture, far_outside, of_picture
from edgeonnx.model import Model

_FEW = 32
_REMEMBERED = 10_000
_VALUES = 1 << 16
# Pictures are looked at more closely, up to so many.
_CLOSELY = 64


class DataHealth:
    """What is to be known of the samples of a calibration.

    Args:
        model: the float model they are for.

    Attributes:
        baselines: what the samples look like at each input.
    """

    def __init__(self, model: Model) -> None:
        self.baselines = Baselines(model.inputs)
        self._entrances: Mapping[str, Entrance] = {entrance.name: entrance for entrance in entrances(model)}
        self._samples = 0
        self._digests: list[str] = []
        self._means: dict[str, list[float]] = {}
        self._peaks: dict[str, list[float]] = {}
        self._constant: dict[str, float | None] = {}
        self._pictures: dict[str, Picture] = {}

    def observe(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Look at one sample: input name -> array."""
        self._samples += 1
        self.baselines.observe(feeds)
        if self._samples > _REMEMBERED:
            return
        self._digests.append(_digest(feeds))
        for name, array in feeds.items():
            if array.dtype.kind != "f" or not array.size:
                continue
            values = _some(array)
            self._means.setdefault(name, []).append(float(values.mean(dtype=np.float64)))
            self._peaks.setdefault(name, []).append(float(np.abs(values).max()))
            self._look_for_change(name, values)
            if name in self._entrances and self._samples <= _CLOSELY and array.ndim == 4:
                self._pictures.setdefault(name, Picture()).add(array)

    def warnings(self) -> tuple[DataWarning, ...]:
        """What seems wrong, the gravest first."""
        return tuple(sorted(self._found(), key=lambda warning: warning.KINDS.index(warning.kind)))

    def state(self) -> dict[str, Any]:
        """All it has seen, as JSON has it."""
        return {
            "baselines": self.baselines.state(),
            "samples": self._samples,
            "digests": self._digests,
            "means": self._means,
            "peaks": self._peaks,
            "constant": self._constant,
            "pictures": {name: picture.state() for name, picture in self._pictures.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`, as if it had seen that."""
        self.baselines.restore(state["baselines"])
        self._samples, self._digests = state["samples"], list(state["digests"])
        self._means, self._peaks = dict(state["means"]), dict(state["peaks"])
        self._constant = dict(state["constant"])
        self._pictures = {name: Picture.of(told) for name, told in state["pictures"].items()}

    def _look_for_change(self, name: str, values: np.ndarray) -> None:
        """Remember the value of an input that has never had another; None once it has."""
        first = self._constant.setdefault(name, float(values.flat[0]))
        if first is not None and not (values == first).all():
            self._constant[name] = None

    def _found(self) -> Iterator[DataWarning]:
        if self._samples < _FEW:
            message = f"{self._samples} samples are few to calibrate on; {_FEW} to 200 give steadier ranges"
            yield DataWarning("few", message)
        repeated = len(self._digests) - len(set(self._digests))
        if repeated > 0.01 * len(self._digests):
            share = repeated / len(self._digests)
            message = f"{repeated} of {len(self._digests)} samples ({share:.0%}) repeat another one"
            yield DataWarning("duplicates", message)
        # Only pictures: a number that steers the model may well be the same in every sample.
        for name, value in self._constant.items():
            if value is not None and self._samples > 1 and name in self._entrances:
                message = f"{name} is {value:g} throughout, in every sample: is it read correctly?"
                yield DataWarning("constant", message)
        for name, picture in self._pictures.items():
            if self._constant[name] is None:
                yield from of_picture(picture, self._entrances[name])
        for name in self._means:
            yield from far_outside(name, np.array(self._means[name]), np.array(self._peaks[name]))


def _some(array: np.ndarray) -> np.ndarray:
    """At most `_VALUES` of an array's values, evenly spread; the step is odd, so that it meets all columns."""
    step = -(-array.size // _VALUES)
    return array.reshape(-1)[:: step | 1] if step > 1 else array


def _digest(feeds: Mapping[str, np.ndarray]) -> str:
    """Tells samples apart: by their sums, and part of their values."""
    digest = hashlib.blake2b(digest_size=12)
    for name in sorted(feeds):
        array = feeds[name]
        digest.update(f"{name} {array.shape} ".encode())
        numeric = array.dtype.kind in "fiub"
        digest.update(np.ascontiguousarray(_some(array)).tobytes() if numeric else str(array.tolist()).encode())
        if numeric and array.size > _VALUES:
            digest.update(np.sum(array, dtype=np.float64).tobytes())
    return digest.hexdigest()
