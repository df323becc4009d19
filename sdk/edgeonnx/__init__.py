"""edgeonnx: any ONNX model in, one verified bundle out, that runs on a named device.

`quantize` and `package` are what most people call; `load` opens a bundle as a device does.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

# Names are imported when first asked for: together they take a second, and no program needs all of them.
_MODULES = {
    "bench.timing": (
        "Latency",
        "Paired",
    ),
    "doctor.finding": ("Finding",),
    "errors": (
        "BudgetError",
        "EdgeonnxError",
    ),
    "libraries": ("custom_ops",),
    "model": (
        "Model",
        "TensorSpec",
    ),
    "pipeline.spec": (
        "PipelineSpec",
        "load_pipeline",
    ),
    "quantize.recipe": (
        "Recipe",
        "list_recipes",
        "load_recipe",
    ),
    "runtime": ("load",),
    "runtime._findings": ("TuneReport",),
    "targets": (
        "Target",
        "list_targets",
        "load_target",
    ),
    "verbs.bench": (
        "BenchResult",
        "bench",
    ),
    "verbs.comparison": ("PipelineCheck",),
    "verbs.convert": (
        "ConvertResult",
        "convert",
    ),
    "verbs.doctor": (
        "Diagnosis",
        "doctor",
    ),
    "verbs.inspect": (
        "Inspection",
        "inspect",
    ),
    "verbs.optimize": (
        "OptimizeResult",
        "optimize",
    ),
    "verbs.package": (
        "PackageResult",
        "package",
    ),
    "verbs.pipeline": (
        "PipelineView",
        "check_pipeline",
        "show_pipeline",
    ),
    "verbs.prune": (
        "PruneResult",
        "prune",
    ),
    "verbs.quantize": (
        "QuantizeResult",
        "quantize",
    ),
    "verbs.sign": (
        "KeyPair",
        "Signature",
        "keygen",
        "sign",
        "verify",
    ),
    "verbs.tune": ("tune",),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


class _Package(ModuleType):
    """Where a function and a package share a name, as `quantize`, importing the package does not hide the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
