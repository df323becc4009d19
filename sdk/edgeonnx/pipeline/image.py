"""From a picture, height x width x channels uint8, to a model's input, in standard ONNX operators."""

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.spec import ImageInput


def picture_spec(tensor: TensorSpec, image: ImageInput) -> TensorSpec:
    """The picture that becomes `tensor`; its size is free where a resize follows or the model leaves it free."""
    height, width = (_size(tensor, image, axis) for axis in ("height", "width"))
    return TensorSpec(tensor.name, "uint8", (height, width, image.channels))


def prepare(tensor: TensorSpec, image: ImageInput) -> tuple[ir.Value, list[ir.Node]]:
    """The picture input, and the nodes that follow it; the last one's output is what the model takes.

    Args:
        tensor: the model's input, shape (1, C, H, W) or (1, H, W, C).
        image: its declaration, checked by `check_image`.
    """
    spec = picture_spec(tensor, image)
    picture = ir.Value(name=spec.name, type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape(spec.shape or ()))
    steps = _Steps(tensor.name, picture)
    steps.add("Cast", {"to": ir.DataType.FLOAT})
    steps.add("Transpose", {"perm": [2, 0, 1]})
    steps.add("Unsqueeze", {}, np.array([0], np.int64))
    if image.resize is not None:
        sizes = np.array([1, image.channels, image.resize.height, image.resize.width], np.int64)
        mode = {"bilinear": "linear", "nearest": "nearest"}[image.resize.interpolation]
        steps.add("Resize", {"mode": mode, "coordinate_transformation_mode": "half_pixel"}, None, None, sizes)
    factor, summand = _affine(image)
    steps.add("Mul", {}, factor)
    if summand.any():
        steps.add("Add", {}, summand)
    if image.layout == "NHWC":
        steps.add("Transpose", {"perm": [0, 2, 3, 1]})
    if tensor.dtype == "uint8":  # a Cast alone cuts fractions off, and leaves open what lies outside 0..255
        steps.add("Round", {})
        steps.add("Clip", {}, np.array(0, np.float32), np.array(255, np.float32))
    if tensor.dtype != "float32":
        steps.add("Cast", {"to": ir.DataType.from_numpy(np.dtype(tensor.dtype))})
    return picture, steps.nodes


def check_image(tensor: TensorSpec, image: ImageInput) -> None:
    """See that a picture can become this input.

    Raises:
        PipelineError: rank, type, batch, channels or size differ (expected and got).
    """
    where = f"input.{tensor.name}"
    if tensor.shape is None or len(tensor.shape) != 4:
        raise PipelineError(f"{where}: a picture becomes an input of 4 axes, the model has {tensor}")
    if tensor.dtype not in ("float32", "float16", "uint8"):
        raise PipelineError(f"{where}: a picture becomes float32, float16 or uint8, the model has {tensor}")
    if isinstance(tensor.shape[0], int) and tensor.shape[0] != 1:
        raise PipelineError(f"{where}: pictures come one at a time, the model has {tensor}")
    _check_axis(tensor, image, "channels", image.channels, f"color = {image.color}")
    if image.resize is not None:
        _check_axis(tensor, image, "height", image.resize.height, "resize.height")
        _check_axis(tensor, image, "width", image.resize.width, "resize.width")


def _check_axis(tensor: TensorSpec, image: ImageInput, axis: str, given: int, field: str) -> None:
    wanted = _on_axis(tensor, image, axis)
    if isinstance(wanted, int) and wanted != given:
        raise PipelineError(
            f"input.{tensor.name}: {field}, layout {image.layout}: expected {wanted} {axis}, got {given} ({tensor})"
        )


def _on_axis(tensor: TensorSpec, image: ImageInput, axis: str) -> int | str | None:
    order = (
        ("batch", "height", "width", "channels")
        if image.layout == "NHWC"
        else (
            "batch",
            "channels",
            "height",
            "width",
        )
    )
    assert tensor.shape is not None
    return tensor.shape[order.index(axis)]


def _size(tensor: TensorSpec, image: ImageInput, axis: str) -> int | str:
    size = None if image.resize is not None else _on_axis(tensor, image, axis)
    return size if isinstance(size, int) else f"{tensor.name}_{axis}"


def _affine(image: ImageInput) -> tuple[np.ndarray, np.ndarray]:
    """Factor and summand that carry out `normalize`: float32, shape (1, 1 or C, 1, 1)."""
    std = np.array(image.normalize.std, np.float64).reshape(1, -1, 1, 1)
    mean = np.array(image.normalize.mean, np.float64).reshape(1, -1, 1, 1)
    return (1 / (image.normalize.scale * std)).astype(np.float32), (-mean / std).astype(np.float32)


class _Steps:
    """A chain of nodes, each reading the one before it; constants stand in nodes of their own."""

    def __init__(self, name: str, start: ir.Value) -> None:
        self.nodes: list[ir.Node] = []
        self._name = name
        self._last = start

    def add(self, op_type: str, attributes: dict[str, object], *constants: np.ndarray | None) -> None:
        inputs = [self._last, *(None if value is None else self._constant(value) for value in constants)]
        self._last = self._append(op_type, inputs, attributes)

    def _constant(self, value: np.ndarray) -> ir.Value:
        return self._append("Constant", [], {"value": ir.tensor(value)})

    def _append(self, op_type: str, inputs: list[ir.Value | None], attributes: dict[str, object]) -> ir.Value:
        name = f"pipeline.{self._name}.{len(self.nodes)}.{op_type.lower()}"
        node = ir.node(op_type, inputs, attributes, name=name)  # type: ignore[arg-type]
        node.outputs[0].name = f"{name}.out"
        self.nodes.append(node)
        return node.outputs[0]
