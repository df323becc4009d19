"""What layers see and make on samples: some positions of each, the same ones whenever they are asked for."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnxruntime as ort

from edgeonnx.errors import DataError, first_line
from edgeonnx.graph import between
from edgeonnx.model import Model
from edgeonnx.prune.layers import Floats, Layer

Feeds = Mapping[str, np.ndarray]

# Rows for each feature that is fitted, and how many at least and at most.
_PER_FEATURE, _LEAST, _MOST = 6, 2000, 16000


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


def positions(layer: Layer, output: np.ndarray) -> int:
    """Positions of a layer's output, all but its channels."""
    return output.size // layer.outputs


@dataclass
class Moments:
    """Sums over rows, from which means and covariances follow; the arrays are float64.

    Attributes:
        rows: how many.
        total: of features, shape (groups, features).
        products: of features with each other, shape (groups, features, features).
    """

    rows: int
    total: Floats
    products: Floats

    @cached_property
    def mean(self) -> Floats:
        """Shape (groups, features)."""
        return np.asarray(self.total / max(self.rows, 1))

    def covariance(self, centred: bool) -> Floats:
        """Shape (groups, features, features); of the deviations from the mean, or of the features themselves."""
        whole = self.products / max(self.rows, 1)
        return np.asarray(whole - self.mean[:, :, None] * self.mean[:, None, :] if centred else whole)


def moments(model: Model, layers: Sequence[Layer], feeds: Sequence[Feeds]) -> dict[str, Moments]:
    """Moments of what layers see, by node."""
    names = [name for layer in layers for name in (layer.data, layer.output)]
    found: dict[str, Moments] = {}
    for number, seen in enumerate(tensors(model, names, feeds)):
        for layer in layers:
            chosen = picks(layer, number, len(feeds), positions(layer, seen[layer.output]))
            rows = layer.rows(seen[layer.data], chosen)
            total, products = rows.sum(1, dtype=np.float64), (rows.transpose(0, 2, 1) @ rows).astype(np.float64)
            if layer.node in found:
                known = found[layer.node]
                known.rows += rows.shape[1]
                known.total += total
                known.products += products
            else:
                found[layer.node] = Moments(rows.shape[1], total, products)
    return found
