"""edgeonnx: any ONNX model in, one verified bundle out, that runs on a named device.

`quantize` and `package` are what most people call; `load` opens a bundle as a device does.
"""

from edgeonnx.bench.timing import Latency, Paired
from edgeonnx.errors import BudgetError, EdgeonnxError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline
from edgeonnx.quantize.recipe import Recipe, list_recipes, load_recipe
from edgeonnx.runtime import load
from edgeonnx.targets import Target, list_targets, load_target
from edgeonnx.verbs.bench import BenchResult, bench
from edgeonnx.verbs.inspect import Inspection, inspect
from edgeonnx.verbs.package import PackageResult, package
from edgeonnx.verbs.quantize import QuantizeResult, quantize

__all__ = [
    "BenchResult",
    "BudgetError",
    "EdgeonnxError",
    "Inspection",
    "Latency",
    "Model",
    "PackageResult",
    "Paired",
    "PipelineSpec",
    "QuantizeResult",
    "Recipe",
    "Target",
    "TensorSpec",
    "bench",
    "inspect",
    "list_recipes",
    "list_targets",
    "load",
    "load_pipeline",
    "load_recipe",
    "load_target",
    "package",
    "quantize",
]
