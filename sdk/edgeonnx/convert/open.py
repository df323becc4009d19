"""Opening a source: by what a path ends in, or by what an object is."""

import os
from pathlib import Path
from typing import Any

from edgeonnx.convert.source import Source
from edgeonnx.errors import ConvertError
from edgeonnx.userfile import is_reference, load_function

_KERAS = (".keras", ".h5", ".hdf5")
_PICKLES = (".pkl", ".pickle", ".joblib")
_KNOWN = (
    "a .pt2 program, a SavedModel folder, .keras, .h5, .tflite, .skops, a pickle, .onnx, or FILE.py:FUNC that returns "
    "a model and its example inputs"
)
_HINTS = {
    ".pt": "it holds weights or a pickled module; give FILE.py:FUNC that builds the module and loads them, or save a "
    "program with torch.export.save(..., 'model.pt2')",
    ".pb": "a graph alone says neither its inputs nor its outputs; save a SavedModel and give its folder",
    ".safetensors": "it holds weights alone; give FILE.py:FUNC that builds the model and loads them",
    ".ckpt": "it holds weights alone; give FILE.py:FUNC that builds the model and loads them",
}


def open_source(
    source: str | os.PathLike[str] | object, examples: object = None, trust: bool = False, signature: str | None = None
) -> Source:
    """A model of another framework, ready to be converted.

    Args:
        source: a path, `FILE.py:FUNC`, or a model: a `torch.nn.Module`, a Keras model, a scikit-learn estimator, or a
            function on JAX arrays.
        examples: example inputs of a model: a tuple, or a dict by name.
        trust: whether files may be loaded that can run code.
        signature: of a SavedModel or a TFLite model with several.

    Raises:
        ConvertError: there is no such file, it is of no known kind, it is not trusted, or what it is opened with is
            not installed.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _from_object(source, examples, type(source).__name__)
    text = os.fspath(source)
    if is_reference(text):
        function = load_function(text, ConvertError)
        made = function()
        model, examples = made if isinstance(made, tuple) and len(made) == 2 else (made, examples)
        return _from_object(model, examples, function.label)
    return _from_path(Path(text), examples, trust, signature)


def _from_path(path: Path, examples: object, trust: bool, signature: str | None) -> Source:
    if path.is_dir():
        if not any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise ConvertError(f"{path}: expected a SavedModel, got a folder without saved_model.pb")
        from edgeonnx.convert.savedmodel import SavedModel

        return SavedModel(path, signature)
    if not path.exists():
        raise ConvertError(f"{path} does not exist; give {_KNOWN}")
    return _from_file(path, examples, trust, signature)


def _from_file(path: Path, examples: object, trust: bool, signature: str | None) -> Source:
    """Frameworks are imported as they are needed: each takes seconds, and may not be installed."""
    match path.suffix.lower():
        case ".onnx":
            from edgeonnx.convert.onnx import Onnx

            return Onnx(path)
        case ".pt2":
            from edgeonnx.convert.pytorch import Program

            return Program(path, trust)
        case ".tflite" | ".lite":
            from edgeonnx.convert.tflite import TFLite

            return TFLite(path, signature)
        case suffix if suffix in _KERAS:
            from edgeonnx.convert.keras import load_keras

            return load_keras(path, trust)
        case ".skops":
            from edgeonnx.convert.pickles import open_skops

            return open_skops(path, examples, trust)
        case suffix if suffix in _PICKLES:
            from edgeonnx.convert.pickles import open_pickle

            return open_pickle(path, examples, trust)
    hint = _HINTS.get({".pth": ".pt", ".bin": ".pt"}.get(path.suffix.lower(), path.suffix.lower()))
    raise ConvertError(f"{path}: {hint}" if hint else f"{path}: expected {_KNOWN}, got {path.name}")


def _from_object(model: Any, examples: object, name: str) -> Source:
    """A model by the packages that its classes come from: none is imported that is not in use."""
    origins = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if "torch" in origins:
        from edgeonnx.convert.pytorch import Module

        return Module(model, _wanted(examples, name), name)
    if origins & {"keras", "tf_keras"}:
        from edgeonnx.convert.keras import Keras

        return Keras(model, examples, name)
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        from edgeonnx.convert.sklearn import Estimator

        return Estimator(model, examples, name)
    if callable(model):
        from edgeonnx.convert.jax import Function

        return Function(model, _wanted(examples, name), name)
    raise ConvertError(
        f"{name}: expected a torch.nn.Module, a Keras model, a scikit-learn estimator or a function on JAX arrays, and "
        f"its example inputs, got {type(model).__name__}"
    )


def _wanted(examples: object, name: str) -> object:
    if examples is None:
        raise ConvertError(f"{name}: expected example inputs beside the model; return (model, (array, ...))")
    return examples
