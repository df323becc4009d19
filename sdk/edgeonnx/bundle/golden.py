"""Golden samples: inputs, the outputs they gave here, and how far a device may be from them."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgeonnx.bundle.tolerance import RTOL, Tolerances
from edgeonnx.errors import DataError
from edgeonnx.model import Model, TensorSpec, first_line


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be from the golden one: `abs(got - expected) <= atol + rtol * abs(expected)`."""

    atol: float
    rtol: float


@dataclass(frozen=True)
class Golden:
    """Golden samples of a model.

    Attributes:
        samples: for each sample its inputs and its outputs, in the model's order.
        shapes: name of every output -> its shape in the first sample.
        tolerance: name of every output -> its tolerance.
    """

    samples: tuple[tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]], ...]
    tolerance: Mapping[str, Tolerance]

    def entries(self) -> dict[str, bytes]:
        """The samples as entries of a bundle."""
        found = {}
        for index, sides in enumerate(self.samples):
            for side, arrays in zip(("input", "output"), sides, strict=True):
                for position, array in enumerate(arrays):
                    found[f"golden/{index}/{side}{position}.npy"] = _npy(array)
        return found


def make_golden(model: Model, feeds: Iterable[Mapping[str, np.ndarray]]) -> Golden:
    """Run the samples, and measure how far a device may be from what they give.

    Args:
        model: as it will stand in the bundle.
        feeds: samples, input name -> array.

    Raises:
        DataError: onnxruntime refuses a sample.
    """
    session, tolerances = model.session(), Tolerances(model)
    names = [tensor.name for tensor in model.outputs]
    samples = []
    for index, feed in enumerate(feeds):
        arrays = {tensor.name: np.asarray(feed[tensor.name]) for tensor in model.inputs}
        try:
            expected = [np.asarray(value) for value in session.run(names, arrays)]
        except Exception as error:  # onnxruntime's exception types are private and many
            message = f"golden sample {index}: the model does not run: {first_line(error)}; give --data that fits"
            raise DataError(message) from error
        tolerances.widen(arrays, expected)
        samples.append((tuple(arrays.values()), tuple(expected)))
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


def _noise(tensor: TensorSpec, bounds: Sequence[float] | None, rng: np.random.Generator) -> np.ndarray:
    shape = [size if isinstance(size, int) else _free(tensor) for size in tensor.shape or ()]
    if tensor.dtype == "str":
        return np.full(shape, "a", dtype=object)
    if tensor.dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    dtype = np.dtype(tensor.dtype)
    if dtype.kind in "iu":
        return rng.integers(0, 256 if tensor.dtype == "uint8" else 2, shape).astype(dtype)
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
