"""TFLite models, float or quantized; run by LiteRT's interpreter.

https://ai.google.dev/edge/litert
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.convert._tensorflow import tensorflow, written
from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.savedmodel import chosen
from edgeonnx.convert.source import Array, Feeds, Source, guarded, release
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.quiet import quiet


class TFLite(Source):
    """A `.tflite` file. Its inputs and outputs have the names of its signature, or of its tensors where it has none.

    Args:
        path: the file.
        signature: which, where it has several.

    Raises:
        ConvertError: it can't be read, or there is no such signature.
    """

    def __init__(self, path: Path, signature: str | None) -> None:
        _, self._tf2onnx, litert = tensorflow("ai_edge_litert.interpreter")
        self.name, self._path = path.name, path
        self.framework = release("LiteRT", "ai-edge-litert")
        self.exporter = release("tf2onnx", "tf2onnx")
        self._litert = litert
        # Built-in kernels, not XNNPACK's: they print nothing, and take inputs of any size.
        self._interpreter = self._opened("BUILTIN_WITHOUT_DEFAULT_DELEGATES")
        with guarded(f"{path} can't be read as a TFLite model"):
            quantized = [not self._is_constant(one) for one in self._interpreter.get_tensor_details() if _scaled(one)]
            self._inputs, self._outputs = _interface(self._interpreter, signature, str(path))
        self.inputs = tuple(_spec(name, detail) for name, detail in self._inputs.items())
        self._other = self._opened("AUTO") if quantized else None
        self.steps = int(any(quantized))
        if any(quantized):
            self.notes = (_QUANTIZED,)
        elif quantized:
            self.notes, self.caveat = (_WEIGHTS,), _ROUNDED

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        names = {"input_names": self._inputs, "output_names": self._outputs}
        tensors = {key: [detail["name"] for detail in details.values()] for key, details in names.items()}
        convert = partial(self._tf2onnx.convert.from_tflite, str(self._path), **tensors)
        model = written(convert, opset, list(self._inputs), lambda: list(self._outputs), self.name)
        return name_axes(model, axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        with guarded(f"{self.name} does not take these inputs"):
            return self._invoked(self._interpreter, feeds)

    def elsewhere(self, feeds: Feeds) -> tuple[Array, ...] | None:
        """See `Source`: the kernels of XNNPACK, which round sums of integers otherwise."""
        try:
            with quiet():
                return None if self._other is None else self._invoked(self._other, feeds)
        except (RuntimeError, ValueError):  # XNNPACK does not take every model and every size
            return None

    def _opened(self, resolver: str) -> Any:
        kernels = getattr(self._litert.OpResolverType, resolver)
        with guarded(f"{self._path} can't be read as a TFLite model"):
            return self._litert.Interpreter(str(self._path), experimental_op_resolver_type=kernels)

    def _is_constant(self, detail: Any) -> bool:
        """Whether a tensor has its values before anything is run: before tensors are allocated, weights alone have."""
        try:
            self._interpreter.get_tensor(detail["index"])
        except ValueError:
            return False
        return True

    def _invoked(self, interpreter: Any, feeds: Feeds) -> tuple[Array, ...]:
        for name, detail in self._inputs.items():
            interpreter.resize_tensor_input(detail["index"], feeds[name].shape, strict=True)
        interpreter.allocate_tensors()
        for name, detail in self._inputs.items():
            interpreter.set_tensor(detail["index"], feeds[name])
        interpreter.invoke()
        return tuple(np.array(interpreter.get_tensor(detail["index"])) for detail in self._outputs.values())


_QUANTIZED = (
    "it is quantized already: the model has QuantizeLinear and DequantizeLinear where TFLite computes in integers, and "
    "rounds as one more set of kernels would; edgeonnx quantize takes a float model, the one that this was made from"
)
_ROUNDED = (
    "its weights have 8 bits, and LiteRT rounds what they are multiplied with to 8 bits too, which the ONNX model does "
    "not: 1 % apart is usual, give --tolerance"
)
_WEIGHTS = "its weights have 8 bits; in the ONNX model they are multiplied as floats, so it is no faster than in float"


def _scaled(detail: Any) -> bool:
    return bool(detail["quantization_parameters"]["scales"].size)


def _interface(interpreter: Any, signature: str | None, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What tensors go in and come out, by name."""
    signatures = interpreter.get_signature_list()
    if not signatures:
        if signature:
            raise ConvertError(f"{name}: it has no signatures, so none is called {signature!r}")
        pair = interpreter.get_input_details(), interpreter.get_output_details()
        one, other = ({detail["name"]: detail for detail in details} for details in pair)
        return one, other
    labels = {label: label for label in signatures}
    runner = interpreter.get_signature_runner(chosen(labels, signature, name))
    return dict(runner.get_input_details()), dict(runner.get_output_details())


def _spec(name: str, detail: Any) -> TensorSpec:
    shape = detail["shape_signature"] if len(detail["shape_signature"]) else detail["shape"]
    dtype = np.dtype(detail["dtype"])
    return TensorSpec(
        name, "str" if dtype.kind in "SO" else dtype.name, tuple(int(size) if size >= 0 else None for size in shape)
    )
