"""Every error edgeonnx raises on purpose. The message is one line: expected, got, where, and what mends it.

EdgeonnxError                 exit code 2: bad input, unless a class below says otherwise
├── BundleError               a bundle: cut short, altered, of a newer schema      (raised on the device too)
│   └── SignatureError (exit 1)  not signed with that key, or altered since        (raised on the device too)
├── InputError                an input of a bundle does not fit                    (raised on the device too)
├── DeviceError               this machine lacks what the bundle asks for          (raised on the device too)
├── SelftestError   (exit 1)  golden outputs differ                                (raised on the device too)
├── ModelError                not ONNX, truncated, external data missing, invalid
├── DataError                 calibration or evaluation data that can't be used
├── MetricError               the user's metric raised, or returned no number
├── TargetError               no such target, or a profile that breaks its schema
├── RecipeError               no such recipe, or one that breaks its schema
├── ConvertError              a model of another framework that can't be opened or converted
├── EngineError               a quantization engine that is not installed, or broke down
├── PipelineError             a pre- and postprocessing spec that does not fit
├── OutputError               a place that can't be written
├── DifferenceError (exit 1)  a model that was made gives other outputs than its source; carries it
└── BudgetError     (exit 3)  the accuracy or speed budget was missed; carries the best result
"""

from edgeonnx.runtime._errors import (
    BundleError,
    DeviceError,
    EdgeonnxError,
    InputError,
    SelftestError,
    SignatureError,
    first_line,
)

__all__ = [
    "BudgetError",
    "BundleError",
    "ConvertError",
    "DataError",
    "DeviceError",
    "DifferenceError",
    "EdgeonnxError",
    "EngineError",
    "InputError",
    "MetricError",
    "ModelError",
    "OutputError",
    "PipelineError",
    "RecipeError",
    "SelftestError",
    "SignatureError",
    "TargetError",
    "first_line",
]


class ModelError(EdgeonnxError):
    """A model file that is missing, not ONNX, cut short, or invalid."""


class DataError(EdgeonnxError):
    """Data that is missing, empty, unreadable, or does not fit the model's inputs."""


class MetricError(EdgeonnxError):
    """A metric that can't be loaded, raised, or returned something other than a finite number."""


class TargetError(EdgeonnxError):
    """A target that does not exist, or whose profile breaks the schema."""


class RecipeError(EdgeonnxError):
    """A recipe that does not exist, or that breaks the schema."""


class ConvertError(EdgeonnxError):
    """A model of another framework that can't be opened, is not trusted, or has no form in ONNX."""


class EngineError(EdgeonnxError):
    """A quantization engine that is not installed, can't be used as asked, or broke down."""


class PipelineError(EdgeonnxError):
    """A pre- and postprocessing spec that breaks the schema or does not fit the model."""


class OutputError(EdgeonnxError):
    """A file or folder that can't be written."""


class DifferenceError(EdgeonnxError):
    """A model that was made gives other outputs than the one it was made from.

    Attributes:
        result: what was made, of the type the verb would have returned.
    """

    exit_code = 1

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class BudgetError(EdgeonnxError):
    """The model missed its accuracy or speed budget.

    Attributes:
        result: the best that was found, of the type the verb would have returned.
    """

    exit_code = 3

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result
