"""Does an array fit an input? Names, dtype, rank, dimensions and values, and what to do where it does not."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgeonnx.calibration._source import Array
from edgeonnx.errors import DataError
from edgeonnx.model import TensorSpec

_Shape = Sequence[int | str | None]

# Channels moved last to first and first to last, with a batch axis and without.
_LAYOUTS = ((0, 3, 1, 2), (0, 2, 3, 1), (2, 0, 1), (1, 2, 0))


def check_names(got: Iterable[str], inputs: Sequence[TensorSpec], where: str) -> None:
    """Every input has an array and every array an input.

    Raises:
        DataError: one is missing or unknown.
    """
    names, given = [spec.name for spec in inputs], list(got)
    missing = [name for name in names if name not in given]
    unknown = [name for name in given if name not in names]
    if missing or unknown:
        parts = [f"{what} {quoted(which)}" for what, which in (("missing", missing), ("unknown", unknown)) if which]
        raise DataError(
            f"{where}: expected arrays named after the model's inputs, {quoted(names)}, "
            f"got {quoted(given) or 'none'}: {' and '.join(parts)}; name the arrays after the inputs"
        )


def check_type(dtype: np.dtype[Any], spec: TensorSpec, where: str) -> None:
    """The dtype is exactly the input's: a silent cast would hide that the model sees other data in the field.

    Raises:
        DataError: it is another.
    """
    if spec.dtype == "str":
        if dtype.kind not in "UO":
            raise DataError(f"{where}, input '{spec.name}': expected strings, got {dtype.name}; use .astype(str)")
    elif dtype.name != spec.dtype:
        raise DataError(
            f"{where}, input '{spec.name}': expected {spec.dtype}, got {dtype.name}; "
            f'convert it with .astype("{spec.dtype}")'
        )


def check_shape(shape: tuple[int, ...], spec: TensorSpec, where: str) -> None:
    """Rank and fixed dimensions of one sample are the input's.

    Raises:
        DataError: one differs; the message names the transpose or the axis that would mend it, if one would.
    """
    if spec.shape is not None and not fits(shape, spec.shape):
        hint = _shape_hint(shape, spec.shape)
        raise DataError(
            f"{where}, input '{spec.name}': expected shape {shown(spec.shape)}, got {shown(shape)}"
            f"{'; ' + hint if hint else ''}"
        )


def check_values(feeds: Mapping[str, Array], where: str, missing: Collection[str] = ()) -> None:
    """There are values, and every float among them is finite; NaN may stand in the inputs `missing`.

    One empty input beside others that hold something is let through: an empty cache of past tokens is one.

    Raises:
        DataError: NaN, infinity, something other than text among strings, or nothing at all.
    """
    for name, array in feeds.items():
        if array.dtype.kind in "fc" and not (np.isfinite(array) | (np.isnan(array) & (name in missing))).all():
            what = "NaN" if name not in missing and np.isnan(array).any() else "infinity"
            raise DataError(f"{where}, input '{name}': holds {what}; remove or repair this sample")
        if array.dtype.kind == "O" and not all(isinstance(item, str) for item in array.flat):
            raise DataError(f"{where}, input '{name}': expected strings, got other objects; use .astype(str)")
    if feeds and all(array.size == 0 for array in feeds.values()):
        shapes = ", ".join(f"'{name}' {shown(array.shape)}" for name, array in feeds.items())
        raise DataError(f"{where}: expected values, got an empty sample, {shapes}; remove it")


def as_array(value: object, spec: TensorSpec, where: str) -> Array:
    """An array as it is; plain Python numbers, text and lists as an array of the input's dtype.

    Raises:
        DataError: the list is ragged, or a number in it does not fit the dtype.
    """
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, (list, tuple, int, float, str)):
        try:
            return np.asarray(value)  # torch tensors and the like bring a dtype of their own
        except Exception as error:
            kind = type(value).__name__
            raise DataError(f"{where}, input '{spec.name}': {kind} can't be made an array: {error}") from error
    try:
        array = np.asarray(value, dtype=spec.dtype)
        exact = array.dtype.kind not in "iub" or np.array_equal(array, np.asarray(value))
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}, input '{spec.name}': can't be made {spec.dtype}: {error}") from error
    if not exact:
        raise DataError(f"{where}, input '{spec.name}': expected {spec.dtype}, got numbers that don't fit it")
    return array


def fits(shape: Sequence[int], wanted: _Shape) -> bool:
    """Whether rank and fixed dimensions agree."""
    return len(shape) == len(wanted) and all(
        not isinstance(want, int) or want == got for got, want in zip(shape, wanted, strict=True)
    )


def shown(shape: _Shape) -> str:
    """A shape as messages print it: `(N,3,?,?)`."""
    return "(" + ",".join("?" if size is None else str(size) for size in shape) + ")"


def quoted(names: Iterable[str]) -> str:
    """Names as messages list them: `'a', 'b'`."""
    return ", ".join(f"'{name}'" for name in names)


def _shape_hint(shape: tuple[int, ...], wanted: _Shape) -> str:
    for order in _LAYOUTS:
        if len(order) == len(shape) and fits([shape[axis] for axis in order], wanted):
            layout = "NHWC, the model takes NCHW" if order in _LAYOUTS[::2] else "NCHW, the model takes NHWC"
            axes = ", ".join(map(str, order))
            return f"the data looks {layout}: use .transpose({axes}) on each sample"
    if fits((1, *shape), wanted):
        return "the batch axis is missing: use array[np.newaxis]"
    if shape[:1] == (1,) and fits(shape[1:], wanted):
        return "there is a batch axis too many: use array[0]"
    batch = wanted[0] if wanted else None
    if isinstance(batch, int) and fits(shape[1:], wanted[1:]):
        return f"the model's batch is fixed at {batch}: give samples of {batch} rows, in an .npz shaped (n,{batch},...)"
    return ""
