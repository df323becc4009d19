"""Random graphs: every tensor has one shape, so that any node may read any other's output."""

from collections.abc import Sequence

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.unit.models import noise, weight

CHANNELS, SIZE = 4, 6
IMAGE = (2, CHANNELS, SIZE, SIZE)
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
# Shapes of constants beside a tensor.
_BESIDE = [(), (1,), (CHANNELS, 1, 1), (1, CHANNELS, 1, 1), (SIZE,), (SIZE, 1), IMAGE]
_ORDERS = [[0, 2, 3, 1], [0, 3, 1, 2], [1, 0, 2, 3], [3, 2, 1, 0], [0, 1, 3, 2], [2, 3, 0, 1]]


class Drawing:
    """A graph in the making. Steps are methods that add nodes; what they add last is of shape IMAGE again.

    Args:
        draw: hypothesis' own.
        opset: that the nodes are written in, 11 or newer.
        unary: operators of one input that keep its shape.
    """

    def __init__(self, draw: st.DrawFn, opset: int, unary: Sequence[str]) -> None:
        self.draw, self.opset, self.unary = draw, opset, unary
        self.tensors, self.nodes, self.weights = ["x"], [], []

    def any(self) -> str:
        return self.draw(st.sampled_from(self.tensors))

    def one_of(self, *choices):
        return self.draw(st.sampled_from(choices))

    def weight(self, array) -> str:
        self.weights.append(onnx.numpy_helper.from_array(np.asarray(array), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, op_type: str, *inputs: str, last: bool = True, outputs: int = 0, **attributes: object) -> str:
        """A node; its output, or with `outputs` the first of so many, the others called `NAME.1`, `NAME.2`, …."""
        name = f"t{len(self.nodes)}"
        names = [name, *(f"{name}.{place}" for place in range(1, outputs))]
        self.nodes.append(onnx.helper.make_node(op_type, inputs, names, **attributes))
        if last:
            self.tensors.append(name)
        return name

    def listed(
        self, op_type: str, source: str, since: int, last: bool = True, more=None, **lists: Sequence[int]
    ) -> str:
        """A node whose lists of integers are inputs from opset `since` on, attributes before."""
        more = more or {}
        if self.opset < since:
            return self.add(op_type, source, last=last, **lists, **more)
        return self.add(op_type, source, *(self.weight(np.array(each)) for each in lists.values()), last=last, **more)

    def one(self) -> None:
        kind = self.draw(st.sampled_from(self.unary))
        self.add(kind, self.any(), **({"axis": -1} if kind == "Softmax" else {}))

    def two(self) -> None:
        self.add(self.one_of("Add", "Mul", "Sub", "Max", "Min"), self.any(), self.any())

    def constant(self) -> None:
        shape, value = self.one_of(*_BESIDE), self.one_of(0.0, 1.0, 0.5, 2.0, 3.0, 6.0)
        array = np.full(shape, value, np.float32) if self.draw(st.booleans()) else noise(*shape) + np.float32(2)
        operands = [self.any(), self.weight(array)]
        safe = bool((np.abs(array) > 0.1).all())
        kind = self.one_of(*["Add", "Mul", "Sub", *(["Div"] if safe else [])])
        self.add(kind, *(operands if kind == "Div" or self.draw(st.booleans()) else operands[::-1]))

    def conv(self) -> None:
        group, size = self.one_of(1, 2, CHANNELS), self.one_of(1, 3)
        array = weight(CHANNELS, CHANNELS // group, size, size, seed=self.draw(st.integers(1, 2)))
        bias = [self.weight(noise(CHANNELS))] if self.draw(st.booleans()) else []
        padded, source = self.draw(st.booleans()), self.any()
        if not padded:
            pads = self.weight(np.array([0, 0, size // 2, size // 2] * 2))
            source = self.add("Pad", source, pads, last=False)
        self.add("Conv", source, self.weight(array), *bias, group=group, pads=[size // 2 if padded else 0] * 4)

    def deconv(self) -> None:
        group = self.one_of(1, 2)
        array = self.weight(weight(CHANNELS, CHANNELS // group, 3, 3))
        bias = [self.weight(noise(CHANNELS))] if self.draw(st.booleans()) else []
        self.add("ConvTranspose", self.any(), array, *bias, group=group, pads=[1] * 4)

    def normalize(self) -> None:
        seed = self.draw(st.integers(1, 2))
        parts = [noise(CHANNELS, seed=seed + i) for i in range(3)] + [noise(CHANNELS, seed=seed) ** 2 + np.float32(0.5)]
        self.add("BatchNormalization", self.any(), *map(self.weight, parts))

    def matmul(self) -> None:
        self.add("MatMul", self.any(), self.weight(weight(SIZE, SIZE, seed=self.draw(st.integers(1, 2)))))

    def gemm(self) -> None:
        rows = self.add("Reshape", self.any(), self.weight(np.array([-1, SIZE])), last=False)
        w, bias, turned = self.weight(weight(SIZE, SIZE)), self.weight(noise(SIZE)), self.one_of(None, 0, 1)
        if turned is None:
            made = self.add("MatMul", rows, w, last=False)
            made = self.add("Add", made, bias, last=False)
        else:
            made = self.add("Gemm", rows, w, bias, transB=turned, last=False)
        self.add("Reshape", made, self.weight(np.array(IMAGE)))

    def turn(self) -> None:
        self.add("Transpose", self.any(), perm=[0, 1, 3, 2])

    def twice(self) -> None:
        """A Reshape or a Cast, and back."""
        kind = self.one_of("Cast", "Flatten", "Squeeze")
        if kind == "Cast":
            self.add("Cast", self.add("Cast", self.any(), to=self.one_of(10, 11, 7), last=False), to=FLOAT)
        elif kind == "Flatten":
            flat = self.add("Flatten", self.any(), axis=self.one_of(0, 1, 2, 3, 4, -1), last=False)
            self.add("Reshape", flat, self.weight(np.array(IMAGE)))
        else:
            wide = self.listed("Unsqueeze", self.any(), 13, last=False, axes=[self.one_of(0, 2, 4)])
            self.add("Reshape", wide, self.weight(np.array(IMAGE)))

    def turned(self) -> None:
        """What is done between a Transpose and the one that undoes it, as in models of the other layout."""
        order = self.one_of(*_ORDERS)
        back = [order.index(axis) for axis in range(4)]
        middle = self.add("Transpose", self.any(), perm=order, last=False)
        for _ in range(self.draw(st.integers(0, 2))):
            middle = self._in_other_layout(middle, order)
        self.add("Transpose", middle, perm=back)

    def _in_other_layout(self, source: str, order: Sequence[int]) -> str:
        axis = self.draw(st.integers(0, 3))
        length = IMAGE[order[axis]]
        kind = self.one_of("constant", "two", "pad", "reduce", "softmax", "slice", "concat", "prelu", "one")
        if kind in ("constant", "prelu"):
            sizes = [IMAGE[axis] for axis in order]
            beside = self.one_of((), (sizes[3],), (1, sizes[2], 1), tuple(sizes)) if kind == "constant" else (sizes[3],)
            operands = [source, self.weight(noise(*beside))]
            turned = kind == "constant" and self.draw(st.booleans())
            made = self.one_of("Add", "Mul") if kind == "constant" else "PRelu"
            return self.add(made, *(operands[::-1] if turned else operands), last=False)
        if kind == "two":
            return self.add("Sub", source, self.add("Transpose", self.any(), perm=order, last=False), last=False)
        if kind == "reduce":
            return self.add("Sub", self._mean(source, [axis]), source, last=False)
        if kind == "slice":
            parts = [self._sliced(source, axis, *ends) for ends in ((length // 2, length), (0, length // 2))]
            return self.add("Concat", *parts, axis=axis, last=False)
        if kind in ("pad", "concat"):
            pads = self.weight(np.array([int(place == axis) for place in range(4)] + [0] * 4))
            wide = ["Pad", source, pads] if kind == "pad" else ["Concat", source, source]
            made = self.add(*wide, last=False, **({"axis": axis - 4} if kind == "concat" else {}))
            return self._sliced(made, axis, 1, 1 + length)
        more = {"axis": axis if self.opset >= 13 else 3} if kind == "softmax" else {}
        return self.add("Softmax" if more else self.draw(st.sampled_from(self.unary)), source, last=False, **more)

    def _sliced(self, source: str, axis: int, start: int, end: int) -> str:
        ends = (self.weight(np.array([number])) for number in (start, end, axis))
        return self.add("Slice", source, *ends, last=False)

    def clip(self) -> None:
        ends = [self.weight(np.float32(self.one_of(-1.0, 0.0))), self.weight(np.float32(6))]
        self.add("Clip", self.any(), *ends)

    def swish(self) -> None:
        source = self.any()
        moved = self.add("Add", source, self.weight(np.float32(3)), last=False)
        kept = self.add("Clip", moved, self.weight(np.float32(0)), self.weight(np.float32(6)), last=False)
        self.add("Div", self.add("Mul", kept, source, last=False), self.weight(np.float32(6)))

    def layer(self) -> None:
        """Layer normalization in parts."""
        source = self.any()
        moved = self.add("Sub", source, self._mean(source, [-1]), last=False)
        power = self.add("Pow", moved, self.weight(np.float32(2)), last=False)
        root = self.add(
            "Sqrt", self.add("Add", self._mean(power, [-1]), self.weight(np.float32(0.1)), last=False), last=False
        )
        self.add("Mul", self.add("Div", moved, root, last=False), self.weight(noise(SIZE)))

    def _mean(self, source: str, axes: Sequence[int]) -> str:
        return self.listed("ReduceMean", source, 18, last=False, axes=axes)

    def reduce(self) -> None:
        """A part of a tensor beside another: kept axes, or taken out and put in again."""
        kind, axis, kept = (
            self.one_of("ReduceMean", "ReduceSum", "ReduceMax"),
            self.draw(st.integers(-4, 3)),
            self.draw(st.integers(0, 1)),
        )
        since = 13 if kind == "ReduceSum" else 18
        part = self.listed(kind, self.any(), since, last=False, axes=[axis], more={"keepdims": kept})
        if not kept:
            part = self.listed("Unsqueeze", part, 13, last=False, axes=[axis])
        self.add(self.one_of("Add", "Sub"), self.any(), part)

    def gate(self) -> None:
        """Squeeze and excite."""
        source = self.any()
        pooled = self.add(self.one_of("GlobalAveragePool", "GlobalMaxPool"), source, last=False)
        self.add("Mul", source, self.add(self.one_of("Sigmoid", "HardSigmoid"), pooled, last=False))

    def pool(self) -> None:
        kind, padded, source = self.one_of("MaxPool", "AveragePool"), self.draw(st.booleans()), self.any()
        if not padded:
            source = self.add("Pad", source, self.weight(np.array([0, 0, 1, 1] * 2)), last=False)
        self.add(kind, source, kernel_shape=[3, 3], pads=[int(padded)] * 4)

    def join(self) -> None:
        joined = self.add("Concat", self.any(), self.any(), axis=1, last=False)
        self.add("Conv", joined, self.weight(weight(CHANNELS, 2 * CHANNELS, 1, 1)))

    def split(self) -> None:
        axis = self.one_of(1, 2, 3, -1)
        sizes = self.one_of([1, IMAGE[axis] - 1], [IMAGE[axis] // 2] * 2)
        inputs = [] if self.opset < 13 else [self.weight(np.array(sizes))]
        old = {"split": sizes} if self.opset < 13 else {}
        first = self.add("Split", self.any(), *inputs, axis=axis, outputs=2, last=False, **old)
        parts = [first, f"{first}.1"]
        self.add("Concat", *(parts if self.draw(st.booleans()) else parts[::-1]), axis=axis)

    def gather(self) -> None:
        axis = self.one_of(1, 2, 3, -2)
        order = np.roll(np.arange(IMAGE[axis]), self.one_of(0, 1)) - self.one_of(0, IMAGE[axis])
        self.add("Gather", self.any(), self.weight(order), axis=axis)

    def cut(self) -> None:
        """Padded, then cut back; or turned around."""
        axis, length = self.one_of(1, 2, 3), 0
        length = IMAGE[axis]
        if self.draw(st.booleans()):
            ends = (self.weight(np.array([number])) for number in (-1, -length - 1, axis, -1))
            self.add("Slice", self.any(), *ends)
            return
        pads = [int(place == axis) for place in range(4)]
        mode, number = self.one_of("constant", "edge"), self.weight(np.float32(self.one_of(0, 1.5)))
        wide = self.add("Pad", self.any(), self.weight(np.array([*pads, 0, 0, 0, 0])), number, mode=mode, last=False)
        self.tensors.append(self._sliced(wide, axis, 0, length))

    def where(self) -> None:
        source = self.any()
        kind = self.one_of("Greater", "Less")
        chosen = self.add(kind, source, self.one_of(self.any(), self.weight(np.float32(0.3))), last=False)
        self.add("Where", chosen, self.any(), self.one_of(self.any(), self.weight(np.float32(1))))

    def expand(self) -> None:
        part = self.listed("ReduceMax", self.any(), 18, last=False, axes=[self.one_of(1, 2)])
        shape = self.one_of(self.weight(np.array(IMAGE)), self.weight(np.array([1, *IMAGE[1:]])))
        if self.draw(st.booleans()):
            shape = self.add("Shape", self.any(), last=False)
        self.add("Expand", part, shape)

    def resize(self) -> None:
        """Twice the size, then back by pooling."""
        scales = self.weight(np.array([1, 1, 2, 2], np.float32))
        none = [""] if self.opset >= 13 else [self.weight(np.zeros(0, np.float32))]
        larger = self.add("Resize", self.any(), *none, scales, mode=self.one_of("nearest", "linear"), last=False)
        self.add(self.one_of("AveragePool", "MaxPool"), larger, kernel_shape=[2, 2], strides=[2, 2])

    def sizes(self) -> None:
        """A Reshape to sizes that are computed from shapes, as exporters write it."""
        source = self.any()
        shape = self.add("Shape", source, last=False)
        batch = self.add("Gather", shape, self.weight(np.array(0)), axis=0, last=False)
        first = self.listed("Unsqueeze", batch, 13, last=False, axes=[0])
        flat = self.add("Concat", first, self.weight(np.array([-1])), axis=0, last=False)
        rows = self.add("Reshape", source, flat, last=False)
        self.add("Reshape", self.add("Relu", rows, last=False), shape)

    def dequantize(self) -> None:
        """Not beside a branch: onnxruntime 1.32 may end the process then. Of int8 up to opset 20: it refuses newer."""
        if self._has("If"):
            return self.one()
        scale, zero = (
            self.weight(np.float32(0.05)),
            self.weight((np.int8 if self.opset < 21 else np.uint8)(self.one_of(0, 3))),
        )
        self.add("DequantizeLinear", self.add("QuantizeLinear", self.any(), scale, zero, last=False), scale, zero)
        return None

    def _has(self, kind: str) -> bool:
        return any(node is not None and node.op_type == kind for node in self.nodes)

    def branch(self) -> None:
        """An If, on a constant or not, whose branches read what is outside; see `dequantize`."""
        if self._has("QuantizeLinear"):
            return self.one()
        then, other = (self._branch(name) for name in ("then", "else"))
        condition = self.weight(np.array(self.draw(st.booleans())))
        if self.draw(st.booleans()):
            most = self.add("ReduceMax", self.any(), keepdims=0, last=False)
            condition = self.add("Greater", most, self.weight(np.float32(1.5)), last=False)
        self.add("If", condition, then_branch=then, else_branch=other)
        return None

    def _branch(self, name: str) -> onnx.GraphProto:
        start = len(self.nodes)
        source = self.add(self.one_of("Relu", "Identity", "Neg"), self.any(), last=False)
        kind = self.one_of("Add", "Mul")
        made = self.add(
            kind, source, self.one_of(self.any(), self.weight(np.float32(self.one_of(0, 1, 2)))), last=False
        )
        inside, self.nodes[start:] = self.nodes[start:], [None] * 2  # so that names stay apart
        return onnx.helper.make_graph(inside, name, [], [onnx.helper.make_tensor_value_info(made, FLOAT, None)])

    def model(self, shape: Sequence[int | str], outputs: int) -> onnx.ModelProto:
        """The last tensor is an output, and any other may be one too."""
        names = [self.tensors[-1], *self.draw(st.lists(st.sampled_from(self.tensors[1:]), max_size=outputs))]
        told = [onnx.helper.make_tensor_value_info(name, FLOAT, None) for name in dict.fromkeys(names)]
        if tuple(shape) == IMAGE:
            told = [onnx.helper.make_tensor_value_info(name, FLOAT, IMAGE) for name in dict.fromkeys(names)]
        given = [onnx.helper.make_tensor_value_info("x", FLOAT, shape)]
        nodes = [node for node in self.nodes if node is not None]
        graph = onnx.helper.make_graph(nodes, "g", given, told, self.weights)
        return onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", self.opset)])
