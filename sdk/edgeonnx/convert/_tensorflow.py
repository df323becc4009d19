"""What Keras models, SavedModels and TFLite models have in common: tf2onnx, and the names that it makes up.

https://github.com/onnx/tensorflow-onnx
"""

import os
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import onnx

from edgeonnx.convert.axes import Axes, name_axes, unnamed
from edgeonnx.convert.source import Array, Feeds, Source, by_name, guarded, need, release
from edgeonnx.convert.surface import named, refuse_foreign
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec
from edgeonnx.userfile import told

# Those that tf2onnx tests.
_LEAST_OPSET, _MOST_OPSET = 14, 18
# What it calls a free axis, each with a number of its own.
_MADE_UP = r"unk__\d+"

Call = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def tensorflow(*modules: str) -> tuple[ModuleType, ...]:
    """TensorFlow, tf2onnx and these modules; TensorFlow's C++ side is told to log nothing, which no handler catches.

    Raises:
        ConvertError: one is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return need("tensorflow", "tensorflow", "tf2onnx", *modules)


def written(
    convert: Callable[..., Any], opset: int, inputs: Sequence[str], outputs: Callable[[], Sequence[str]], name: str
) -> Model:
    """What tf2onnx makes of a source, its interface named.

    Args:
        convert: one of tf2onnx' functions, with what it is to convert.
        opset: of the standard operators.
        inputs: names in the source.
        outputs: gives names in the source, once it was converted.
        name: for messages.

    Raises:
        ConvertError: an operator has no form in ONNX.
    """
    if not _LEAST_OPSET <= opset <= _MOST_OPSET:
        raise ConvertError(f"{name}: tf2onnx writes opsets {_LEAST_OPSET} to {_MOST_OPSET}, got --opset {opset}")
    with guarded(f"{name} can't be converted", _reason):
        proto, _ = convert(opset=opset)
    model = Model.from_proto(proto)
    refuse_foreign(model, name)
    return named(unnamed(model, _MADE_UP), inputs, outputs(), name)


class Graph(Source):
    """A function of TensorFlow's, as Keras models and SavedModels hold one.

    Args:
        name: file or class, for messages.
        inputs: what it takes.
        call: tensors by name -> tensors by name.
        retraced: whether the function can be traced anew with axes free that `inputs` fixes.
    """

    def __init__(self, name: str, inputs: Sequence[TensorSpec], call: Call, retraced: bool) -> None:
        self._tf, self._tf2onnx = tensorflow()
        self.name, self.inputs = name, tuple(inputs)
        self.framework = release("TensorFlow", "tensorflow", "tensorflow-cpu")
        self.exporter = release("tf2onnx", "tf2onnx")
        self._call, self._retraced = call, retraced
        self._outputs: list[str] = []

    def export(self, opset: int, axes: Axes) -> Model:
        """See `Source`."""
        names = [spec.name for spec in self.inputs]

        def flat(*tensors: Any) -> list[Any]:
            outputs = self._call(dict(zip(names, tensors, strict=True)))
            self._outputs = list(outputs)
            return list(outputs.values())

        signature = [self._signature(spec, axes if self._retraced else {}) for spec in self.inputs]
        function = self._tf.function(flat)
        with guarded(f"{self.name} can't be converted"):
            captured = _captured(function.get_concrete_function(*signature))

        def convert(opset: int) -> Any:
            proto, weights = self._tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)
            return _constants(proto, captured), weights

        model = written(convert, opset, names, lambda: self._outputs, self.name)
        return name_axes(model, axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """See `Source`."""
        with guarded(f"{self.name} does not take these inputs"):
            outputs = self._call({spec.name: self._tf.constant(feeds[spec.name]) for spec in self.inputs})
            return tuple(by_name(outputs).values())

    def _signature(self, spec: TensorSpec, axes: Axes) -> Any:
        free = axes.get(spec.name, {})
        if spec.shape is None:
            raise ConvertError(
                f"{self.name}: {spec.name} has no rank in the source; save it with a signature of shapes"
            )
        shape = [None if axis in free or not isinstance(size, int) else size for axis, size in enumerate(spec.shape)]
        return self._tf.TensorSpec(shape, _dtype(self._tf, spec.dtype))


def _captured(function: Any) -> dict[str, Array]:
    """Constants that a function of TensorFlow's holds as inputs, by their names there; variables are not among them."""
    return {
        inner.op.name: np.asarray(outer.numpy())
        for outer, inner in function.graph.captures
        if hasattr(outer, "numpy") and inner.dtype.name not in ("resource", "string")
    }


def _constants(proto: onnx.ModelProto, captured: Mapping[str, Array]) -> onnx.ModelProto:
    """tf2onnx leaves captured constants among the inputs; make them weights."""
    graph = proto.graph
    for value in [value for value in graph.input if value.name.partition(":")[0] in captured]:
        graph.input.remove(value)
        graph.initializer.append(onnx.numpy_helper.from_array(captured[value.name.partition(":")[0]], value.name))
    return proto


def _reason(error: BaseException) -> str:
    text = told(error)
    if "incompatible with expected resource" in text:
        operator = text.partition(" was passed")[0].rpartition("/")[2]
        return f"it changes a variable while it runs ({operator}), and an ONNX model keeps no state; hand it in and out"
    return text


def tensor_spec(name: str, tensor: Any) -> TensorSpec:
    """Of a tensor or a spec of TensorFlow's or Keras'."""
    dtype = getattr(tensor.dtype, "name", tensor.dtype)
    shape = getattr(tensor.shape, "rank", 0) is not None and tuple(tensor.shape)
    return TensorSpec(name, "str" if dtype == "string" else str(dtype), None if shape is False else shape)


def _dtype(tf: ModuleType, name: str) -> Any:
    return tf.string if name == "str" else tf.as_dtype(name)
