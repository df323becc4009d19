"""The interface of engines: tools that quantize, whose results the gate runs, scores and times like any other's.

An engine proposes; it does not decide. What it could not make it says as a `Failure`, so that nothing is lost in
silence; a proposal has been loaded by onnxruntime, keeps the inputs and outputs, and computes something in integers.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgeonnx.errors import ModelError
from edgeonnx.model import Model

Feeds = dict[str, NDArray[Any]]

# Operators that compute in integers, or stand for that in a model that is still to be fused.
_INTEGER = ("QLinear", "ConvInteger", "MatMulInteger", "DynamicQuantize", "MatMulNBits", "QGemm")


@dataclass(frozen=True)
class Proposal:
    """A quantized model that an engine made.

    Attributes:
        name: engine and settings: `ort: per-channel`.
        model: QDQ, integer operators, or dynamically quantized.
    """

    name: str
    model: Model


@dataclass(frozen=True)
class Failure:
    """Something an engine tried and could not make.

    Attributes:
        name: engine and settings.
        reason: one line.
    """

    name: str
    reason: str


class Engine(Protocol):
    """A tool that quantizes models."""

    @property
    def name(self) -> str:
        """What users call it."""

    def propose(
        self, model: Model, feeds: Callable[[], Iterable[Feeds]], folder: Path, seconds: float
    ) -> Iterator[Proposal | Failure]:
        """Quantize a model in the ways the engine knows, likeliest first.

        Args:
            model: float, as given or in normal form; inputs are read by name.
            feeds: gives calibration samples anew at each call: input name -> array, shaped as the model takes it.
            folder: an empty folder to work in; what is proposed does not need it any more.
            seconds: nothing new is begun after that long; an engine in a process of its own is ended then.

        Yields:
            One result a way, as soon as it is made.

        Raises:
            EngineError: the engine is not installed, or broke down.
        """


def proposal(name: str, path: Path, given: Model) -> Proposal | Failure:
    """What an engine wrote, if it can be used.

    Args:
        name: engine and settings.
        path: the model it wrote.
        given: the float model it was made from.
    """
    try:
        made = Model.load(path).copy()
        made.session()
    except ModelError as error:
        return Failure(name, str(error))
    before, after = _surface(given), _surface(made)
    if before != after:
        return Failure(name, f"its inputs and outputs differ: expected {before}, got {after}")
    if not integer_nodes(made):
        return Failure(name, "nothing in it is quantized")
    return Proposal(name, made)


def integer_nodes(model: Model) -> int:
    """How many nodes compute in integers or quantize; 0: a float model."""
    return sum(_is_integer(node.op_type) for node in model.ir.graph.all_nodes())


def _is_integer(op_type: str) -> bool:
    return op_type == "QuantizeLinear" or op_type.startswith(_INTEGER)


def _surface(model: Model) -> str:
    """Names and types; shapes are left out, since tools write them with more or less detail."""
    return ", ".join(f"{spec.name} {spec.dtype}" for spec in (*model.inputs, *model.outputs))
