"""A spec's preprocessing held against the user's own, sample by sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeonnx.calibration.samples import Record
from edgeonnx.errors import PipelineError
from edgeonnx.files import replacing
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline import causes, panels
from edgeonnx.pipeline.compare import Difference, Levels, Tally, chw, overlap, place
from edgeonnx.pipeline.graph import entries
from edgeonnx.pipeline.inputs import ImageInput
from edgeonnx.pipeline.part import Entry, InputPart
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.userfile import UserFunction
from edgeonnx.verbs.data import Preparation

# What is the same, where nothing else is said: in grey levels for pictures, for other floats in the model's units.
_PICTURE, _FLOAT = 1.0, 1e-4
# Side of the pictures that tell what a grey level is, where the graph decodes files.
_PROBE = 256

Array = NDArray[Any]


@dataclass(frozen=True)
class InputCheck:
    """How the spec and the user's function differ in one of the model's inputs.

    Attributes:
        name: the model's input.
        source: the spec's source that becomes it.
        difference: in the model's units, over all samples.
        levels: the same in grey levels; None where the source is no picture.
        tolerance: up to which they are the same: in grey levels for pictures, else in the model's units.
        beyond: how many samples have a larger difference somewhere, or another shape.
        worst: the sample with the largest.
        where: in the worst sample; empty where that says nothing.
        causes: likely ones, of the worst sample's difference.
    """

    name: str
    source: str
    difference: Difference
    levels: Difference | None
    tolerance: float
    beyond: int
    worst: str
    where: str
    causes: tuple[str, ...]


@dataclass(frozen=True)
class PipelineCheck:
    """A spec held against the user's own preprocessing.

    Attributes:
        inputs: one each of the model's inputs that both make.
        samples: how many were compared.
        picture: where the worst sample was drawn: the spec's, the user's, the difference.
        gain: what the difference is multiplied by there.
    """

    inputs: tuple[InputCheck, ...]
    samples: int
    picture: Path | None = None
    gain: float = 1.0

    @property
    def same(self) -> bool:
        """Whether no sample differs beyond tolerance."""
        return not any(found.beyond for found in self.inputs)


@dataclass
class _Running:
    """What is known of one of the model's inputs so far; the worst sample is kept as both give it.

    Of two samples the worse is that of another shape, then that of the larger difference.
    """

    tensor: TensorSpec
    source: str
    part: InputPart
    media: str | None
    tolerance: float
    units: Tally = field(default_factory=Tally)
    levels: Tally = field(default_factory=Tally)
    beyond: int = 0
    worst: tuple[bool, float] = (False, -1.0)
    where: str = ""
    pair: tuple[Array, Array] | None = None
    levels_of: Levels | None = None


class Comparison:
    """The comparison as it goes from sample to sample."""

    def __init__(self, model: Model, spec: PipelineSpec, function: UserFunction, tolerance: float | None) -> None:
        self._function = function
        self._entries = {entry.spec.name: entry for entry in entries(model, spec)}
        self._running: dict[str, _Running] = {}
        for name, part in spec.input.items():
            for tensor in model.inputs:
                if tensor.name in part.targets(name, model.inputs):
                    given = tolerance if tolerance is not None else _tolerance(tensor, part)
                    media = self._entries[name].media
                    self._running[tensor.name] = _Running(tensor, name, part, media.type if media else None, given)
        if not self._running:
            raise PipelineError("the spec declares no input, so there is nothing to compare; add an [input.NAME]")

    def add(self, record: Record, prepare: Preparation) -> None:
        """Compare one sample."""
        ours = prepare(record.feeds)
        theirs = self._theirs(record)
        for name, array in theirs.items():
            running = self._running[name]
            step = self._levels(running, record, prepare) if isinstance(running.part, ImageInput) else None
            self._compare(running, ours[name], array, step, record.where)

    def result(self, samples: int, save: Path | None) -> PipelineCheck:
        """What was found; the worst sample of all inputs is drawn."""
        compared = {name: found for name, found in self._running.items() if found.pair is not None}
        inputs = tuple(_found(name, running) for name, running in compared.items())
        if save is None:
            return PipelineCheck(inputs, samples)
        worst = max(compared.values(), key=lambda found: found.worst[1] / (found.tolerance or 1))
        pixels, gain = _draw(worst)
        with replacing(save) as temporary:
            temporary.write_bytes(panels.png(pixels))
        return PipelineCheck(inputs, samples, save, gain)

    def _theirs(self, record: Record) -> dict[str, Array]:
        """What the user's function makes of a sample, by the model's input."""
        value = self._function(str(record.file) if record.file else dict(record.feeds))
        if not isinstance(value, Mapping):
            if len(self._running) > 1:
                names = ", ".join(self._running)
                raise PipelineError(f"{self._function.label}: expected a dict of arrays for {names}, got one value")
            value = {next(iter(self._running)): value}
        if unknown := [name for name in value if name not in self._running]:
            names = ", ".join(self._running)
            raise PipelineError(f"{self._function.label}: expected arrays for {names}, got one for {unknown[0]!r}")
        if not value:
            raise PipelineError(f"{self._function.label}: expected arrays for {', '.join(self._running)}, got none")
        return {name: self._array(name, array) for name, array in value.items()}

    def _array(self, name: str, value: object) -> Array:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise PipelineError(f"{self._function.label}: expected numbers for {name}, got {type(value).__name__}")
        shape = self._running[name].tensor.shape
        return array[np.newaxis] if shape is not None and array.ndim == len(shape) - 1 else array

    def _compare(self, running: _Running, ours: Array, theirs: Array, levels: Levels | None, where: str) -> None:
        told, fitted = causes.layout(ours, theirs)
        a, b = self._finite(running, *overlap(ours, fitted), where)
        running.units.add(np.abs(a - b))
        beyond = _beyond_rounding(a, b, ours.dtype)
        if levels is not None and a.shape == ours.shape:
            running.levels.add(_grey(running.part, np.abs(a - b), levels))
            beyond = _grey(running.part, beyond, levels)
        largest = float(beyond.max(initial=0.0))
        running.beyond += told is not None or largest > running.tolerance
        if (told is not None, largest) > running.worst:
            running.worst, running.where, running.pair = (told is not None, largest), where, (ours, theirs)

    def _finite(self, running: _Running, a: Array, b: Array, where: str) -> tuple[Array, Array]:
        """Both, with 0 where both have NaN, for what is missing."""
        both = np.isnan(a) & np.isnan(b)
        a, b = np.where(both, 0, a), np.where(both, 0, b)
        for whose, values in (("the spec", a), (self._function.label, b)):
            if not np.isfinite(values).all():
                raise PipelineError(
                    f"{where}: {whose} gave NaN or infinity for {running.tensor.name}, and the other not"
                )
        return a, b

    def _levels(self, running: _Running, record: Record, prepare: Preparation) -> Levels:
        """What a grey level is, found by preparing a black and a white picture of the sample's size."""
        if running.levels_of is None:
            part, source = running.part, running.source
            assert isinstance(part, ImageInput)
            flat = (_flat(self._entries[source], record.feeds[source], grey) for grey in (0, 255))
            prepared = [prepare({**record.feeds, source: picture})[running.tensor.name] for picture in flat]
            running.levels_of = _step(*(chw(array, part.layout) for array in prepared))
        return running.levels_of


