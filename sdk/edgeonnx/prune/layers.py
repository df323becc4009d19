"""Linear layers, as what they are to least squares: rows of features times a matrix, plus an offset."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeonnx.graph import STANDARD, constant, operand
from edgeonnx.prune.trace import Shape, is_weight

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """A Conv, ConvTranspose, Gemm or MatMul whose weights are its own.

    Attributes:
        node: its name.
        kind: its operator.
        data: name of the tensor that it reads.
        output: name of the tensor that it makes.
        weight: name of its weight.
        bias: name of the initializer that is added to what it makes; None: none is.
        transposed: whether a Gemm's weight is of shape (outputs, inputs).
        groups: of a Conv.
        shape: of the weight.
        window: of a Conv or ConvTranspose.
    """

    node: str
    kind: str
    data: str
    output: str
    weight: str
    bias: str | None
    transposed: bool
    groups: int
    shape: Shape
    window: "Window | None" = None

    @cached_property
    def taps(self) -> int:
        """Features of one channel: positions of a Conv's kernel."""
        return 1 if self.window is None else prod(self.shape[2:])

    @property
    def features(self) -> int:
        """Of one group: channels times taps."""
        return self.shape[1 if self.kind == "Conv" or self.transposed else 0] * self.taps

    @property
    def outputs(self) -> int:
        """Of all groups."""
        return self.shape[0] if self.kind == "Conv" or self.transposed else self.shape[1]

    def matrices(self, weight: np.ndarray) -> Floats:
        """A weight as matrices, shape (groups, features, outputs of a group)."""
        if self.kind == "Conv":
            return np.asarray(weight.reshape(self.groups, -1, self.features).transpose(0, 2, 1), np.float64)
        if self.kind == "ConvTranspose":
            return np.asarray(np.moveaxis(weight, 1, -1).reshape(1, self.features, -1), np.float64)
        return np.asarray((weight.T if self.transposed else weight)[None], np.float64)

    def weight_of(self, matrices: Floats) -> np.ndarray:
        """The inverse of `matrices`, in float64."""
        if self.kind == "Conv":
            return np.asarray(matrices.transpose(0, 2, 1).reshape(self.shape))
        if self.kind == "ConvTranspose":
            inputs, outputs, *kernel = self.shape
            return np.asarray(np.moveaxis(matrices[0].reshape(inputs, *kernel, outputs), -1, 1))
        return np.asarray(matrices[0].T if self.transposed else matrices[0])

    def rows(self, data: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """Features of some positions of its input.

        Args:
            data: its input.
            picks: which positions of the output, counted over all but its channels, shape (n,).

        Returns:
            float32 of shape (groups, n, features).
        """
        if self.window is None:
            return np.asarray(data.reshape(-1, self.features)[picks][None], np.float32)
        patches = self.window.patches(data, picks)
        return np.asarray(patches.reshape(len(picks), self.groups, self.features).transpose(1, 0, 2), np.float32)

    def targets(self, output: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """Some positions of its output, float32 of shape (n, outputs)."""
        last = output if self.window is None else np.moveaxis(output, 1, -1)
        return np.asarray(last.reshape(-1, self.outputs)[picks], np.float32)


@dataclass(frozen=True)
class Window:
    """How a convolution looks at its input; sizes along the spatial axes.

    Attributes:
        kernel: size.
        strides: of it.
        dilations: of it.
        begins: what is padded before the input.
        sizes: of the output.
        transposed: whether strides are those of the output: a kernel's position sees an input where one lies.
    """

    kernel: Shape
    strides: Shape
    dilations: Shape
    begins: Shape
    sizes: Shape
    transposed: bool = False

    def patches(self, data: np.ndarray, picks: np.ndarray) -> np.ndarray:
        """What the kernel sees at some positions, shape (n, channels, *kernel)."""
        batch, *places = np.unravel_index(picks, (len(data), *self.sizes))
        inside = np.ones((len(picks), *self.kernel), bool)
        indexes = []
        for axis, place in enumerate(places):
            index, seen = self._seen(axis, place)
            shape = (len(picks), *(-1 if other == axis else 1 for other in range(len(self.kernel))))
            index, size = index.reshape(shape), data.shape[2 + axis]
            inside &= (index >= 0) & (index < size) & seen.reshape(shape)
            indexes.append(np.clip(index, 0, size - 1))
        batch = batch.reshape(-1, *[1] * len(self.kernel))
        found = np.moveaxis(data, 1, -1)[(batch, *indexes)]
        return np.moveaxis(np.where(inside[..., None], found, 0), -1, 1)

    def _seen(self, axis: int, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each position of the kernel looks along an axis, and whether there can be an input, (n, kernel)."""
        taps = np.arange(self.kernel[axis]) * self.dilations[axis]
        if not self.transposed:
            index = place[:, None] * self.strides[axis] - self.begins[axis] + taps
            return index, np.ones(index.shape, bool)
        index, rest = np.divmod(place[:, None] + self.begins[axis] - taps, self.strides[axis])
        return index, rest == 0


def linear_layers(graph: ir.Graph, shapes: Mapping[str, Shape]) -> tuple[Layer, ...]:
    """The linear layers of a graph that are refitted, in its order.

    Those whose weights nobody else reads, and that compute a plain product: a Gemm of alpha and beta 1 that does not
    read its input transposed, a MatMul with a matrix on its right, a ConvTranspose without groups whose padding is
    written down.
    """
    found = (_layer(node, shapes) for node in graph if node.domain in STANDARD and node.op_type in _MAKERS)
    return tuple(layer for layer in found if layer is not None)


def _layer(node: ir.Node, shapes: Mapping[str, Shape]) -> Layer | None:
    data, weight = node.inputs[0], node.inputs[1]
    if data is None or weight is None or not _own(weight) or is_weight(data) or data.name not in shapes:
        return None
    return _MAKERS[node.op_type](node, shapes)


def _own(value: ir.Value | None) -> bool:
    return value is not None and is_weight(value) and len(value.uses()) == 1 and not value.is_graph_output()


def _conv(node: ir.Node, shapes: Mapping[str, Shape]) -> Layer | None:
    bias = operand(node, 2)
    if bias is not None and not _own(bias):
        return None
    sizes, made = (shapes["" if v is None else v.name or ""][2:] for v in (node.inputs[0], node.outputs[0]))
    window = _window(node, _shape(node.inputs[1])[2:], sizes, made, len(sizes))
    return _made(node, bias, groups=node.attributes.get_int("group", 1), window=window)


def _conv_transpose(node: ir.Node, shapes: Mapping[str, Shape]) -> Layer | None:
    bias = operand(node, 2)
    automatic = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes
    if (bias is not None and not _own(bias)) or automatic or node.attributes.get_int("group", 1) > 1:
        return None
    sizes, made = (shapes["" if v is None else v.name or ""][2:] for v in (node.inputs[0], node.outputs[0]))
    window = _window(node, _shape(node.inputs[1])[2:], sizes, made, len(sizes))
    return _made(node, bias, window=replace(window, transposed=True))


def _window(node: ir.Node, kernel: Shape, size: Shape, made: Shape, rank: int) -> Window:
    def sizes(name: str) -> Shape:
        return tuple(node.attributes.get_ints(name, [1] * rank))

    strides, dilations = sizes("strides"), sizes("dilations")
    begins = tuple(node.attributes.get_ints("pads", [0] * 2 * rank))[:rank]
    automatic = node.attributes.get_string("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        whole = [max(0, (made[a] - 1) * strides[a] + (kernel[a] - 1) * dilations[a] + 1 - size[a]) for a in range(rank)]
        begins = tuple((pad + (automatic == "SAME_LOWER")) // 2 for pad in whole)
    return Window(kernel, strides, dilations, begins, made)


def _gemm(node: ir.Node, _shapes: Mapping[str, Shape]) -> Layer | None:
    bias = operand(node, 2)
    scaled = node.attributes.get_float("alpha", 1.0) != 1 or node.attributes.get_float("beta", 1.0) != 1
    transposed = node.attributes.get_int("transB", 0) == 1
    shape = _shape(node.inputs[1])
    outputs = shape[0] if transposed else shape[1]
    plain = bias is None or (_own(bias) and _shape(bias) == (outputs,))
    if scaled or node.attributes.get_int("transA", 0) == 1 or not plain:
        return None
    return _made(node, bias, transposed=transposed)


def _matmul(node: ir.Node, shapes: Mapping[str, Shape]) -> Layer | None:
    data, shape = node.inputs[0], _shape(node.inputs[1])
    if data is None or len(shape) != 2 or len(shapes[data.name or ""]) < 2:
        return None
    return _made(node, _added(node, shape[1]))


def _added(node: ir.Node, outputs: int) -> ir.Value | None:
    """The bias that an Add behind a MatMul adds."""
    uses = list(node.outputs[0].uses())
    reader = uses[0].node if len(uses) == 1 and not node.outputs[0].is_graph_output() else None
    if reader is None or reader.op_type != "Add" or reader.domain not in STANDARD:
        return None
    others = [value for value in reader.inputs if value is not node.outputs[0]]
    return next((value for value in others if value is not None and _own(value) and _shape(value) == (outputs,)), None)


def _made(
    node: ir.Node, bias: ir.Value | None, transposed: bool = False, groups: int = 1, window: Window | None = None
) -> Layer:
    data, weight = node.inputs[0], node.inputs[1]
    assert data is not None
    assert weight is not None
    return Layer(
        node=node.name or "",
        kind=node.op_type,
        data=data.name or "",
        output=node.outputs[0].name or "",
        weight=weight.name or "",
        bias=None if bias is None else bias.name,
        transposed=transposed,
        groups=groups,
        shape=_shape(weight),
        window=window,
    )


def _shape(value: ir.Value | None) -> Shape:
    array = constant(value)
    assert array is not None
    return array.shape


_MAKERS = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul}
