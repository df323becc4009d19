"""Graphs as exporters write them, with everything spelled out that a framework has a word for; built without one."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Size = int | str


class Builder:
    """Collects nodes; `op` returns the name of a node's first output. Weights are seeded."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        name = f"/{kind}_{len(self._nodes)}"
        outs = [f"{name}_out{n}" for n in range(outputs)]
        self._nodes.append(helper.make_node(kind, inputs, outs, name, **attributes))
        return outs[0]

    def number(self, value: object, dtype: type = np.float32) -> str:
        """A constant in a node, as exporters write them: each time anew."""
        return self.op("Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def weight(self, *shape: int) -> str:
        """A weight that keeps the magnitude of what it is applied to."""
        fan = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.array(self._random.standard_normal(shape) / np.sqrt(fan))

    def array(self, values: np.ndarray) -> str:
        name = f"weight.{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def size(self, x: str, axis: int) -> str:
        """One dimension of a tensor, shape (1,)."""
        picked = self.op("Gather", self.op("Shape", x), self.number(axis, np.int64), axis=0)
        return self.op("Unsqueeze", picked, self.number([0], np.int64))

    def reshape(self, x: str, *sizes: str | int) -> str:
        parts = [size if isinstance(size, str) else self.number([size], np.int64) for size in sizes]
        return self.op("Reshape", x, self.op("Concat", *parts, axis=0))

    def model(self, inputs: Mapping[str, Sequence[Size]], y: str, shape: Sequence[Size]) -> onnx.ModelProto:
        self._nodes.append(helper.make_node("Identity", [y], ["y"], "/output"))
        ins = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name, sizes in inputs.items()]
        outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self._nodes, "exported", ins, outs, self._weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made


def transformer(width: int = 128, heads: int = 4, layers: int = 3) -> onnx.ModelProto:
    """Free batch and length: shapes computed at every Reshape, normalization and GELU in parts, Dropouts left in."""
    b, x = Builder(), "x"
    for _ in range(layers):
        attended = b.op("Add", x, b.op("Dropout", _attention(b, _norm(b, x, width), width, heads)))
        x = b.op("Add", attended, b.op("Dropout", _feed_forward(b, _norm(b, attended, width), width)))
    return b.model({"x": ("batch", "length", width)}, _norm(b, x, width), ("batch", "length", width))


def _norm(b: Builder, x: str, width: int) -> str:
    centred = b.op("Sub", x, b.op("ReduceMean", x, axes=[-1]))
    variance = b.op("ReduceMean", b.op("Pow", centred, b.number(2)), axes=[-1])
    scaled = b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, b.number(1e-5))))
    return b.op("Add", b.op("Mul", scaled, b.array(np.full(width, 1.1))), b.array(np.full(width, 0.1)))


def _attention(b: Builder, x: str, width: int, heads: int) -> str:
    batch, length, depth = b.size(x, 0), b.size(x, 1), width // heads
    parts = []
    for _ in range(3):
        made = b.op("Add", b.op("MatMul", x, b.weight(width, width)), b.array(np.full(width, 0.01)))
        parts.append(b.op("Transpose", b.reshape(made, batch, length, heads, depth), perm=[0, 2, 1, 3]))
    query, key, value = parts
    scores = b.op("MatMul", query, b.op("Transpose", key, perm=[0, 1, 3, 2]))
    root = b.op("Sqrt", b.op("Cast", b.number(depth, np.int64), to=TensorProto.FLOAT))
    shares = b.op("Dropout", b.op("Softmax", b.op("Div", scores, root), axis=-1))
    context = b.op("Transpose", b.op("MatMul", shares, value), perm=[0, 2, 1, 3])
    merged = b.reshape(context, b.size(context, 0), b.size(context, 1), width)
    return b.op("Add", b.op("MatMul", merged, b.weight(width, width)), b.array(np.zeros(width)))


