"""Keras 3 models on TensorFlow: from `.keras` and `.h5` files, or built by the user's code.

https://keras.io/api/models/model_saving_apis/
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeonnx.convert._tensorflow import Graph, tensor_spec, tensorflow
from edgeonnx.convert.source import Feeds, guarded, need, release
from edgeonnx.errors import ConvertError
from edgeonnx.model import TensorSpec
from edgeonnx.userfile import told

_MADE_UP = re.compile(r"keras_tensor(_\d+)?")


def load_keras(path: Path, trust: bool) -> "Keras":
    """A model from a file.

    Args:
        path: `.keras`, or `.h5` of Keras 2 or 3.
        trust: whether Lambda layers, which are code, may be run.

    Raises:
        ConvertError: it holds code and is not trusted, needs classes that are not registered, or can't be read.
    """
    tensorflow()
    (keras,) = need("tensorflow", "keras")
    with guarded(f"{path} can't be read as a Keras model", _load_reason):
        model = keras.saving.load_model(path, compile=False, safe_mode=not trust)
    return Keras(model, None, path.name)


class Keras(Graph):
    """A Keras model.

    Args:
        model: functional or sequential; or any other that was built, with examples.
        examples: its inputs: an array, a tuple, or a dict by name; None: as the model declares them.
        name: file or class, for messages.

    Raises:
        ConvertError: its inputs are not known, or Keras runs on another backend than TensorFlow.
    """

    def __init__(self, model: Any, examples: object, name: str) -> None:
        tensorflow()
        (keras,) = need("tensorflow", "keras")
        if keras.backend.backend() != "tensorflow":
            raise ConvertError(
                f"{name}: expected Keras on TensorFlow, got {keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
            )
        self._keras, self._model, self._given = keras, model, _given(examples)
        super().__init__(name, _inputs(model, self._given, name), self._called, retraced=True)
        self.framework = f"{release('Keras', 'keras')}, {self.framework}"

    def examples(self) -> Feeds | None:
        """Those given."""
        return self._given

    def _called(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self._model(self._arguments(list(tensors.values())), training=False)
        if isinstance(outputs, Mapping):
            return dict(outputs)
        flat = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        names = getattr(self._model, "output_names", None)
        if names is None and getattr(self._model, "layers", None) and len(flat) == 1:
            names = [self._model.layers[-1].name]
        if names is None or len(names) != len(flat) or len(set(names)) < len(names):
            names = [f"output_{place}" for place in range(len(flat))]
        return dict(zip(names, flat, strict=True))

    def _arguments(self, tensors: list[Any]) -> Any:
        """Inputs in the structure that the model declares; else one alone, or by name."""
        declared = getattr(self._model, "input", None)  # a Sequential has none before it was called
        if declared is not None:
            return self._keras.tree.pack_sequence_as(declared, tensors)
        return tensors[0] if len(tensors) == 1 else dict(zip([spec.name for spec in self.inputs], tensors, strict=True))


def _given(examples: object) -> Feeds | None:
    if examples is None:
        return None
    if isinstance(examples, Mapping):
        return {str(name): np.asarray(array) for name, array in examples.items()}
    arrays = examples if isinstance(examples, (tuple, list)) else (examples,)
    return {f"input_{place}": np.asarray(array) for place, array in enumerate(arrays)}


def _inputs(model: Any, given: Feeds | None, name: str) -> list[TensorSpec]:
    declared = getattr(model, "inputs", None)
    if declared:
        alone = len(declared) == 1
        return [
            tensor_spec(_named(tensor.name, "input" if alone else f"input_{place}"), tensor)
            for place, tensor in enumerate(declared)
        ]
    if given is None:
        raise ConvertError(
            f"{name}: the model does not declare its inputs; give it keras.Input, or FILE.py:FUNC that returns it with "
            "example inputs"
        )
    return [TensorSpec(label, array.dtype.name, (None, *array.shape[1:])) for label, array in given.items()]


def _named(name: str, other: str) -> str:
    """The name of an input, another where Keras made it up: it counts them, so it is another in the next model."""
    return other if _MADE_UP.fullmatch(name) else name


def _load_reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if "safe_mode" in text or "unsafe" in text.lower() or "lambda" in text.lower():
        return "it holds a Lambda layer, which is code; if you know where it comes from, add --trust"
    if "No model config" in text:
        return "it holds weights alone; give FILE.py:FUNC that builds the model and loads them"
    if "custom" in text and "register" in text:
        return f"it has classes of your own; give FILE.py:FUNC that defines and loads it. Keras says: {told(error)}"
    return told(error)
