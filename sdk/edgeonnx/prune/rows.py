"""What layers see and make on samples: some positions of each, the same ones whenever they are asked for."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnxruntime as ort

from edgeonnx.errors import DataError, first_line
from edgeonnx.graph import between
from edgeonnx.model import Model
from edgeonnx.prune.layers import Floats, Layer

Feeds = Mapping[str, np.ndarray]

# Rows for each feature that is fitted, and how many at least and at most.
_PER_FEATURE, _LEAST, _MOST = 20, 8000, 32000
# Bytes of rows that are multiplied at once.
_BLOCK = 4 << 20


def picks(layer: Layer, sample: int, samples: int, positions: int) -> np.ndarray:
    """Which positions of a layer's output on one sample are looked at: ascending, drawn by the layer and the sample.

    Args:
        layer: whose.
        sample: its number.
        samples: how many there are.
        positions: of the output on this sample.
    """
    wanted = min(max(_LEAST, _PER_FEATURE * layer.features), _MOST)
    share = min(positions, -(-wanted // samples))
    seed = [sample, *layer.node.encode()]
    return np.sort(np.random.default_rng(seed).choice(positions, share, replace=False))


def tensors(model: Model, names: Collection[str], feeds: Iterable[Feeds]) -> Iterator[dict[str, np.ndarray]]:
    """Some tensors of a model on each sample, and what is fed; only what they need is run.

    Args:
        model: any.
        names: of the tensors.
        feeds: a value for each input, or for inner tensors that what is left to run starts at; the same of all samples.

    Raises:
        DataError: a sample does not run.
    """
    session: ort.InferenceSession | None = None
    computed: list[str] = []
    for number, feed in enumerate(feeds):
        if number == 0:
            computed = [name for name in dict.fromkeys(names) if name not in feed]
            session = between(model, feed, computed).session() if computed else None
        try:
            taken = {v.name: feed[v.name] for v in session.get_inputs()} if session else {}
            found = session.run(computed, taken) if session else []
        except Exception as error:  # onnxruntime's exception types are private and many
            raise DataError(f"sample {number}: the model does not run: {first_line(error)}") from error
        yield {**feed, **dict(zip(computed, found, strict=True))}


def blocks(arrays: Sequence[np.ndarray]) -> Iterator[slice]:
    """Which of some arrays to work on together: small products one by one cost mostly their calls."""
    start = size = 0
    for number, array in enumerate(arrays):
        if size + array.nbytes > _BLOCK and number > start:
            yield slice(start, number)
            start, size = number, 0
        size += array.nbytes
    if len(arrays) > start:
        yield slice(start, len(arrays))


def positions(layer: Layer, data: np.ndarray) -> int:
    """Positions of what a layer makes of an input, all but its channels."""
    if layer.window is None:
        return int(data.size) // layer.features
    return len(data) * int(np.prod(layer.window.sizes))


class Moments:
    """Sums over rows, from which means and covariances follow."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._count = 0
        self._total: Floats | float = 0.0
        self._products: Floats | float = 0.0

    def add(self, rows: np.ndarray) -> None:
        """Add rows of features, shape (groups, rows, features); they wait until there are enough to multiply."""
        self._rows.append(rows)
        if sum(waiting.nbytes for waiting in self._rows) > _BLOCK:
            self._multiply()

    @property
    def rows(self) -> int:
        """How many."""
        return self._count + sum(len(waiting[0]) for waiting in self._rows)

    @property
    def mean(self) -> Floats:
        """Shape (groups, features)."""
        self._multiply()
        return np.asarray(self._total / max(self._count, 1))

    def covariance(self, centred: bool) -> Floats:
        """Shape (groups, features, features); of the deviations from the mean, or of the features themselves."""
        self._multiply()
        whole, mean = np.asarray(self._products / max(self._count, 1)), self.mean
        return whole - mean[:, :, None] * mean[:, None, :] if centred else whole

    def _multiply(self) -> None:
        if self._rows:
            rows = np.concatenate(self._rows, 1)
            self._count += rows.shape[1]
            self._total = self._total + rows.sum(1, dtype=np.float64)
            self._products = self._products + (rows.transpose(0, 2, 1) @ rows).astype(np.float64)
            self._rows = []


def moments(model: Model, layers: Sequence[Layer], feeds: Sequence[Feeds]) -> dict[str, Moments]:
    """Moments of what layers see, by node."""
    return moments_of(layers, tensors(model, [layer.data for layer in layers], feeds), len(feeds))


def moments_of(layers: Sequence[Layer], found: Iterable[Feeds], samples: int) -> dict[str, Moments]:
    """Moments of what layers see, by node.

    Args:
        layers: which.
        found: what they read, sample by sample.
        samples: how many there are.
    """
    sums = {layer.node: Moments() for layer in layers}
    for number, seen in enumerate(found):
        for layer in layers:
            data = seen[layer.data]
            sums[layer.node].add(layer.rows(data, picks(layer, number, samples, positions(layer, data))))
    return sums
