r"""Agreement with the float model, for data without labels.

For sample s and output o, with y what the float model gives and y' what the scored one gives:

- classifier-like (float, shape N x C, C >= 2): a(s, o) = share of the N rows with argmax y' = argmax y;
- integer, boolean or text: a(s, o) = share of elements with y' = y;
- any other: a(s, o) = max(0, 1 - sum((y - y')^2) / sum(y^2)), so that a drop of 0.01 is a signal-to-quantization-
  noise ratio of 20 dB, 0.001 one of 30 dB; where y is all zeros, 1 if y' is too, else 0.

The score is the mean over outputs, then over samples: 0 to 1, and 1.0 for the float model itself. Where y is not
finite (a mask of -inf) nothing is compared; where y' alone is not finite, the whole sample counts 0, and where its
shape is another, the output does.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeonnx.errors import MetricError
from edgeonnx.scoring.metric import Feeds, Outputs, Predict

_CACHE_BYTES = 64 << 20


class Agreement:
    """How far a model agrees with its float original; see the top of this module for the definition.

    Both run in lockstep, sample by sample. The float model's outputs are remembered, by what was fed, as long as
    they are small together; beyond that they are computed again for each model that is scored.

    Args:
        samples: gives the samples, anew at each call.
        reference: runs the float model.
        cache_bytes: how much of its outputs to remember.
    """

    name = "agreement with float"

    def __init__(
        self, samples: Callable[[], Iterable[Feeds]], reference: Predict, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        self._samples, self._reference = samples, reference
        self._room = cache_bytes
        self._cache: dict[bytes, Outputs] = {}

    def score(self, predict: Predict) -> float:
        """Mean agreement, 0 to 1.

        Raises:
            MetricError: the models' outputs differ in name, the float model's hold nothing finite, or there are
                no samples.
        """
        scores = [_sample(expected, predict(feeds), index) for index, (feeds, expected) in enumerate(self._pairs())]
        if not scores:
            raise MetricError(f"{self.name}: expected samples to evaluate on, got none")
        return float(np.mean(scores))

    def _pairs(self) -> Iterator[tuple[Feeds, Outputs]]:
        for feeds in self._samples():
            # By content, not by number: a user's function may shuffle from pass to pass.
            key = _digest(feeds)
            expected = self._cache.get(key)
            if expected is None:
                expected = self._reference(feeds)
                size = sum(array.nbytes for array in expected.values())
                if size <= self._room:
                    self._room -= size
                    self._cache[key] = expected
            yield feeds, expected


def _sample(expected: Outputs, got: Outputs, index: int) -> float:
    if expected.keys() != got.keys():
        raise MetricError(
            f"expected the float model's outputs {', '.join(expected)}, got {', '.join(got)}; "
            "compare a model with the one it was made from"
        )
    scores = []
    for name, y in expected.items():
        other = got[name]
        if y.dtype.kind == "f":
            finite = np.isfinite(y)
            if y.size and not finite.any():
                raise MetricError(
                    f"the float model's output '{name}' holds no finite value for sample {index}; "
                    "there is nothing to agree with: check the model, or remove this sample"
                )
            if y.shape == other.shape and not np.isfinite(other[finite]).all():
                return 0.0
        scores.append(_output(y, other))
    return float(np.mean(scores))


def _output(y: NDArray[Any], other: NDArray[Any]) -> float:
    if y.shape != other.shape:
        return 0.0
    if not y.size:
        return 1.0
    if y.dtype.kind != "f":
        return float(np.mean(y == other))
    if y.ndim == 2 and y.shape[1] >= 2:
        masked = np.where(np.isfinite(y), other, y)
        return float(np.mean(y.argmax(axis=-1) == masked.argmax(axis=-1)))
    return _relative(y, other)


def _relative(y: NDArray[Any], other: NDArray[Any]) -> float:
    finite = np.isfinite(y)
    signal = y[finite].astype(np.float64)  # squares of float16 overflow at 256
    noise = signal - other[finite].astype(np.float64)
    power = float(np.sum(signal**2))
    error = float(np.sum(noise**2))
    if not power:
        return 0.0 if error else 1.0
    return max(0.0, 1.0 - error / power)


def _digest(feeds: Feeds) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sorted(feeds.items()):
        digest.update(f"{name}\0{array.dtype.str}{array.shape}".encode())
        # An array of objects (text) holds addresses, not the text.
        digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).data)
    return digest.digest()
