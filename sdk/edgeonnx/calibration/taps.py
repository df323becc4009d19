"""The nodes that look at one tensor: its extremes, and some of its values.

What decides their cost, measured on x86-64 against plain inference:

- onnxruntime keeps what Convs exchange in a blocked layout, and copies it before a reduction. A GlobalMaxPool reads the
  blocked layout itself; after a depthwise Conv by -1 it finds the minimum. For small tensors one copy, which serves
  both reductions, is cheaper.
- A tensor that can't be negative needs no minimum: quantized ranges reach to 0 anyway.
- A node costs 1 to 2 us however small its tensor, so results are of a form that can be joined inside the graph.
"""

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeonnx.calibration.derive import non_negative

Shape = tuple[int, ...]

# Elements from which two pools are cheaper than a copy and two reductions.
_LARGE = 1 << 16
# Operators that run on the blocked layout if what they read has it.
_BLOCKED = (
    *("Add", "AveragePool", "Clip", "GlobalAveragePool", "HardSigmoid", "LeakyRelu", "MaxPool", "Mul", "Relu"),
    *("Sigmoid", "Tanh"),
)
# Of each tensor and sample one in so many values is taken, but at least and at most so many.
_ONE_IN, _AT_LEAST, _AT_MOST = 16, 64, 2048


class Editor:
    """Appends nodes to a graph, under names of their own."""

    TURN = "edgeonnx.turn"

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._constants: dict[int, ir.Value] = {}
        self._starts: dict[int, ir.Value] = {}
        self._turn: ir.Value | None = None
        self._made = 0

    def add(self, op_type: str, *inputs: ir.Value, **attributes: int) -> ir.Value:
        """A new node's result."""
        self._made += 1
        name = f"edgeonnx.observe.{self._made}"
        node = ir.node(op_type, inputs, attributes, name=name)
        node.outputs[0].name = name
        self._graph.append(node)
        return node.outputs[0]

    def integer(self, number: int) -> ir.Value:
        """A number as an int64 vector of one."""
        if number not in self._constants:
            self._constants[number] = self.constant(np.array([number], np.int64))
        return self._constants[number]

    def constant(self, array: np.ndarray) -> ir.Value:
        """An initializer."""
        self._made += 1
        value = ir.Value(name=f"edgeonnx.observe.{self._made}", const_value=ir.tensor(array))
        self._graph.register_initializer(value)
        return value

    def output(self, value: ir.Value, dtype: ir.DataType = ir.DataType.FLOAT) -> None:
        """Let a value leave the graph."""
        value.dtype = dtype
        self._graph.outputs.append(value)

    def start(self, step: int) -> ir.Value:
        """Where to begin when every `step`-th value is taken: another place at each turn."""
        if self._turn is None:
            self._turn = ir.Value(name=self.TURN, type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([1]))
            self._graph.inputs.append(self._turn)
        if step not in self._starts:
            self._starts[step] = self.add("Mod", self._turn, self.integer(step))
        return self._starts[step]

    @property
    def turns(self) -> bool:
        """Whether the graph wants to be told the turn."""
        return self._turn is not None


@dataclass(frozen=True)
class Tap:
    """A value from which an extreme of one tensor is read.

    Attributes:
        value: of the shape (1,) or (1, 1, ...), or (N, channels, 1, 1).
        join: values of the same are joined along `axis`.
        axis: 1 where there is a number for each channel, else 0.
        channels: how many numbers there are.
        low: whether it is the tensor's minimum.
        sign: -1 where it is the maximum of the negated tensor.
    """

    value: ir.Value
    join: Hashable
    axis: int = 0
    channels: int = 1
    low: bool = False
    sign: int = 1


def extremes(editor: Editor, value: ir.Value, shape: Shape | None, sampled: bool) -> Iterator[Tap]:
    """The largest value of a tensor, and the smallest if it can be negative.

    Args:
        editor: of the graph.
        value: the tensor.
        shape: in one sample, if known.
        sampled: whether some of its values leave the graph as well, for which it is copied from the blocked layout.
    """
    signed = not non_negative(value)
    large = shape is not None and math.prod(shape) >= _LARGE
    channels = value.shape[1] if value.shape is not None and len(value.shape) == 4 else None
    if isinstance(channels, int) and _is_blocked(value) and (not signed or (large and not sampled)):
        yield _pooled(editor, value, channels)
        if signed:
            minus = editor.constant(np.full((channels, 1, 1, 1), -1, np.float32))
            yield _pooled(editor, editor.add("Conv", value, minus, group=channels), channels, value, low=True, sign=-1)
        return
    yield _reduced(editor, value, "ReduceMax")
    if signed:
        yield _reduced(editor, value, "ReduceMin", low=True)


def some_values(editor: Editor, value: ir.Value, shape: Shape | None) -> ir.Value:
    """Every so many-th value of a tensor, from another place at each turn, as a vector.

    A step that has no factor in common with any dimension meets all channels, rows and columns alike. Where the shape
    is not known, a step found from the size in each run has to do.
    """
    flat = editor.add("Reshape", value, editor.integer(-1))
    if shape is None:
        part = editor.add("Div", editor.add("Size", flat), editor.integer(_AT_MOST // 2))
        step = editor.add("Max", editor.add("Reshape", part, editor.integer(1)), editor.integer(1))
        start = editor.integer(0)
    else:
        stride = _stride(shape)
        if stride == 1:
            return flat
        step, start = editor.integer(stride), editor.start(stride)
    return editor.add("Slice", flat, start, editor.integer(np.iinfo(np.int64).max), editor.integer(0), step)


def _stride(shape: Shape) -> int:
    elements = math.prod(shape)
    stride = min(max(_ONE_IN, math.ceil(elements / _AT_MOST)), max(1, elements // _AT_LEAST))
    while stride > 1 and math.gcd(stride, elements) > 1:
        stride += 1
    return stride


def _pooled(
    editor: Editor, value: ir.Value, channels: int, batch_of: ir.Value | None = None, low: bool = False, sign: int = 1
) -> Tap:
    """The maximum of each channel; joined where the number of samples is known to be the same."""
    shape = (batch_of or value).shape
    batch = None if shape is None else shape[0]
    size = batch if isinstance(batch, int) else batch.value if batch is not None else None
    return Tap(
        editor.add("GlobalMaxPool", value),
        join=("channels", low, value if size is None else size),
        axis=1,
        channels=channels,
        low=low,
        sign=sign,
    )


def _reduced(editor: Editor, value: ir.Value, op_type: str, low: bool = False) -> Tap:
    """The extreme of all; a tensor of unknown rank gives a scalar, which has to become a vector to be joined."""
    rank = 0 if value.shape is None else len(value.shape)
    if rank:
        return Tap(editor.add(op_type, value), join=("all", low, rank), low=low)
    scalar = editor.add(op_type, value, keepdims=0)
    return Tap(editor.add("Reshape", scalar, editor.integer(1)), join=("all", low, 1), low=low)


def _is_blocked(value: ir.Value) -> bool:
    """Whether a tensor is likely to be in the blocked layout: it comes from a Conv, by operators that keep that."""
    producer = value.producer()
    while producer is not None and producer.op_type in _BLOCKED and producer.inputs[0] is not None:
        producer = producer.inputs[0].producer()
    return producer is not None and producer.op_type == "Conv"
