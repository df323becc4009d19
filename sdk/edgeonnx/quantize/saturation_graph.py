"""A saturating layer, written out in standard operators that compute the same integers on any machine."""

from collections.abc import Iterator
from itertools import count, product
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from edgeonnx.errors import ModelError
from edgeonnx.quantize.kernels import Kernel
from edgeonnx.quantize.pairs import INT16_MAX, INT16_MIN, Pairs

# Between int8 and the uint8 of the same meaning.
_SIGN = 128
# Pairs of one channel that are added up in float32: what each cuts off is below 2**15, their sum below 2**24.
_EXACT = 2**9
# Products of pairs held at once, each a float32.
_HELD = 2**22
# What a free dimension counts for; one of batches counts for one.
_FREE = 64


def write_saturating(graph: ir.Graph, kernel: Kernel, pairs: Pairs) -> ir.Value:
    """Put a saturating form of a layer in its place.

    Args:
        graph: of the layer, shapes inferred; it is changed. Nodes that the layer leaves behind are unused.
        kernel: the layer.
        pairs: what saturates in it.

    Returns:
        The share of its sums that saturation changes, a float32 of shape (), which nothing reads.

    Raises:
        ModelError: the padding of a Conv depends on a free dimension.
    """
    write = _Writer(kernel)
    sums, columns = _conv(write, kernel) if kernel.layer.node.op_type == "Conv" else _product(write, kernel)
    cut = _cut_off(write, columns, pairs, max(1, _HELD // _places(kernel)))
    if kernel.layer.node.op_type != "Conv":
        cut = write("Transpose", cut, perm=[0, 2, 1])
    cut = write("Reshape", cut, write("Shape", sums))
    changed = write("Cast", write("Not", write("Equal", cut, np.int32(0))), to=ir.DataType.FLOAT)
    share = write("ReduceMean", changed, keepdims=0)
    _rejoin(graph, kernel, write, _real(write, kernel, write("Sub", sums, cut)))
    return share


class _Writer:
    """Writes nodes, constants where arrays are given, all named after the layer."""

    def __init__(self, kernel: Kernel) -> None:
        self.tape = Tape()
        self._name = kernel.name
        self._numbers = count()

    def __call__(self, op_type: str, *inputs: ir.Value | np.ndarray | np.generic | None, **attributes: Any) -> ir.Value:
        values = [self.constant(i) if isinstance(i, (np.ndarray, np.generic)) else i for i in inputs]
        return self.tape.op(op_type, values, attributes, name=self._unique(op_type))

    def constant(self, array: np.ndarray | np.generic) -> ir.Value:
        """An initializer."""
        return self.tape.initializer(ir.tensor(np.asarray(array), name=self._unique("constant")))

    def _unique(self, what: str) -> str:
        return f"{self._name}/saturating/{what}_{next(self._numbers)}"


def _unsigned_input(write: _Writer, kernel: Kernel) -> tuple[ir.Value, np.ndarray]:
    """The layer's input and its zero point in uint8, as the kernel reads them on x86-64."""
    source = kernel.layer.input
    zero = source.zero_point.reshape(())
    if zero.dtype == np.uint8:
        return source.stored, zero
    wide = write("Add", write("Cast", source.stored, to=ir.DataType.INT32), np.int32(_SIGN))
    return write("Cast", wide, to=ir.DataType.UINT8), (zero.astype(np.int32) + _SIGN).astype(np.uint8)


def _unsigned_weight(kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """The weight and its zero point in uint8: products of two uint8 are exact on every CPU, this one included."""
    weight, zero = kernel.weight.astype(np.int32), kernel.layer.weight.zero_point.astype(np.int32)
    return (weight + _SIGN).astype(np.uint8), (zero + _SIGN).astype(np.uint8)


def _conv(write: _Writer, kernel: Kernel) -> tuple[ir.Value, ir.Value]:
    """Exact sums of a Conv, int32, and its input as rows that weights meet, uint8 (N, rows, places)."""
    data, zero = _unsigned_input(write, kernel)
    weight, weight_zero = _unsigned_weight(kernel)
    settings = _conv_settings(kernel)
    # A Conv's kernel takes one zero point for all channels.
    sums = write("ConvInteger", data, weight, zero, weight_zero.reshape(-1)[0], **settings)
    size, rank = weight.shape[2:], weight.ndim - 2
    pads, dilations = settings["pads"], settings["dilations"]
    padded = write("Pad", data, _int64(0, 0, *pads[:rank], 0, 0, *pads[rank:]), zero)
    steps, axes = _int64(*settings["strides"]), _int64(*range(2, 2 + rank))
    taps = []
    for position in product(*map(range, size)):
        start = [at * d for at, d in zip(position, dilations, strict=True)]
        # Ends count from the far side, so that sizes may be free; the last position ends where the input does.
        beyond = [(n - 1 - at) * d for n, at, d in zip(size, position, dilations, strict=True)]
        end = [-more if more else np.iinfo(np.int64).max for more in beyond]
        taps.append(write("Slice", padded, _int64(*start), _int64(*end), axes, steps))
    rows = prod(size) * weight.shape[1] * kernel.group
    return sums, write("Reshape", write("Concat", *taps, axis=1), _int64(0, rows, -1))


def _conv_settings(kernel: Kernel) -> dict[str, Any]:
    """Attributes of a Conv with none left to defaults, and padding in numbers."""
    given, size = kernel.layer.node.attributes, kernel.weight.shape[2:]
    strides = list(given.get_ints("strides", [1] * len(size)))
    dilations = list(given.get_ints("dilations", [1] * len(size)))
    pads = list(given.get_ints("pads", [0] * 2 * len(size)))
    auto = given.get_string("auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        data = kernel.layer.node.inputs[0]
        sizes = [None] * len(size) if data is None or data.shape is None else list(data.shape)[2:]
        reach = [(n - 1) * d + 1 for n, d in zip(size, dilations, strict=True)]
        total = [_same(kernel, *each) for each in zip(sizes, reach, strides, strict=True)]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        pads = less + more if auto == "SAME_UPPER" else more + less
    return {"group": kernel.group, "strides": strides, "dilations": dilations, "pads": pads}


def _same(kernel: Kernel, size: object, reach: int, stride: int) -> int:
    """How much padding an axis of this size gets in all, where a Conv is to give a size / stride output."""
    if stride == 1:
        return reach - 1
    if not isinstance(size, int):
        raise ModelError(
            f"{kernel.name}: its auto_pad depends on a free dimension; fix the shape of the model's inputs"
        )
    return max((-(-size // stride) - 1) * stride + reach - size, 0)


def _product(write: _Writer, kernel: Kernel) -> tuple[ir.Value, ir.Value]:
    """Exact sums of a Gemm or MatMul, int32, and its input as rows that weights meet, uint8 (1, K, places)."""
    data, zero = _unsigned_input(write, kernel)
    weight, weight_zero = _unsigned_weight(kernel)
    attributes = kernel.layer.node.attributes
    data = write("Transpose", data, perm=[1, 0]) if attributes.get_int("transA", 0) else data
    weight = np.ascontiguousarray(weight.T) if attributes.get_int("transB", 0) else weight
    sums = write("MatMulInteger", data, weight, zero, weight_zero)
    flat = write("Reshape", data, _int64(1, -1, weight.shape[0]))
    return sums, write("Transpose", flat, perm=[0, 2, 1])


def _cut_off(write: _Writer, rows: ir.Value, pairs: Pairs, held: int) -> ir.Value:
    """What saturation takes from each sum: int32 (N, output channels, places).

    Channels of about as many pairs are computed together, filled up with pairs of zeros, in blocks of limited size.

    Args:
        write: the writer.
        rows: uint8 (N, rows, places).
        pairs: the layer's.
        held: pairs in a block.
    """
    first = np.searchsorted(pairs.channel, np.arange(pairs.channels + 1))
    counts, first, most = np.diff(first), first[:-1], min(_EXACT, held)
    total = None
    for done in range(0, int(counts.max()), most):
        part = np.clip(counts - done, 0, most)
        order = np.argsort(-part, kind="stable")
        blocks = [
            _block(write, rows, pairs, first[order[which]] + done, part[order[which]])
            for which in _even_blocks(part[order], held)
        ]
        sums = write("Gather", write("Concat", *blocks, axis=1), np.argsort(order), axis=1)
        total = sums if total is None else write("Add", total, sums)
    assert total is not None  # a layer without pairs is not written out
    return total


def _even_blocks(counts: np.ndarray, held: int) -> Iterator[slice]:
    """Divide falling counts so that none in a block is below half of its largest, and a block holds what it may."""
    start = 0
    while start < len(counts):
        width = max(int(counts[start]), 1)
        alike = int(np.count_nonzero(counts[start:] * 2 >= counts[start]))
        end = start + max(1, min(alike, held // width))
        yield slice(start, end)
        start = end


def _block(write: _Writer, rows: ir.Value, pairs: Pairs, first: np.ndarray, counts: np.ndarray) -> ir.Value:
    """What saturation takes from the sums of some channels: int32 (N, these channels, places).

    Args:
        write: the writer.
        rows: uint8 (N, rows, places).
        pairs: the layer's.
        first: index of each channel's first pair.
        counts: how many pairs of each channel, from there on.
    """
    slots = np.arange(max(int(counts.max()), 1))
    used = slots < counts[:, None]
    index = np.where(used, first[:, None] + slots, 0)
    products = []
    for row, weight in zip(pairs.rows, pairs.weights, strict=True):
        read = write("Gather", rows, row[index].astype(np.int32), axis=1)
        factor = np.where(used, weight[index], 0).astype(np.float32)[..., None]
        products.append(write("Mul", write("Cast", read, to=ir.DataType.FLOAT), factor))
    exact = write("Add", *products)
    kept = write("Clip", exact, np.float32(INT16_MIN), np.float32(INT16_MAX))
    return write("Cast", write("ReduceSum", write("Sub", exact, kept), _int64(2), keepdims=0), to=ir.DataType.INT32)


def _places(kernel: Kernel) -> int:
    """Number of sums of each output channel, as far as shapes tell."""
    convolves = kernel.layer.node.op_type == "Conv"
    shape = kernel.layer.node.outputs[0].shape
    if shape is None:
        return prod([_FREE] * (kernel.weight.ndim - 2 if convolves else 1))
    sizes = list(shape)
    del sizes[1 if convolves else -1]
    known = [size if isinstance(size, int) else _FREE if axis else 1 for axis, size in enumerate(sizes)]
    return max(1, prod(known))


def _real(write: _Writer, kernel: Kernel, sums: ir.Value) -> ir.Value:
    """What becomes of the sums: bias added, scaled in float32 as the kernel does it."""
    layer, bias = kernel.layer, kernel.bias
    convolves = layer.node.op_type == "Conv"
    along = [-1, *[1] * (kernel.weight.ndim - 2)] if convolves else [-1]
    if bias is not None:
        sums = write("Add", sums, bias.reshape(along) if convolves else bias)
    scale = np.float32(layer.node.attributes.get_float("alpha", 1.0)) * layer.input.scale * layer.weight.scale
    if kernel.output_scale is not None:
        scale = scale / kernel.output_scale
    return write("Mul", write("Cast", sums, to=ir.DataType.FLOAT), scale.reshape(along if scale.size > 1 else []))


def _rejoin(graph: ir.Graph, kernel: Kernel, write: _Writer, real: ir.Value) -> None:
    """Hand the result to those who read the layer's."""
    last, quantize = kernel.last, kernel.quantize
    if quantize is not None:
        # All but rounding, zero point and clipping is done: Quantize does them as the kernel would.
        quantize.replace_input_with(0, real)
        quantize.replace_input_with(1, write.constant(np.float32(1)))
        graph.insert_before(quantize, write.tape.nodes)
    else:
        ir.convenience.replace_nodes_and_values(graph, last, [last], write.tape.nodes, last.outputs, [real])
    graph.initializers.update({value.name: value for value in write.tape.initializers if value.name})


def _int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
