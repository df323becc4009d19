"""edgeonnx_runtime: opens a bundle on a device and runs it, with numpy and onnxruntime alone.

import edgeonnx_runtime as er

model = er.load("fashion.edge")
model("shirt.png")                  # Classification, Detection, ... or a dict of outputs
model.run({"input": array})         # always a dict of outputs
for result in model.stream(paths):  # reads, runs and finishes at the same time
    ...
model.health()                      # are these inputs still what it was calibrated on?
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ._errors import BundleError, DeviceError, EdgeonnxError, InputError, SelftestError, SignatureError
from ._version import __version__

if TYPE_CHECKING:
    from ._health import HealthReport, InputHealth, InputHealthWarning
    from ._listen import Heard, Listener
    from ._load import load
    from ._model import Model
    from ._result import Classification, Detected, Detection, Embedding, Guess, Segmentation, Share
    from ._stats import Stats, Timing

__all__ = [
    "BundleError",
    "Classification",
    "Detected",
    "Detection",
    "DeviceError",
    "EdgeonnxError",
    "Embedding",
    "Guess",
    "HealthReport",
    "Heard",
    "InputError",
    "InputHealth",
    "InputHealthWarning",
    "Listener",
    "Model",
    "Segmentation",
    "SelftestError",
    "Share",
    "SignatureError",
    "Stats",
    "Timing",
    "__version__",
    "load",
]

# onnxruntime's builds (1.32 is one) note down what they run, under a lasting number of the machine, and send it to its
# maker, unless this stands here before it is imported. Who wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# numpy and onnxruntime are imported when first asked for: the SDK shares the error tree, and its `edgeonnx --help`
# should not wait for them.
_MODULES = {
    "_health": ("HealthReport", "InputHealth", "InputHealthWarning"),
    "_listen": ("Heard", "Listener"),
    "_load": ("load",),
    "_model": ("Model",),
    "_result": ("Classification", "Detected", "Detection", "Embedding", "Guess", "Segmentation", "Share"),
    "_stats": ("Stats", "Timing"),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
