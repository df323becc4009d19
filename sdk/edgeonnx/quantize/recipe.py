"""Recipes: how a model is quantized, as data. The shipped ones are `calibration/*.toml`."""

import tomllib
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgeonnx import data
from edgeonnx.errors import RecipeError
from edgeonnx.schema import first_problem


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Weights(_Part):
    """How weights become integers."""

    dtype: Literal["int8", "uint8"] = "int8"
    per_channel: bool = True
    symmetric: bool = True


class Activations(_Part):
    """How activations become integers."""

    dtype: Literal["uint8", "int8", "uint16", "int16"] = "uint8"
    symmetric: bool = False


class Calibration(_Part):
    """How the ranges of activations are found.

    Attributes:
        method: `min-max` keeps all that was seen; `moving-average` averages over samples; `percentile`, `entropy` and
            `mse` cut off what is rare, by their share, their information or their squared error.
        samples: how many samples at most.
        percent: for `percentile`: the share of values, in percent, that neither end cuts into.
        momentum: for `moving-average`: how much of the average stays at each sample.
    """

    method: Literal["min-max", "moving-average", "percentile", "entropy", "mse"] = "min-max"
    samples: int = Field(default=200, ge=1)
    percent: float = Field(default=99.99, gt=50, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)


class Algorithms(_Part):
    """What is done to a model besides rounding it; each only where it is measured to help.

    Attributes:
        equalize: cross-layer equalization of weights, before calibration.
        smooth: SmoothQuant: difficulty moved from activations of MatMul and Gemm to their weights.
        round_weights: seconds to spend on learned rounding of weights; 0 leaves them rounded to the nearest.
        correct_bias: correction of biases by the mean error of their layers.
    """

    equalize: bool = True
    smooth: bool = True
    round_weights: float = Field(default=0.0, ge=0)
    correct_bias: bool = True


class WeightsOnly(_Part):
    """How weights are stored where activations stay in float.

    Attributes:
        bits: 4 or 8 a weight.
        block_size: how many weights of a column share a scale.
        method: `rtn` rounds to the nearest; `k_quant`, `hqq` and `gptq` search for better scales or roundings.
    """

    bits: Literal[4, 8] = 4
    block_size: int = Field(default=32, ge=16)
    method: Literal["rtn", "k_quant", "hqq", "gptq"] = "rtn"


class Search(_Part):
    """How long to look for a placement within the budget.

    Attributes:
        evaluations: how many candidates to run at most.
        seconds: how long at most; what is under way is finished.
    """

    evaluations: int = Field(default=24, ge=1)
    seconds: float = Field(default=300.0, gt=0)


class Recipe(_Part):
    """A way to quantize.

    Attributes:
        name: its file's name.
        title: one line for people.
        scheme: `static`: weights and activations in integers, by calibration; `dynamic`: activations are rounded as
            they come, for MatMul and its like; `weights-only`; or `float16`.
        scopes: placements to try, in order; the gate keeps the fastest of those within the accuracy budget.
    """

    name: str
    title: str
    scheme: Literal["static", "dynamic", "weights-only", "float16"] = "static"
    weights: Weights = Weights()
    activations: Activations = Activations()
    calibration: Calibration = Calibration()
    algorithms: Algorithms = Algorithms()
    search: Search = Search()
    weights_only: WeightsOnly = WeightsOnly()
    scopes: tuple[Literal["all", "compute"], ...] = Field(default=("all", "compute"), min_length=1)


def load_recipe(name_or_path: str, calibration: str | None = None) -> Recipe:
    """A shipped recipe by its name, or a user's own by the path of its `.toml` file.

    Args:
        name_or_path: which.
        calibration: calibration method in place of the recipe's own.

    Raises:
        RecipeError: there is none of that name, the file breaks the schema, or there is no such method.
    """
    path = data.find("calibration", name_or_path)
    if path is None:
        raise RecipeError(f"no recipe {name_or_path}. {data.near(name_or_path, data.names('calibration'))}")
    try:
        fields = tomllib.loads(path.read_text("utf-8"))
        recipe = Recipe.model_validate({"name": path.stem, **fields})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise RecipeError(f"{path}: {first_problem(error, Recipe)}") from error
    return recipe if calibration is None else _with_method(recipe, calibration)


def _with_method(recipe: Recipe, method: str) -> Recipe:
    known = list(get_args(Calibration.model_fields["method"].annotation))
    if method not in known:
        raise RecipeError(f"no calibration method {method}. {data.near(method, known)}")
    return recipe.model_copy(update={"calibration": recipe.calibration.model_copy(update={"method": method})})


def list_recipes() -> list[Recipe]:
    """The shipped recipes, by name."""
    return [load_recipe(name) for name in data.names("calibration")]
