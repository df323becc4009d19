"""Real models and real pictures for the tests of algorithms, and the shortest way from float to INT8."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeonnx.calibration.ranges import min_max
from edgeonnx.model import Model, session_options
from edgeonnx.optimize.normalize import normalize, tensor_types
from edgeonnx.quantize.placement import load_dialect, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.recipe import Activations, Recipe, Weights

ROOT = Path(__file__).parents[2]


@cache
def fashion_model(name):
    """`resnet8`, `hostile_resnet8` or `mobilenetv3`, normalized."""
    return normalize(Model.load(ROOT / "tests" / "data" / f"{name}.onnx"))


@cache
def pictures(name, count):
    """float32 (count, 1, 28, 28) and labels, of `calibration` or `test`."""
    with np.load(ROOT / "examples" / "fashion_mnist" / f"{name}.npz") as data:
        return data["input"][:count].astype(np.float32).transpose(0, 3, 1, 2) / 255, data["labels"][:count]


def calibration(count=100):
    """Feeds of one picture each."""
    return [{"input": picture[None]} for picture in pictures("calibration", count)[0]]


def logits(model, count=1000):
    return model.session(session_options(2)).run(None, {"input": pictures("test", count)[0]})[0]


def top1(model, count=1000):
    return float((logits(model, count).argmax(1) == pictures("test", count)[1]).mean())


def int8(model, feeds, per_channel=True, only=None, **weights):
    """Min-max INT8 of everything that has an integer kernel, or only of operators of one type."""
    tensors = [name for name, dtype in tensor_types(model).items() if dtype == ir.DataType.FLOAT]
    ranges = min_max(model, tensors, feeds)
    dialect = load_dialect("cpu")
    if only is not None:
        dialect = dialect.model_copy(update={"compute": {only}, "carried": set()})
    recipe = Recipe(name="t", title="t", weights=Weights(per_channel=per_channel, **weights), activations=Activations())
    return write_qdq(model, ranges, place(model, dialect, "all", ranges), recipe)
