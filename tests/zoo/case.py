"""What an animal of the zoo is: a model, samples for it, and what is to come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from tests.unit.models import noise

Feeds = dict[str, np.ndarray]
SAMPLES = 12


@dataclass(frozen=True)
class Case:
    """A model of the zoo.

    Attributes:
        build: makes the model.
        feed: makes one sample; gets its number.
        sqnr: how near the outputs are to float at least, in dB.
        layers: operators of the layers that are quantized, sorted.
        kept: operators that must be in the result's main graph.
        told: pattern of the error that there is to be; None if it is to be quantized.
    """

    build: Callable[[], onnx.ModelProto]
    feed: Callable[[int], Feeds]
    layers: tuple[str, ...] = ("MatMul",)
    sqnr: float = 20.0
    kept: tuple[str, ...] = ()
    told: str | None = None

    def samples(self) -> list[Feeds]:
        return [self.feed(seed) for seed in range(SAMPLES)]


def normal(**shapes: tuple[int, ...]) -> Callable[[int], Feeds]:
    """Samples of standard normal inputs of these shapes."""
    return lambda seed: {name: noise(*shape, seed=100 * seed + i) for i, (name, shape) in enumerate(shapes.items())}


def with_shapes_open(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, its outputs of unknown rank."""
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def edited(model: onnx.ModelProto, *edits: Callable[[onnx.ModelProto], Any]) -> onnx.ModelProto:
    """The model after some edits in place."""
    for edit in edits:
        edit(model)
    return model