def _feed_forward(b: Builder, x: str, width: int) -> str:
    wide = b.op("Add", b.op("MatMul", x, b.weight(width, 4 * width)), b.array(np.zeros(4 * width)))
    tail = b.op("Add", b.op("Erf", b.op("Div", wide, b.number(np.sqrt(2)))), b.number(1))
    gelu = b.op("Mul", b.op("Mul", wide, tail), b.number(0.5))
    return b.op("Add", b.op("MatMul", gelu, b.weight(4 * width, width)), b.array(np.zeros(width)))


def convolutions(channels: int = 32, blocks: int = 4) -> onnx.ModelProto:
    """Normalizations and scales beside their Convs, Pads apart, activations in parts, twins, Identities, Dropout."""
    b = Builder()
    x = _swish(b, _conv(b, "x", 3, channels))
    for _ in range(blocks):
        inner = _hard_swish(b, _conv(b, b.op("Identity", x), channels, channels))
        scaled = b.op("Mul", inner, b.array(np.full((1, channels, 1, 1), 0.9)))
        again = _hard_swish(b, _conv(b, scaled, channels, channels, groups=channels))
        x = b.op("Add", b.op("Cast", again, to=TensorProto.FLOAT), x)
        # Twice the same, as frameworks that trace write it.
        gates = [b.op("Sigmoid", b.op("GlobalAveragePool", x)) for _ in range(2)]
        x = b.op("Mul", x, b.op("Mul", *gates))
    pooled = b.op("ReduceMean", x, axes=[2, 3], keepdims=1)
    flat = b.op("Dropout", b.reshape(pooled, b.size(pooled, 0), -1))
    scores = b.op("Add", b.op("MatMul", flat, b.weight(channels, 10)), b.array(np.arange(10)))
    return b.model({"x": ("batch", 3, 48, 48)}, scores, ("batch", 10))


def _conv(b: Builder, x: str, old: int, new: int, groups: int = 1) -> str:
    padded = b.op("Pad", x, b.number([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    made = b.op("Conv", padded, b.weight(new, old // groups, 3, 3), group=groups)
    values = [np.full(new, number) for number in (1.2, 0.1, 0.05, 0.8)]
    return b.op("BatchNormalization", made, *map(b.array, values))


def _hard_swish(b: Builder, x: str) -> str:
    gate = b.op("Clip", b.op("Add", x, b.number(3)), b.number(0), b.number(6))
    return b.op("Div", b.op("Mul", x, gate), b.number(6))


def _swish(b: Builder, x: str) -> str:
    return b.op("Mul", x, b.op("Sigmoid", x))


def channels_last(channels: int = 24, blocks: int = 4) -> onnx.ModelProto:
    """As converted from a framework of the other layout: Transposes around every Conv, sizes of Resize computed."""
    b, x, old = Builder(), "x", 3
    for _ in range(blocks):
        turned = b.op("Transpose", x, perm=[0, 3, 1, 2])
        made = b.op("Transpose", _conv(b, turned, old, channels), perm=[0, 2, 3, 1])
        x, old = b.op("Relu", b.op("Mul", made, b.array(np.full(channels, 0.7)))), channels
    turned = b.op("Transpose", x, perm=[0, 3, 1, 2])
    corner = b.op("Slice", b.op("Shape", turned), b.number([0], np.int64), b.number([2], np.int64))
    edge = b.op("Slice", b.op("Shape", turned), b.number([2], np.int64), b.number([4], np.int64))
    doubled = b.op("Mul", edge, b.number([2, 2], np.int64))
    larger = b.op("Resize", turned, "", "", b.op("Concat", corner, doubled, axis=0), mode="nearest")
    back = b.op("Transpose", larger, perm=[0, 2, 3, 1])
    out = b.op("Squeeze", b.op("Unsqueeze", back, b.number([0], np.int64)), b.number([0], np.int64))
    return b.model({"x": ("batch", 32, 32, 3)}, out, ("batch", 64, 64, channels))
