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
_WEIGHTS = "it holds weights alone; give FILE.py:FUNC that builds the model and loads them"
_BOOSTER = (
    "a booster alone; give FILE.py:FUNC that returns its scikit-learn estimator, with its converter of onnxmltools "
    "registered: see docs/convert.md"
)
_PACKED = "unpack it first"
_HINTS = {
    ".pt": "it holds weights or a pickled module; give FILE.py:FUNC that builds the module and loads them, or save a "
    "program with torch.export.save(..., 'model.pt2')",
    ".pb": "a graph alone says neither its inputs nor its outputs; save a SavedModel and give its folder",
    ".mlmodel": "Core ML models have no exporter to ONNX; give the model that it was made from",
    ".ort": "onnxruntime's own format can't be turned back; give the .onnx that it was made from",
    **dict.fromkeys((".safetensors", ".ckpt", ".index", ".gguf", ".npz", ".weights"), _WEIGHTS),
    **dict.fromkeys((".bst", ".ubj", ".cbm"), _BOOSTER),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz"), _PACKED),
}
_SAME = {".pth": ".pt", ".bin": ".pt", ".mlpackage": ".mlmodel"}
_SIGNED = (".tflite", ".lite")


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
    path = None if not isinstance(source, (str, os.PathLike)) else Path(source)
    if signature is not None and not (path and (path.is_dir() or path.suffix.lower() in _SIGNED)):
        raise ConvertError(f"signature: SavedModels and TFLite models alone have some; leave {signature!r} out")
    if path is None:
        return _from_object(source, examples, type(source).__name__)
    text = os.fspath(path)
    if is_reference(text):
        function = load_function(text, ConvertError)
        made = function()
        model, examples = made if isinstance(made, tuple) and len(made) == 2 else (made, examples)
        return _from_object(model, examples, function.label)
    return _from_path(Path(text), examples, trust, signature)


def _from_path(path: Path, examples: object, trust: bool, signature: str | None) -> Source:
    if path.is_dir():
        _check_folder(path)
        from edgeonnx.convert.savedmodel import SavedModel

        return SavedModel(path, signature)
    if not path.exists():
        raise ConvertError(f"{path} does not exist; give {_KNOWN}")
    if not path.stat().st_size:
        raise ConvertError(f"{path} is empty; copy or export it again")
    return _from_file(path, examples, trust, signature)


def _check_folder(path: Path) -> None:
    """See that a folder is a SavedModel.

    Raises:
        ConvertError: it is not.
    """
    if any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
        return
    if (path / "config.json").is_file():
        raise ConvertError(
            f"{path}: a Hugging Face folder holds weights and settings, no program; give FILE.py:FUNC that loads it "
            "with from_pretrained and returns it with example inputs"
        )
    hint = _hint(path) or "expected a SavedModel, got a folder without saved_model.pb"
    raise ConvertError(f"{path}: {hint}")


def _hint(path: Path) -> str | None:
    """What to give in place of a file or folder that can't be converted."""
    suffix = path.suffix.lower()
    return _HINTS.get(_SAME.get(suffix, suffix))


def _from_file(path: Path, examples: object, trust: bool, signature: str | None) -> Source:
    """Frameworks are imported as they are needed: each takes seconds, and may not be installed."""
    match path.suffix.lower():
        case ".onnx":
            from edgeonnx.convert.onnx import Onnx

            return Onnx(path)
        case ".pt2":
            from edgeonnx.convert.program import load_program

            return load_program(path, trust)
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
    raise ConvertError(f"{path}: {_hint(path) or f'expected {_KNOWN}, got {path.name}'}")


def _from_object(model: Any, examples: object, name: str) -> Source:
    """A model by the packages that its classes come from: none is imported that is not in use."""
    origins = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    if isinstance(model, type):
        raise ConvertError(f"{name}: expected a model, got the class {model.__name__}; return an instance of it")
    if "torch" in origins and hasattr(model, "call_spec"):
        from edgeonnx.convert.program import Program

        return Program(model, name)
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
        return _from_function(model, _wanted(examples, name), name)
    kind = "weights (a state_dict); build the module and load them" if _is_state(model) else _kind(model)
    raise ConvertError(
        f"{name}: expected a torch.nn.Module, a Keras model, a scikit-learn estimator or a function on JAX arrays, and "
        f"its example inputs, got {kind}"
    )


def _from_function(function: Any, examples: object, name: str) -> Source:
    """A function on JAX arrays; PyTorch takes no bare functions."""
    given = list(examples.values()) if isinstance(examples, dict) else examples
    if any(type(one).__module__ == "torch" for one in (given if isinstance(given, (tuple, list)) else [given])):
        raise ConvertError(
            f"{name}: expected a torch.nn.Module with these example inputs, got a function; call it in one's forward"
        )
    from edgeonnx.convert.jax import Function

    return Function(function, examples, name)


def _is_state(model: object) -> bool:
    return isinstance(model, dict) and bool(model) and all(type(one).__module__ == "torch" for one in model.values())


def _kind(model: object) -> str:
    """A type for people; of a tuple or list, what is in it."""
    if isinstance(model, (tuple, list)):
        return f"a {type(model).__name__} of {', '.join(type(one).__name__ for one in model) or 'nothing'}"
    return type(model).__name__


def _wanted(examples: object, name: str) -> object:
    if examples is None:
        raise ConvertError(f"{name}: expected example inputs beside the model; return (model, (array, ...))")
    return examples
