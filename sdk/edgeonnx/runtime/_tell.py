"""Results as the shell prints them: for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._result import Classification, Detection, Embedding, Segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._result import AnyResult


def as_text(source: str, result: AnyResult) -> str:
    """A result for people: the source's name and what was found; for raw outputs, lines of statistics."""
    if isinstance(result, Classification):
        return f"{source}  {', '.join(map(str, result.top)) or 'nothing above the threshold'}"
    if isinstance(result, Detection):
        return "\n".join([f"{source}  {len(result)} found", *(f"  {thing}" for thing in result)])
    if not isinstance(result, dict):
        return f"{source}  {result}"
    lines = [source]
    for name, array in result.items():
        facts = "  ".join(f"{key} {value:.6g}" for key, value in _statistics(array).items())
        lines.append(f"  {name}  {_dtype(array)} {array.shape}  {facts}".rstrip())
    return "\n".join(lines)


def as_json(result: AnyResult) -> dict[str, Any]:
    """A result made of what JSON has; a mask as the shares of its classes, raw outputs as statistics."""
    if isinstance(result, Classification):
        return {"top": [guess._asdict() for guess in result.top]}
    if isinstance(result, Detection):
        return {"objects": [{**thing._asdict(), "box": list(thing.box)} for thing in result]}
    if isinstance(result, Segmentation):
        return {"shape": list(result.mask.shape), "shares": [share._asdict() for share in result.shares()]}
    if isinstance(result, Embedding):
        return {"vector": result.vector.tolist()}
    outputs = {
        name: {"dtype": _dtype(array), "shape": list(array.shape), **_statistics(array)}
        for name, array in result.items()
    }
    return {"outputs": outputs}


def _dtype(array: NDArray[Any]) -> str:
    return "str" if array.dtype.kind in "OU" else str(array.dtype)


def _statistics(array: NDArray[Any]) -> dict[str, float]:
    """Minimum, maximum and mean; nothing for strings and for no elements."""
    if array.dtype.kind in "OU" or not array.size:
        return {}
    with np.errstate(invalid="ignore"):  # the mean of infinities of both signs is NaN, and may be
        mean = float(array.mean(dtype=np.float64))
    return {"min": float(array.min()), "max": float(array.max()), "mean": mean}
