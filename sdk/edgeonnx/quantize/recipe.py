"""Recipes: how a model is quantized, as data. The shipped ones are `calibration/*.toml`."""

import tomllib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeonnx import data
from edgeonnx.errors import RecipeError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Part):
    """How weights become integers."""

    dtype: Literal["int8", "uint8"] = "int8"
    per_channel: bool = True
    symmetric: bool = True


class Activations(_Part):
    """How activations become integers."""

    dtype: Literal["uint8", "int8"] = "uint8"
    symmetric: bool = False


class Calibration(_Part):
    """How the ranges of activations are found."""

    method: Literal["min-max"] = "min-max"
    samples: int = Field(default=200, ge=1)


class Recipe(_Part):
    """A way to quantize.

    Attributes:
        name: its file's name.
        title: one line for people.
        scopes: placements to try, in order; the gate keeps the fastest of those within the accuracy budget.
    """

    name: str
    title: str
    weights: Weights = Weights()
    activations: Activations = Activations()
    calibration: Calibration = Calibration()
    scopes: tuple[Literal["all", "compute"], ...] = Field(default=("all", "compute"), min_length=1)


def load_recipe(name_or_path: str) -> Recipe:
    """A shipped recipe by its name, or a user's own by the path of its `.toml` file.

    Raises:
        RecipeError: there is none of that name, or the file breaks the schema.
    """
    path = data.find("calibration", name_or_path)
    if path is None:
        raise RecipeError(f"no recipe {name_or_path}. {data.near(name_or_path, data.names('calibration'))}")
    try:
        return Recipe.model_validate({"name": path.stem, **tomllib.loads(path.read_text("utf-8"))})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{path}: {data.first_problem(error)}") from error


def list_recipes() -> list[Recipe]:
    """The shipped recipes, by name."""
    return [load_recipe(name) for name in data.names("calibration")]
