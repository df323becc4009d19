"""The pre- and postprocessing spec: a TOML file beside the model, checked against a schema."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.inputs import InputKind
from edgeonnx.pipeline.outputs import OutputKind
from edgeonnx.pipeline.part import Part
from edgeonnx.schema import first_problem, parts, tag

# The sources that need no `type`: those named as one.
_KINDS = tuple(str(tag(part)) for part in parts(InputKind))
_UNTYPED = "; only a source named as its type, as in [input.image], needs none"


class PipelineSpec(Part):
    """Pre- and postprocessing of one model.

    Parts that name files (a vocabulary, anchors) look for them in the folder of the spec's file, or, where it is
    made in Python, in the working directory.

    Attributes:
        input: name of a source, as the device will feed it -> how it becomes one or several of the model's inputs.
            A source's `type` may be left out where its name is that of a type: `[input.image]`. Inputs of the model
            that no source becomes are fed as they are.
        output: how the model's outputs become a result.
        state: of a recurrent model: input -> the output whose value it takes in the next run; zeros in the first.
    """

    input: dict[str, Annotated[InputKind, Field(discriminator="type")]] = Field(default_factory=dict)
    output: Annotated[OutputKind, Field(discriminator="type")] | None = None
    state: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _type_by_name(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("input"), dict):
            return value
        sources = {
            name: {"type": name, **source} if name in _KINDS and isinstance(source, dict) else source
            for name, source in value["input"].items()
        }
        return {**value, "input": sources}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As of any part; and a source that is named as a type is of that type, any other says which."""
        schema = super().__get_pydantic_json_schema__(core, handler)
        sources = handler.resolve_ref_schema(schema)["properties"]["input"]
        any_of = sources["additionalProperties"]
        mapping = any_of["discriminator"]["mapping"]
        sources["properties"] = {kind: {"$ref": reference} for kind, reference in mapping.items()}
        any_of["required"] = ["type"]
        return schema

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec's meaning: equal for files that differ in spelling alone."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The whole spec as JSON, defaults written out; what a bundle carries."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @classmethod
    def parse(cls, value: Any, where: str, folder: Path = Path()) -> Self:
        """A spec from what TOML or JSON gave.

        Args:
            value: tables and values.
            where: file name, begins the error.
            folder: where files that it names are.

        Raises:
            PipelineError: it breaks the schema (field, expected and got).
        """
        try:
            return cls.model_validate(value, context={"folder": folder})
        except ValidationError as error:
            problem = error.errors()[0]
            untyped = (
                problem["type"] == "union_tag_not_found" and problem["loc"][0] == "input" and len(problem["loc"]) == 2
            )
            hint = _UNTYPED if untyped else ""
            raise PipelineError(f"{where}: {first_problem(error, cls)}{hint}") from error


def load_pipeline(path: str | Path) -> PipelineSpec:
    """Read a spec.

    Raises:
        PipelineError: no such file, not TOML, or it breaks the schema (field, expected and got).
    """
    path = Path(path)
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; expected a pipeline spec in TOML")
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not TOML: {error}") from error
    return PipelineSpec.parse(value, str(path), path.parent)
