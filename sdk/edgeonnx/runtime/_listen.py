"""Signals without an end: cut into windows as they come, and the state that goes from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from ._manifest import InputSpec, Stream
    from ._model import Model


class Heard(NamedTuple):
    """What the model says of one window.

    Attributes:
        seconds: where the window ends, from the beginning of the stream.
        result: as `model(...)` gives it.
    """

    seconds: float
    result: Any


class Listener:
    """One stream through a model: keeps the samples of one window, and the model's state. For one thread.

    Args:
        model: whose manifest says how: `stream`.
        inputs: what further inputs take in every run, by name.

    Raises:
        InputError: the model was packaged without `stream`; or `inputs` are not those that are left.
    """

    def __init__(self, model: Model, inputs: Mapping[str, NDArray[Any]] | None = None) -> None:
        stream = model.manifest.stream
        if stream is None:
            raise InputError(
                f"{model.manifest.name} has no stream; package the model with stream = {{window, hop}} in the "
                "pipeline's [input.NAME] of audio, or with [state]"
            )
        self._model = model
        self._stream: Stream = stream
        self._fixed = dict(inputs or {})
        self._specs = {spec.name: spec for spec in model.inputs}
        if stream.input is not None:
            self._check_names({stream.input})
            spec = self._specs[stream.input]
            self._window = np.zeros((stream.window, *_fixed(spec)[1:]), spec.dtype)
        self.reset()

    def reset(self) -> None:
        """Begin anew: no samples, state zero, time 0."""
        self._filled = 0  # samples in the window
        self._heard = 0  # samples since the beginning
        self._state = {
            name: np.zeros(_fixed(self._specs[name]), self._specs[name].dtype) for name in self._stream.state
        }

    def step(self, inputs: Mapping[str, NDArray[Any]]) -> Any:
        """One run with the state of the run before.

        Args:
            inputs: an array for each input that is neither state nor given to the Listener.

        Returns:
            The result as `model(...)` gives it, made from all outputs that are not state.

        Raises:
            InputError: as `Model.run`; the state stays as it was.
        """
        self._check_names(inputs.keys())
        outputs = self._model.run({**self._fixed, **self._state, **inputs})
        self._state = {name: outputs[output] for name, output in self._stream.state.items()}
        handed_on = set(self._stream.state.values())
        return self._model.read({name: value for name, value in outputs.items() if name not in handed_on})

    def feed(self, chunk: NDArray[Any]) -> list[Heard]:
        """Take some samples, as many as there are, and run the model on each window that they fill.

        Args:
            chunk: shape (samples,) or (samples, channels), of the input's dtype.

        Raises:
            InputError: the stream takes no samples, or others.
        """
        return list(self._hear(chunk))

    def listen(self, chunks: Iterable[NDArray[Any]]) -> Iterator[Heard]:
        """The same for one chunk after another; gives each window's result as soon as it is there.

        Samples at the end that fill no window are kept for the next chunks, see `reset`.
        """
        for chunk in chunks:
            yield from self._hear(chunk)

    def _hear(self, chunk: NDArray[Any]) -> Iterator[Heard]:
        stream = self._stream
        self._check_chunk(chunk)
        while len(chunk):
            taken = min(stream.window - self._filled if self._filled >= 0 else -self._filled, len(chunk))
            if self._filled >= 0:  # below 0 between two windows that don't touch
                self._window[self._filled : self._filled + taken] = chunk[:taken]
            self._filled += taken
            self._heard += taken
            chunk = chunk[taken:]
            if self._filled == stream.window:
                window = self._window.copy()
                self._window[: -stream.hop] = window[stream.hop :]
                self._filled -= stream.hop
                yield Heard(self._heard / stream.rate, self.step({str(stream.input): window}))

    def _check_names(self, given: Iterable[str]) -> None:
        expected = self._specs.keys() - self._fixed.keys() - self._stream.state.keys()
        if expected != set(given) or not self._fixed.keys() <= self._specs.keys():
            got = ", ".join([*self._fixed, *given]) or "none"
            names = ", ".join(name for name in self._specs if name not in self._stream.state)
            raise InputError(f"expected the inputs {names or 'none'}, each once, in all; got {got}")

    def _check_chunk(self, chunk: NDArray[Any]) -> None:
        if self._stream.input is None:
            raise InputError("this model has a state, but no stream of samples; see step()")
        shape = ", ".join(["samples", *map(str, self._window.shape[1:])])
        expected = f"input {self._stream.input}: expected chunks of {self._window.dtype}, shape ({shape})"
        if not isinstance(chunk, np.ndarray):
            raise InputError(f"{expected}; got {type(chunk).__name__}, np.frombuffer(chunk, dtype) reads bytes")
        if chunk.dtype != self._window.dtype or chunk.shape[1:] != self._window.shape[1:] or chunk.ndim == 0:
            raise InputError(f"{expected}; got {chunk.dtype}, shape {chunk.shape}")


def _fixed(spec: InputSpec) -> tuple[int, ...]:
    """An input's shape; free dimensions are 1, there is one stream."""
    return tuple(1 if isinstance(size, str) else size for size in spec.shape)
