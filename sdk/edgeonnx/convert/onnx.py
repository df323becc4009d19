"""ONNX: nothing to convert; what is checked is that it is valid and that onnxruntime takes it."""

from pathlib import Path

from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds, Source
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model


class Onnx(Source):
    """An `.onnx` file, passed through.

    Args:
        path: the file.

    Raises:
        ModelError: it is not ONNX.
    """

    framework = "ONNX"
    exporter = None

    def __init__(self, path: Path) -> None:
        self._model = Model.load(path)
        self.name = path.name
        self.inputs, self.opset = self._model.inputs, self._model.opset
        self.notes = ("it is ONNX already: nothing was converted, so there is nothing to compare it with",)

    def export(self, opset: int, axes: Axes) -> Model:
        """The model itself, its free axes named.

        Raises:
            ConvertError: another opset than its own is asked for, or an axis that is fixed is to be free.
        """
        if opset != self.opset:
            raise ConvertError(
                f"{self.name} is ONNX already, of opset {self.opset}; leave --opset out, or export it from its "
                f"source with opset {opset}"
            )
        return name_axes(self._model, axes)

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """There is no other framework."""
        raise NotImplementedError
