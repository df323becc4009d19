"""Sees that arrays are what the model takes: names, dtypes, shapes, and numbers that are numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import InputError
from ._inputs import check_encoded
from ._samples import names_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ._manifest import InputSpec

# As integers, all float16 of this exponent are infinite or NaN; with the sign bit as unsigned ones.
_HALF_LIMIT = 0x7C00
_NEGATIVE_HALF_LIMIT = 0xFC00
# Beyond about 10,000 elements BLAS wakes threads, which fight with onnxruntime's for the CPUs.
_SMALL = 8192


class Checks:
    """What is known of a model's inputs before any call, so that a call looks at nothing else.

    Args:
        specs: the manifest's inputs.
        values: whether to look for NaN and infinity.
    """

    def __init__(self, specs: Sequence[InputSpec], values: bool = True) -> None:
        self._inputs = specs
        self._names = {spec.name for spec in specs}
        self._specs = [
            (spec, np.dtype(spec.dtype), fixed(spec.shape), values and spec.dtype.startswith("float")) for spec in specs
        ]
        self._read = [spec for spec in specs if spec.media is not None]

    def check(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Raises InputError: a name, dtype, shape or value that the model does not take."""
        if not isinstance(inputs, dict):
            raise InputError(f"run() takes a dict of arrays by input name, got {type(inputs).__name__}; see model(x)")
        if inputs.keys() != self._names:
            raise names_error(self._inputs, inputs)
        for spec, dtype, sizes, floating in self._specs:
            array = inputs[spec.name]
            if not isinstance(array, np.ndarray) or array.dtype != dtype:
                _check_dtype(spec, array)
            shape = array.shape
            if shape != sizes and not fits(shape, sizes):
                raise _shape_error(spec, shape)
            if floating and not is_finite(array) and not (spec.missing and not np.isinf(array).any()):
                raise _values_error(spec, array)
        for spec in self._read:
            _check_media(spec, inputs[spec.name])


def _check_media(spec: InputSpec, array: NDArray[Any]) -> None:
    """Raises InputError for a picture or a sound that is none."""
    media, where = spec.media, f"input {spec.name}"
    if media is None:
        return
    if media.type == "audio":
        check_length(len(array), spec, where)
    elif media.encoded:  # an array of bytes may be of anything, and a decoder may end the process
        check_encoded(array.tobytes(), where)
    elif media.type == "image" and not array.size:
        raise InputError(f"{where}: expected a picture, got one without pixels, shape {array.shape}")


def check_length(samples: int, spec: InputSpec, where: str) -> None:
    """Raises InputError for audio that is empty, or not as long as the input takes."""
    if not samples:
        raise InputError(f"{where}: expected samples, got empty audio")
    size = spec.shape[0]
    if isinstance(size, int) and samples != size:
        raise InputError(
            f"{where}: expected {size} samples of audio, got {samples}; cut or pad it, or let the graph do so with "
            f"samples in the pipeline's [input.{spec.name}]"
        )
    least = spec.media.min_samples if spec.media is not None else 1
    if samples < least:
        raise InputError(f"{where}: expected at least {least} samples of audio, got {samples}; pad it with zeros")


def is_finite(array: NDArray[Any]) -> bool:
    """Whether no element of a float array is NaN or infinite.

    Of a small array the sum of squares tells; where that overflows, and of others, each element is looked at.
    """
    if array.itemsize == 2 and array.flags.c_contiguous:  # numpy has nothing fast for these
        flat = array.reshape(-1)
        if not flat.size:
            return True
        return bool(flat.view(np.int16).max() < _HALF_LIMIT and flat.view(np.uint16).max() < _NEGATIVE_HALF_LIMIT)
    if array.size > _SMALL or not array.flags.c_contiguous:
        return bool(np.isfinite(array).all())
    # vdot, not dot, which warns of an overflow
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def fixed(shape: tuple[int | str, ...]) -> tuple[int | None, ...]:
    """The shape with None for free dimensions."""
    return tuple(None if isinstance(size, str) else size for size in shape)


def fits(shape: tuple[int, ...], sizes: tuple[int | None, ...]) -> bool:
    """Whether an array of `shape` may be fed where `sizes` are asked for, None for any."""
    if len(shape) != len(sizes):
        return False
    return all(expected is None or got == expected for got, expected in zip(shape, sizes))


def _check_dtype(spec: InputSpec, array: object) -> None:
    """Raises InputError for what is not an array of the spec's dtype. Strings have many dtypes, and pass."""
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"input {spec.name}: expected a numpy array of {spec.dtype}, got {type(array).__name__}; "
            f'np.asarray(x, dtype="{spec.dtype}") makes one'
        )
    if spec.dtype == "str" and array.dtype.kind == "U" and array.dtype.isnative:
        return
    # onnxruntime would turn None into "None".
    if spec.dtype == "str" and array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        return
    raise InputError(
        f'input {spec.name}: expected {spec.dtype}, got {array.dtype}; x.astype("{spec.dtype}") converts it'
    )


def _shape_error(spec: InputSpec, shape: tuple[int, ...]) -> InputError:
    expected = ", ".join(map(str, spec.shape))
    message = f"input {spec.name}: expected shape ({expected}), got ({', '.join(map(str, shape))})"
    return InputError(message + ("; x[None] adds the first axis" if fits((1, *shape), fixed(spec.shape)) else ""))


def _values_error(spec: InputSpec, array: NDArray[Any]) -> InputError:
    bad = np.argwhere(np.isinf(array) if spec.missing else ~np.isfinite(array))
    first = f"{array[tuple(bad[0])]} at [{', '.join(map(str, bad[0]))}]" if array.ndim else str(array)
    return InputError(
        f"input {spec.name}: expected finite numbers, got {len(bad)} of {array.size} that are not, the first {first}; "
        "look where they come from, or load with check_values=False"
    )
