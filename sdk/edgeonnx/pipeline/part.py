"""What the parts of a spec have in common: how one is declared, what it takes, what it hands on."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx_ir as ir
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.runtime._manifest import Media, Result
from edgeonnx.schema import meanings, summary


class Part(BaseModel):
    """Frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """JSON Schema, with what the docstring says of each field."""
        schema = handler(core)
        table = handler.resolve_ref_schema(schema)
        table["description"] = summary(cls)
        for name, meaning in meanings(cls).items():
            table["properties"][name]["description"] = meaning
        return schema


class Entry(NamedTuple):
    """An input of the joined model.

    Attributes:
        spec: its name, dtype and shape.
        media: what files it can be read from, for the manifest; None: arrays alone.
        missing: NaN may stand in it, for what is missing.
    """

    spec: TensorSpec
    media: Media | None = None
    missing: bool = False


@dataclass(frozen=True)
class Prepared:
    """What preprocessing hands on.

    Attributes:
        feeds: the model's input name -> its value, of the model's dtype.
        notes: what postprocessing may want to know, by kind. `geometry` of a picture: float32, shape (8,): scale_x,
            scale_y, left, top, width, height, model_width, model_height, where x in the model's picture = x in the
            original * scale_x + left, width and height are the original's, and model_width and model_height are those
            of the model's picture, all in pixels. `mask` of a text: int64, shape (1, tokens), 1 for tokens
            and 0 for padding.
    """

    feeds: dict[str, ir.Value]
    notes: dict[str, ir.Value] = field(default_factory=dict)


class InputPart(Part):
    """How a sample as the user has it becomes one or several of the model's inputs."""

    @abstractmethod
    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """Names of the model's inputs that the source `name` becomes.

        Raises:
            PipelineError: the model has no such input.
        """

    @abstractmethod
    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """See that the source fits.

        Args:
            name: the source's, as in `[input.NAME]`.
            tensors: the model's inputs that it becomes, by name.

        Raises:
            PipelineError: the field, expected and got.
        """

    @abstractmethod
    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """What the joined model takes in place of `tensors`; the first is named as the source."""

    @abstractmethod
    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """Write the operators.

        Args:
            tensors: the model's inputs that the source becomes, by name.
            entries: the joined model's inputs, one for each of `entries()`.
            build: takes the nodes.
        """


class OutputPart(Part):
    """How the model's outputs become a result."""

    @abstractmethod
    def consumes(self, outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """Names of the model's outputs that it turns into results; the joined model gives those in their place.

        Raises:
            PipelineError: the model has no such output, or it is open which is meant.
        """

    @abstractmethod
    def check(self, outputs: Mapping[str, TensorSpec], notes: Sequence[str]) -> None:
        """See that it fits.

        Args:
            outputs: the consumed ones by name.
            notes: names of what the inputs note down, `SOURCE.KIND`: see `Prepared.notes` and `only_note`.

        Raises:
            PipelineError: the field, expected and got.
        """

    @abstractmethod
    def build(self, outputs: Mapping[str, ir.Value], notes: Mapping[str, ir.Value], build: Builder) -> list[ir.Value]:
        """Write the operators; the results in order, each with name, dtype and shape set (see `Builder.result`)."""

    @abstractmethod
    def result(self, outputs: Sequence[TensorSpec]) -> Result | None:
        """What the manifest says of the results (without labels); None where they are read as they are.

        Args:
            outputs: the model's own, all of them.
        """

    def class_count(self, outputs: Sequence[TensorSpec]) -> int | None:
        """How many classes the results tell apart, one label each; None: not known, or there are none.

        Args:
            outputs: the model's own, all of them.
        """
        return None


def only_target(name: str, to: str | None, inputs: Sequence[TensorSpec]) -> str:
    """The model's input that a source of one target becomes: `to`, or the one of its name, or the only one.

    Raises:
        PipelineError: the model has no such input, or it is open which is meant.
    """
    names = [tensor.name for tensor in inputs]
    if to is not None and to not in names:
        raise PipelineError(f"input.{name}.to: the model has no input {to!r}; it has {', '.join(names)}")
    if to is None and name not in names and len(names) != 1:
        raise PipelineError(f"input.{name}: which of the model's inputs? Say to = one of {', '.join(names)}")
    return to or (name if name in names else names[0])


def only_note(kind: str, notes: Iterable[str], of: str | None = None) -> str | None:
    """Name of the note of a kind, `SOURCE.KIND`; None if no input takes one.

    Args:
        kind: `geometry` or `mask`.
        notes: the names there are.
        of: the source it must be of.

    Raises:
        PipelineError: several inputs take one and `of` does not say which.
    """
    found = [name for name in notes if name.rpartition(".")[2] == kind and of in (None, name.rpartition(".")[0])]
    if len(found) > 1:
        sources = ", ".join(name.rpartition(".")[0] for name in found)
        raise PipelineError(f"output.of: which input's {kind}? Say of = one of {sources}")
    return found[0] if found else None


def only_output(field: str, given: str | None, outputs: Sequence[TensorSpec]) -> str:
    """The model's output that `field` means: the one given, or the only one.

    Raises:
        PipelineError: the model has no such output, or it is open which is meant.
    """
    names = [tensor.name for tensor in outputs]
    if given is None and len(names) == 1:
        return names[0]
    if given not in names:
        raise PipelineError(f"output.{field}: expected one of {', '.join(names)}, got {given!r}")
    return given
