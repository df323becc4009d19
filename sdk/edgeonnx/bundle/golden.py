"""Golden samples: inputs, the outputs they gave here, and how far a device may be from them."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from edgeonnx.errors import DataError
from edgeonnx.model import Model, TensorSpec, first_line, session_options

_RTOL = 1e-3
_FLOOR = 1e-4


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


def make_golden(model: Model, feeds: Iterable[Mapping[str, np.ndarray]], steps: Mapping[str, float]) -> Golden:
    """Run the samples, and measure how far kernels of another kind are from this machine's.

    Each sample is run twice, with graph optimizations (integer kernels) and without (float between Dequantize and
    Quantize). An output's tolerance is the largest of: twice the largest difference, one quantization step, and
    1e-4 of its largest magnitude.

    Args:
        model: as it will stand in the bundle.
        feeds: samples, input name -> array.
        steps: scale of each output that is quantized.

    Raises:
        DataError: onnxruntime refuses a sample.
    """
    fused, plain = model.session(), model.session(session_options(optimize=False))
    names = [tensor.name for tensor in model.outputs]
    samples = []
    atol = dict.fromkeys(names, 0.0)
    for index, feed in enumerate(feeds):
        expected = _run(fused, names, feed, index)
        for name, one, other in zip(names, expected, _run(plain, names, feed, index), strict=True):
            atol[name] = max(atol[name], _allowance(one, other, steps.get(name, 0.0)))
        samples.append((tuple(np.asarray(feed[tensor.name]) for tensor in model.inputs), tuple(expected)))
    exact = {tensor.name for tensor in model.outputs if not tensor.dtype.startswith(("float", "bfloat"))}
    tolerance = {n: Tolerance(0, 0) if n in exact else Tolerance(_rounded(atol[n]), _RTOL) for n in names}
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


def output_steps(model: Model) -> dict[str, float]:
    """Scale of each output that comes straight from a DequantizeLinear of one scale."""
    steps = {}
    for value in model.ir.graph.outputs:
        node = value.producer()
        scale = node.inputs[1] if node is not None and node.op_type == "DequantizeLinear" else None
        if value.name and scale is not None and scale.const_value is not None:
            steps[value.name] = float(np.max(scale.const_value.numpy()))
    return steps


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


def _run(
    session: ort.InferenceSession, names: list[str], feed: Mapping[str, np.ndarray], index: int
) -> list[np.ndarray]:
    try:
        return [np.asarray(value) for value in session.run(names, dict(feed))]
    except Exception as error:  # onnxruntime's exception types are private and many
        raise DataError(
            f"golden sample {index}: the model does not run: {first_line(error)}; give --data that fits"
        ) from error


def _allowance(one: np.ndarray, other: np.ndarray, step: float) -> float:
    if one.dtype.kind not in "fc" or one.size == 0:
        return 0.0
    finite = np.isfinite(one) & np.isfinite(other)
    a, b = one[finite].astype(np.float64), other[finite].astype(np.float64)
    if a.size == 0:
        return step
    return max(2 * float(np.abs(a - b).max()), step, _FLOOR * float(np.abs(a).max()))


def _rounded(value: float) -> float:
    """Three significant digits upwards: a manifest people can read, and the same on every machine's libm."""
    return float(np.format_float_scientific(value * 1.005, precision=2, unique=False)) if value else 0.0


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    if array.dtype == object:
        array = array.astype(str)
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()
