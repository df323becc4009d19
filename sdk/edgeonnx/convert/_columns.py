"""The columns that a scikit-learn estimator takes: all in one input, or one input a column where types differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeonnx.convert.source import Array
from edgeonnx.errors import ConvertError
from edgeonnx.model import TensorSpec

_INPUT = "X"
# How many texts are made up.
_TEXTS = 64
_KINDS = {"f": "float32", "i": "int64", "u": "int64", "b": "bool", "O": "str", "U": "str", "S": "str"}


@dataclass(frozen=True)
class Column:
    """An input.

    Attributes:
        spec: its name, type and shape; rows are free.
        seen: the values that an encoder was fitted on, of each of its columns, where there is one; or texts.
    """

    spec: TensorSpec
    seen: tuple[Array, ...] = ()

    def cast(self, array: Array) -> Array:
        """An array as this input takes it, rank 2."""
        dtype = object if self.spec.dtype == "str" else np.dtype(self.spec.dtype)
        cast = np.asarray(array).astype(dtype)
        return cast[:, None] if cast.ndim == 1 else cast

    def drawn(self, rows: int, rng: np.random.Generator) -> Array:
        """Rows made up: of what was seen, else of noise."""
        if self.seen:
            return self.cast(np.stack([rng.choice(values, rows) for values in self.seen], axis=1))
        return self.cast(rng.standard_normal((rows, int((self.spec.shape or (0, 1))[1] or 1))))


def columns(estimator: Any, given: Mapping[str, Array] | None, name: str) -> tuple[Column, ...]:
    """What an estimator takes.

    Args:
        estimator: fitted.
        given: examples by input, whose types count.
        name: for messages.

    Raises:
        ConvertError: it does not say how many features it takes.
    """
    first = _first(estimator)
    if (words := _words(first)) is not None:
        return (Column(TensorSpec(_INPUT, "str", (None, 1)), (words,)),)
    names, width = getattr(estimator, "feature_names_in_", None), getattr(estimator, "n_features_in_", None)
    if width is None:
        raise ConvertError(
            f"{name}: {type(first).__name__} does not say how many features it takes, so it has no shape in ONNX"
        )
    seen = dict(_seen(first, list(names) if names is not None else []))
    if not hasattr(first, "transformers_") or (names is None and not seen):
        whole = tuple(seen.values()) if len(seen) == width else ()
        kinds = {_kind(values) for values in ([given[_INPUT]] if given and _INPUT in given else whole)}
        return (Column(TensorSpec(_INPUT, kinds.pop() if len(kinds) == 1 else "float32", (None, width)), whole),)
    labels = [f"x{place}" if names is None else str(names[place]) for place in range(width)]
    return tuple(_column(label, (given or {}).get(label), seen.get(place)) for place, label in enumerate(labels))


def _column(label: str, given: Array | None, seen: Array | None) -> Column:
    """One of a table. Numbers that no encoder tells apart are floats: transformers take them side by side."""
    values = seen if given is None else given
    kind = "float32" if values is None else _kind(values)
    if seen is None and kind != "str":
        kind = "float32"
    return Column(TensorSpec(label, kind, (None, 1)), () if seen is None else (seen,))


def _first(estimator: Any) -> Any:
    """The first step of a pipeline, which meets the columns as they come."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return estimator


def _words(estimator: Any) -> Array | None:
    """Texts to make up, of the words that a vectorizer was fitted on; None for what takes no text."""
    words = getattr(estimator, "vocabulary_", None)
    if not words or not hasattr(estimator, "stop_words"):  # DictVectorizer has a vocabulary of columns
        return None
    rng, known = np.random.default_rng(0), np.array(sorted(words))
    return np.array([" ".join(rng.choice(known, rng.integers(1, 9))) for _ in range(_TEXTS)])


def _seen(estimator: Any, names: list[str]) -> Iterator[tuple[int, Array]]:
    """Place of a column -> the categories that the encoder which meets it first was fitted on, or texts."""
    if hasattr(estimator, "categories_"):
        yield from enumerate(estimator.categories_)
    for _, part, chosen in getattr(estimator, "transformers_", ()):
        if isinstance(chosen, str) and (words := _words(_first(part))) is not None:
            yield names.index(chosen), words
        found = getattr(_first(part), "categories_", None)
        if found is not None and isinstance(chosen, (list, np.ndarray)) and len(chosen) == len(found):
            places = [names.index(one) if isinstance(one, str) else int(one) for one in chosen]
            yield from zip(places, found, strict=True)


def _kind(values: Array) -> str:
    return _KINDS.get(np.asarray(values).dtype.kind, "float32")
