"""edgeonnx_runtime: opens a bundle on a device and runs it, with numpy and onnxruntime alone.

import edgeonnx_runtime as er

model = er.load("fashion.edge")
model("shirt.png")                  # Classification, or a dict of outputs
model.run({"input": array})         # always a dict of outputs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._errors import BundleError, DeviceError, EdgeonnxError, InputError, SelftestError
from ._version import __version__

if TYPE_CHECKING:
    from ._model import Model, load
    from ._result import Classification, Guess

__all__ = [
    "BundleError",
    "Classification",
    "DeviceError",
    "EdgeonnxError",
    "Guess",
    "InputError",
    "Model",
    "SelftestError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> object:
    # numpy and onnxruntime are imported when first asked for: the SDK shares the error tree, and its
    # `edgeonnx --help` should not wait for them.
    if name in ("Model", "load"):
        from . import _model

        return getattr(_model, name)
    if name in ("Classification", "Guess"):
        from . import _result

        return getattr(_result, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
