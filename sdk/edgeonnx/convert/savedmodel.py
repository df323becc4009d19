"""TensorFlow SavedModels: folders of a graph with signatures.

https://www.tensorflow.org/guide/saved_model
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeonnx.convert._tensorflow import Graph, tensor_spec, tensorflow
from edgeonnx.convert.source import guarded
from edgeonnx.data import near
from edgeonnx.errors import ConvertError

_DEFAULT = "serving_default"


class SavedModel(Graph):
    """One signature of a SavedModel.

    Args:
        path: the folder.
        signature: which; None: `serving_default`, or the only one.

    Raises:
        ConvertError: it can't be read, or there is no such signature.
    """

    def __init__(self, path: Path, signature: str | None) -> None:
        tf, _ = tensorflow()
        with guarded(f"{path} can't be read as a SavedModel"):
            self._loaded = tf.saved_model.load(str(path))  # it owns the variables
            signatures = dict(self._loaded.signatures)
        self._function = chosen(signatures, signature, str(path))
        _, inputs = self._function.structured_input_signature
        specs = [tensor_spec(name, inputs[name]) for name in sorted(inputs)]
        super().__init__(path.name, specs, self._called, retraced=False)

    def _called(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        outputs = self._function(**tensors)
        return {name: outputs[name] for name in sorted(outputs)}


def chosen(signatures: Mapping[str, Any], wanted: str | None, name: str) -> Any:
    """The signature that is wanted, the default one, or the only one.

    Raises:
        ConvertError: there is none such.
    """
    if not signatures:
        raise ConvertError(f"{name}: it has no signatures; save it with signatures=, which say what goes in and out")
    if wanted is None and len(signatures) == 1:
        return next(iter(signatures.values()))
    label = wanted or _DEFAULT
    if label not in signatures:
        hint = near(label, list(signatures)) if wanted else f"choose with --signature: {', '.join(signatures)}"
        raise ConvertError(f"{name}: no signature {label!r}; {hint}")
    return signatures[label]