def _tolerance(tensor: TensorSpec, part: InputPart) -> float:
    if isinstance(part, ImageInput):
        return _PICTURE
    return _FLOAT if tensor.dtype.startswith("float") else 0.0


def _flat(entry: Entry, sample: Array, grey: int) -> Array:
    """A picture of one grey, in the form the source takes."""
    if entry.media is not None and entry.media.encoded:
        return np.frombuffer(panels.png(np.full((_PROBE, _PROBE, 3), grey, np.uint8)), np.uint8)
    return np.full_like(sample, grey)


def _step(black: Array, white: Array) -> Levels:
    """The model's units a grey level, channel by channel, where the picture is and not its padding."""
    places = np.abs(white - black).reshape(len(black), -1).argmax(1)[:, None]
    low, high = (np.take_along_axis(array.reshape(len(array), -1), places, 1)[..., None] for array in (black, white))
    return Levels(np.where(high == low, 1.0, (high - low) / 255), low)


def _beyond_rounding(a: Array, b: Array, dtype: np.dtype[Any]) -> Array:
    """Absolute differences, less what rounding alone makes: once to the model's type, a few times to float32 before."""
    apart: Array = np.abs(a - b)
    if dtype.kind != "f" or not apart.size:
        return apart
    rounding = float(np.finfo(dtype).eps) + 4 * float(np.finfo(np.float32).eps)
    beyond: Array = np.maximum(apart - rounding * max(np.abs(a).max(), np.abs(b).max()), 0)
    return beyond


def _grey(part: InputPart, apart: Array, levels: Levels) -> Array:
    """Absolute differences in grey levels, (C, H, W)."""
    assert isinstance(part, ImageInput)
    grey: Array = chw(apart, part.layout) / np.abs(levels.step)
    return grey


def _found(name: str, running: _Running) -> InputCheck:
    assert running.pair is not None
    levels = running.levels.difference if isinstance(running.part, ImageInput) else None
    where, why = _explained(running) if running.beyond else ("", ())
    return InputCheck(
        name, running.source, running.units.difference, levels, running.tolerance, running.beyond, running.where, where,
        why,
    )  # fmt: skip


def _explained(running: _Running) -> tuple[str, tuple[str, ...]]:
    """Where the worst sample differs, and why."""
    assert running.pair is not None
    ours, theirs = running.pair
    told, theirs = causes.layout(ours, theirs)
    why = [told] if told else []
    if ours.dtype.kind in "iub" and not isinstance(running.part, ImageInput):
        return "", tuple(causes.of_tokens(ours, theirs)) or tuple(why)
    if ours.shape != theirs.shape or running.worst[1] <= running.tolerance:
        return "", tuple(why)
    a, b = (np.nan_to_num(array) for array in overlap(ours, theirs))
    if running.media == "table":
        return "", (*why, *causes.of_columns(a, b))
    if running.levels_of is None or not isinstance(running.part, ImageInput):
        return "", (*why, *causes.of_signal(a, b))
    where = place(_grey(running.part, _beyond_rounding(a, b, ours.dtype), running.levels_of) > running.tolerance)
    a, b = (chw(array, running.part.layout) for array in (a, b))
    return where, (*why, *causes.of_picture(a, b, running.levels_of))


def _draw(running: _Running) -> tuple[panels.Pixels, float]:
    assert running.pair is not None
    ours, theirs = running.pair
    a, b = (np.nan_to_num(array) for array in overlap(ours, causes.layout(ours, theirs)[1]))
    if running.levels_of is None or not isinstance(running.part, ImageInput) or a.ndim != 4:
        return panels.of_signal(a, b)
    a, b = (chw(array, running.part.layout) for array in (a, b))
    return panels.of_picture(a, b, running.levels_of, running.part.color == "bgr")
