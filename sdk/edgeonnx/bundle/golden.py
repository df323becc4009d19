"""Golden samples: inputs, the outputs they gave here, and how far a device may be from them."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeonnx.bundle.tolerance import RTOL, Tolerances
from edgeonnx.errors import DataError, first_line
from edgeonnx.model import Model, TensorSpec
from edgeonnx.runtime._manifest import Tolerance
from edgeonnx.runtime._variants import agrees

_Sample = tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]

# Pixels, and sound of 16 bits; others are likely indices, of which any model has two.
_INTEGERS = {"uint8": (0, 256), "int16": (-4096, 4096)}


@dataclass(frozen=True)
class Golden:
    """Golden samples of a model.

    Attributes:
        samples: for each sample its inputs and its outputs, in the model's order.
        tolerance: name of every output -> its tolerance.
    """

    samples: tuple[_Sample, ...]
    tolerance: Mapping[str, Tolerance]

    def entries(self, variant: str) -> dict[str, bytes]:
        """The samples as entries of a bundle, the outputs as those of a variant."""
        found = {}
        for index, sides in enumerate(self.samples):
            for side, arrays in zip(("input", f"{variant}/output"), sides, strict=True):
                for position, array in enumerate(arrays):
                    found[f"golden/{index}/{side}{position}.npy"] = _npy(array)
        return found

    def outputs_of(self, model: Model) -> "Golden":
        """The same samples with the outputs of another model of the same inputs and outputs.

        Raises:
            DataError: onnxruntime refuses a sample.
        """
        inputs = [tensor.name for tensor in model.inputs]
        feeds = [dict(zip(inputs, arrays, strict=True)) for arrays, _ in self.samples]
        return replace(self, samples=tuple(_run(model, feeds)))

    def holds(self, other: "Golden") -> bool:
        """Whether another model's outputs for the same samples are within the tolerance of these."""
        tolerances = list(self.tolerance.values())
        return all(
            agrees(got, expected, tolerance)
            for (_, own), (_, others) in zip(self.samples, other.samples, strict=True)
            for expected, got, tolerance in zip(own, others, tolerances, strict=True)
        )


def make_golden(model: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> Golden:
    """Run the samples, and measure how far a device may be from what they give.

    Args:
        model: as it will stand in the bundle, or as it is before it is optimized for that.
        feeds: samples, input name -> array.

    Raises:
        DataError: onnxruntime refuses a sample.
    """
    tolerances = Tolerances(model)
    inputs = [tensor.name for tensor in model.inputs]
    samples = []
    for arrays, expected in _run(model, feeds):
        tolerances.widen(dict(zip(inputs, arrays, strict=True)), list(expected))
        samples.append((arrays, expected))
    tolerance = {n: Tolerance(_rounded(atol), RTOL if atol else 0.0) for n, atol in tolerances.atol.items()}
    return Golden(tuple(samples), tolerance)


def generate(
    inputs: Sequence[TensorSpec], ranges: Mapping[str, Sequence[float]], count: int
) -> list[dict[str, np.ndarray]]:
    """Seeded noise for inputs whose real data is not at hand; free dimensions become 1, or 32 for picture sizes.

    Args:
        inputs: what the model takes.
        ranges: calibrated range (low, high) of inputs, where known; others get the standard normal distribution.
        count: number of samples.
    """
    rng = np.random.default_rng(0)
    return [{tensor.name: _noise(tensor, ranges.get(tensor.name), rng) for tensor in inputs} for _ in range(count)]


def _run(model: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> Iterator[_Sample]:
    session = model.session()
    names = [tensor.name for tensor in model.outputs]
    for index, feed in enumerate(feeds):
        arrays = {tensor.name: np.asarray(feed[tensor.name]) for tensor in model.inputs}
        try:
            outputs = session.run(names, arrays)
        except Exception as error:  # onnxruntime's exception types are private and many
            message = f"golden sample {index}: the model does not run: {first_line(error)}; give --data that fits"
            raise DataError(message) from error
        yield tuple(arrays.values()), tuple(np.asarray(output) for output in outputs)


def _noise(tensor: TensorSpec, bounds: Sequence[float] | None, rng: np.random.Generator) -> np.ndarray:
    shape = [size if isinstance(size, int) else _free(tensor) for size in tensor.shape or ()]
    if tensor.dtype == "str":
        return np.full(shape, "a", dtype=object)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind in "iu":
        low, high = _INTEGERS.get(tensor.dtype, (0, 2))
        return rng.integers(low, high, shape).astype(dtype)
    if bounds is not None:
        return rng.uniform(bounds[0], bounds[1], shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def _free(tensor: TensorSpec) -> int:
    return 32 if tensor.dtype == "uint8" and tensor.shape is not None and len(tensor.shape) == 3 else 1


def _rounded(value: float) -> float:
    """Three significant digits, upwards, which a person can read."""
    return float(f"{value * 1.005:.2e}")


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if array.dtype == object:
        array = array.astype(str)
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()
