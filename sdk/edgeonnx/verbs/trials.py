"""A converted model and its source on the same samples.

Rules:
    The samples are the example inputs, and those of `data`; where there are neither, noise of the declared types.
    Free axes are tried at another size too: what was written for one size alone shows then.
    Where the source itself does not run at another size, nothing is wrong with the conversion, and it is told.
    The first sample is run twice: a source that gives something else each time can't be compared.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import onnx_ir as ir

from edgeonnx.calibration.samples import Data, open_samples
from edgeonnx.convert import Array, Comparison, Difference, Feeds, Source, differ, free_axes
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec, explained
from edgeonnx.quiet import quiet
from edgeonnx.verbs.noise import noise

# Sizes of free axes but the first, for noise: pictures, texts and tables take one or another.
_GUESSES = (16, 32, 128, 224, 1)
_NOISE = 8
# A step apart is that and float's own rounding.
_ROUNDED = 1.001
# Other sizes than a sample's: one more; twice as much, where the source wants it even.
_GROWTHS: tuple[Callable[[int], int], ...] = (lambda size: size + 1, lambda size: 2 * size)


@dataclass(frozen=True)
class Trials:
    """What came of it.

    Attributes:
        samples: how many were run on both sides.
        sizes: the sizes of free axes that were tried, by name, or by place where they have none.
        differences: of each output.
        problems: where onnxruntime failed on what the source takes, or the source can't be compared.
        notes: what could not be tried.
        noise: whether the samples were noise alone.
        only_at: outputs that differ at other sizes of free axes than the samples have, and at which.
        shapes: of outputs that are declared otherwise than they came out; see `reshaped`.
    """

    samples: int
    sizes: Mapping[str, tuple[int, ...]]
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    noise: bool = False
    only_at: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int | None, ...] | None] = field(default_factory=dict)


def try_both(source: Source, model: Model, data: Data | None, samples: int, tolerance: float) -> Trials:
    """Run both on samples.

    Args:
        source: what the model was made from.
        model: in ONNX.
        data: samples by the model's inputs, or None.
        samples: how many of `data` at most.
        tolerance: see `Comparison`.

    Raises:
        ConvertError: the source does not take the samples.
        DataError: `data` can't be read or does not fit.
    """
    both = _Both(source, model, tolerance)
    first: Feeds | None = None
    for feeds in _samples(source, model, data, samples):
        wanted = both.run(feeds)
        if first is None:
            both.again(feeds, wanted)
        first = first or feeds
    assert first is not None  # an empty source of samples is an error
    both.resized(first)
    return replace(both.trials(), noise=data is None and (source.drawn or source.examples() is None))


class _Both:
    """The source and a session of the model, run side by side."""

    def __init__(self, source: Source, model: Model, tolerance: float) -> None:
        with quiet():  # onnxruntime prints what it raises
            self._source, self._session = source, model.session()
        self._comparisons = [
            Comparison(value.name or "", tolerance, source.steps * _step(value)) for value in model.ir.graph.outputs
        ]
        self._axes: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for name, axes in free_axes(model.inputs).items():
            for axis, label in axes.items():
                self._axes[label or f"axis {axis}"].append((name, axis))
        self._sizes: defaultdict[str, set[int]] = defaultdict(set)
        self._problems: list[str] = []
        self._notes: list[str] = []
        self._samples = 0
        self._first: Feeds = {}
        self._varied = False
        self._only_at: dict[str, str] = {}
        self._declared = [value.shape for value in model.outputs]
        self._shapes: defaultdict[str, list[tuple[int, ...]]] = defaultdict(list)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """Compare on one sample. Returns what the source gave.

        Raises:
            ConvertError: the source does not take it.
        """
        wanted = self._source.run(feeds)
        sizes = self._sizes_of(feeds)
        if len(wanted) != len(self._comparisons):
            raise ConvertError(
                f"{self._source.name}: the source gives {len(wanted)} outputs, the model {len(self._comparisons)}"
            )
        self._samples += 1
        self._first = self._first or feeds
        self._varied |= any(differ(self._first[name], array) for name, array in feeds.items())
        for label, size in sizes.items():
            self._sizes[label].add(size)
        try:
            with quiet():
                got = self._session.run([one.output for one in self._comparisons], feeds)
        except Exception as error:  # onnxruntime's exception types are private and many
            at = f" at {_told(sizes)}" if sizes else ""
            self._problems.append(f"onnxruntime does not run it{at}, {self._source.framework} does: {explained(error)}")
            return wanted
        others = self._source.elsewhere(feeds) or (None,) * len(wanted)
        for comparison, one, other, elsewhere in zip(self._comparisons, wanted, got, others, strict=True):
            comparison.add(one, np.asarray(other), elsewhere)
            self._shapes[comparison.output].append(np.shape(other))
        return wanted

    def again(self, feeds: Feeds, wanted: tuple[Array, ...]) -> None:
        """Run the source once more on the same inputs."""
        again = [Comparison(one.output, 0.0) for one in self._comparisons]
        for comparison, one, other in zip(again, wanted, self._source.run(feeds), strict=True):
            comparison.add(one, other)
        if unsteady := [one.output for one in again if one.result().unequal]:
            self._problems.append(
                f"{self._source.framework} gives another {', '.join(unsteady)} each time for the same inputs: it draws "
                "random numbers, or keeps a state"
            )

    def resized(self, feeds: Feeds) -> None:
        """Compare with free axes of another size: one more, or twice as much where the source wants it even."""
        if not self._axes:
            return
        good = [one.output for one in self._comparisons if one.result().within]
        for grow in _GROWTHS:
            grown = _grown(feeds, self._axes.values(), grow)
            try:
                self.run(grown)
            except ConvertError as error:
                refused = error
                continue
            bad = [one.output for one in self._comparisons if one.output in good and not one.result().within]
            self._only_at = dict.fromkeys(bad, _told(self._sizes_of(grown)))
            return
        self._notes.append(f"free axes were tried at one size alone: at others the source itself fails ({refused})")

    def _sizes_of(self, feeds: Feeds) -> dict[str, int]:
        return {label: feeds[places[0][0]].shape[places[0][1]] for label, places in self._axes.items()}

    def trials(self) -> Trials:
        """What was found."""
        sizes = {label: tuple(sorted(found)) for label, found in self._sizes.items()}
        found = [comparison.result() for comparison in self._comparisons]
        differences = tuple(replace(one, constant=one.constant and self._varied) for one in found)
        shapes = {
            name: _common(found)
            for (name, found), declared in zip(self._shapes.items(), self._declared, strict=False)
            if not all(_fits(shape, declared) for shape in found)
        }
        problems = tuple(dict.fromkeys(self._problems))
        return Trials(
            self._samples, sizes, differences, problems, tuple(self._notes), only_at=self._only_at, shapes=shapes
        )


def _told(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{label}={size}" for label, size in sizes.items())


def _fits(shape: tuple[int, ...], declared: tuple[int | str | None, ...] | None) -> bool:
    """Whether an output has the shape that is declared for it."""
    return declared is None or (
        len(shape) == len(declared)
        and all(not isinstance(size, int) or size == other for size, other in zip(declared, shape, strict=True))
    )


def _common(shapes: Sequence[tuple[int, ...]]) -> tuple[int | None, ...] | None:
    """A shape that all of these have, None for sizes that differ; None as a whole where they differ in rank."""
    if len({len(shape) for shape in shapes}) > 1:
        return None
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True))


def _samples(source: Source, model: Model, data: Data | None, samples: int) -> Iterator[Feeds]:
    given = source.examples()
    if given is not None:
        yield given
    if data is not None:
        yield from islice(open_samples(data, model.inputs).feeds(), samples)
    elif given is None:
        yield from _noise(source, model)


def _noise(source: Source, model: Model) -> Iterator[Feeds]:
    """Noise of a size that the source runs on; two along first axes, so that rows can be told apart.

    Raises:
        ConvertError: it runs on none.
    """
    for guess in dict.fromkeys(_GUESSES):
        inputs = [_sized(spec, known, guess) for spec, known in zip(model.inputs, source.inputs, strict=True)]
        drawn = noise(model, inputs, {}, _NOISE)
        try:
            source.run(dict(drawn[0]))
        except ConvertError as error:
            refused = error
            if inputs == list(model.inputs):
                break
        else:
            yield from map(dict, drawn)
            return
    raise ConvertError(f"{refused}; it was given noise, as no data was: give --data") from refused


def _sized(spec: TensorSpec, known: TensorSpec, guess: int) -> TensorSpec:
    """An input with a size for each free axis: what the source declared before it was freed, else a guess."""
    declared = known.shape or (None,) * len(spec.shape or ())
    sizes = zip(spec.shape or (), declared, strict=True)
    shape = tuple(
        next((size for size in pair if isinstance(size, int)), guess if axis else 2) for axis, pair in enumerate(sizes)
    )
    return replace(spec, shape=shape)


def _step(output: ir.Value) -> float:
    """The distance of two values that an output can take: the scale that it was dequantized with, 1 for integers."""
    node = output.producer()
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[1] is None:
        return float(output.dtype is not None and output.dtype.is_integer())
    scale = node.inputs[1].const_value
    return 0.0 if scale is None else float(scale.numpy().max()) * _ROUNDED


def _grown(feeds: Feeds, axes: Iterable[Sequence[tuple[str, int]]], grow: Callable[[int], int]) -> Feeds:
    """A sample with its free axes longer: what is there again, floats weakened at random, so that no two are alike."""
    rng, grown = np.random.default_rng(0), dict(feeds)
    for places in axes:
        for name, axis in places:
            array = grown[name]
            again = np.take(array, range(grow(array.shape[axis])), axis, mode="wrap")
            grown[name] = (
                again * rng.uniform(0.5, 1, again.shape).astype(again.dtype) if again.dtype.kind == "f" else again
            )
    return grown
