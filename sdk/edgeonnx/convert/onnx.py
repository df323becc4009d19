"""ONNX: nothing to convert; what is checked is that it is valid and that onnxruntime takes it."""

from pathlib import Path

from edgeonnx.convert.axes import Axes, name_axes
from edgeonnx.convert.source import Array, Feeds
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model


class Onnx:
    """An `.onnx` file, passed through.

    Args:
        path: the file.

    Raises:
        ModelError: it is not ONNX.
    """

    framework = "ONNX"
    exporter = "none"
    steps = 0

    def __init__(self, path: Path) -> None:
        self._model = Model.load(path)
        self.name = path.name
        self.inputs = self._model.inputs
        self.notes = ("it is ONNX already: nothing was converted, so there is nothing to compare it with",)

    def examples(self) -> Feeds | None:
        """None come with it."""
        return None

    def export(self, opset: int | None, axes: Axes) -> Model:
        """The model itself, its free axes named.

        Raises:
            ConvertError: another opset than its own is asked for, or an axis that is fixed is to be free.
        """
        if opset not in (None, self._model.opset):
            raise ConvertError(
                f"{self.name} is ONNX already, of opset {self._model.opset}; leave --opset out, or export it from its "
                f"source with opset {opset}"
            )
        return name_axes(self._model, axes) if axes else self._model

    def run(self, feeds: Feeds) -> tuple[Array, ...]:
        """There is no other framework."""
        raise NotImplementedError
