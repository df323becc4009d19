"""The pre- and postprocessing spec: a TOML file beside the model, checked against a schema."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgeonnx import data
from edgeonnx.errors import PipelineError

_CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resize(_Part):
    """Bring a picture to a fixed size, not keeping its aspect.

    Attributes:
        height: rows of the result.
        width: columns of the result.
        interpolation: `bilinear` (half-pixel centres, no antialias) or `nearest`.
    """

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    interpolation: Literal["bilinear", "nearest"] = "bilinear"


class Normalize(_Part):
    """(pixel / scale - mean) / std, each channel with its own mean and std.

    Attributes:
        scale: what pixels are divided by first; 255 brings them to 0..1.
        mean: one number, or one a channel.
        std: one number, or one a channel.
    """

    scale: float = Field(default=1.0, gt=0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class ImageInput(_Part):
    """From a picture, H x W x C uint8, to one of the model's inputs.

    Attributes:
        color: `grey` (C = 1), `rgb` or `bgr` (C = 3): what the model was trained on.
        resize: to which size; absent, pictures must come in the model's own.
        normalize: how pixels become numbers.
        layout: order of the model's axes.
    """

    color: Literal["grey", "rgb", "bgr"] = "rgb"
    resize: Resize | None = None
    normalize: Normalize = Normalize()
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @property
    def channels(self) -> int:
        """Number of channels of the picture."""
        return _CHANNELS[self.color]

    @model_validator(mode="after")
    def _one_value_a_channel(self) -> "ImageInput":
        for name in ("mean", "std"):
            values = getattr(self.normalize, name)
            if len(values) not in (1, self.channels):
                raise ValueError(f"normalize.{name}: expected 1 or {self.channels} numbers for {self.color}")
        if 0.0 in self.normalize.std:
            raise ValueError("normalize.std: expected numbers other than 0")
        return self


class ClassificationOutput(_Part):
    """How to read a classifier's scores.

    Attributes:
        type: `classification`.
        scores: the model's output that holds them; may be left out where there is only one.
        activation: `softmax` turns logits into probabilities; `none` for models that end in it.
        top_k: how many classes to report.
    """

    type: Literal["classification"] = "classification"
    scores: str | None = None
    activation: Literal["softmax", "none"] = "none"
    top_k: int = Field(default=5, ge=1)


class PipelineSpec(_Part):
    """Pre- and postprocessing of one model.

    Attributes:
        input: name of the model's input -> how a picture becomes it; other inputs are fed as they are.
        output: how to read the outputs.
    """

    input: dict[str, ImageInput] = Field(default_factory=dict)
    output: ClassificationOutput | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the spec's meaning: equal for files that differ in spelling alone."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def load_pipeline(path: str | Path) -> PipelineSpec:
    """Read a spec.

    Raises:
        PipelineError: no such file, not TOML, or it breaks the schema (field, expected and got).
    """
    path = Path(path)
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; expected a pipeline spec in TOML")
    try:
        return PipelineSpec.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise PipelineError(f"{path}: {data.first_problem(error)}") from error
