"""edgeonnx: any ONNX model in, one verified bundle out, that runs on a named device.

`quantize` and `package` are what most people call; `load` opens a bundle as a device does.
"""

from edgeonnx.bench.timing import Latency, Paired
from edgeonnx.doctor.finding import Finding
from edgeonnx.errors import BudgetError, EdgeonnxError
from edgeonnx.libraries import custom_ops
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline
from edgeonnx.quantize.recipe import Recipe, list_recipes, load_recipe
from edgeonnx.runtime import load
from edgeonnx.runtime._findings import TuneReport
from edgeonnx.targets import Target, list_targets, load_target
from edgeonnx.verbs.bench import BenchResult, bench
from edgeonnx.verbs.comparison import PipelineCheck
from edgeonnx.verbs.convert import ConvertResult, convert
from edgeonnx.verbs.doctor import Diagnosis, doctor
from edgeonnx.verbs.inspect import Inspection, inspect
from edgeonnx.verbs.optimize import OptimizeResult, optimize
from edgeonnx.verbs.package import PackageResult, package
from edgeonnx.verbs.pipeline import PipelineView, check_pipeline, show_pipeline
from edgeonnx.verbs.prune import PruneResult, prune
from edgeonnx.verbs.quantize import QuantizeResult, quantize
from edgeonnx.verbs.sign import KeyPair, Signature, keygen, sign, verify
from edgeonnx.verbs.tune import tune

__all__ = [
    "BenchResult",
    "BudgetError",
    "ConvertResult",
    "Diagnosis",
    "EdgeonnxError",
    "Finding",
    "Inspection",
    "KeyPair",
    "Latency",
    "Model",
    "OptimizeResult",
    "PackageResult",
    "Paired",
    "PipelineCheck",
    "PipelineSpec",
    "PipelineView",
    "PruneResult",
    "QuantizeResult",
    "Recipe",
    "Signature",
    "Target",
    "TensorSpec",
    "TuneReport",
    "bench",
    "check_pipeline",
    "convert",
    "custom_ops",
    "doctor",
    "inspect",
    "keygen",
    "list_recipes",
    "list_targets",
    "load",
    "load_pipeline",
    "load_recipe",
    "load_target",
    "optimize",
    "package",
    "prune",
    "quantize",
    "show_pipeline",
    "sign",
    "tune",
    "verify",
]
