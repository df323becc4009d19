"""Quantized layers that saturate on AVX2, and a slow exact reference of what they compute there."""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgeonnx.model import Model

X_SCALE, W_SCALE = np.float32(0.02), np.float32(0.004)


@dataclass(frozen=True)
class Case:
    """One layer between Dequantize and Quantize.

    Attributes:
        op: `Conv`, `Gemm` or `MatMul`.
        x: shape of the input.
        w: shape of the weight, as ONNX wants it.
        attrs: of the operator.
        zero_points: of input, weight and output, in their own types.
        after: an activation between the layer and the Quantize.
        quantized: False leaves the result in float.
        exact: what onnxruntime computes without saturation on any CPU.
        per_channel: a scale for each output channel.
        bias: `int32`, `float`, or None for none.
        add: whether the bias comes by an Add behind the layer.
        stored: whether the input comes in integers, without a Quantize before it.
    """

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    attrs: dict[str, object] = field(default_factory=dict)
    zero_points: tuple[int, int, int] = (128, 0, 120)
    dtype: type = np.uint8
    weight_dtype: type = np.int8
    after: str | None = None
    quantized: bool = True
    exact: bool = False
    per_channel: bool = True
    bias: str | None = "int32"
    add: bool = False
    stored: bool = False

    @property
    def axis(self):
        """Axis of the output channels in the weight."""
        return 0 if self.op == "Conv" or self.attrs.get("transB") else 1

    def integers(self):
        """Input and weight whose adjacent products add up beyond 16 bits, and a bias."""
        rng = np.random.default_rng(len(self.x) + sum(self.w))
        low, high = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        x = rng.integers(low, high + 1, self.x).astype(self.dtype)
        signs = np.sign(
            rng.standard_normal([1, *self.w[1:]]) + rng.standard_normal([self.w[0], *[1] * len(self.w[1:])])
        )
        w = (signs * rng.integers(40, 128, self.w)).astype(np.int64)
        if self.weight_dtype == np.uint8:
            w = w + 128
        bias = rng.integers(-3000, 3000, self.w[self.axis]).astype(np.int32)
        return x, np.clip(w, *_limits(self.weight_dtype)).astype(self.weight_dtype), bias


def _limits(dtype):
    return np.iinfo(dtype).min, np.iinfo(dtype).max


CASES = {
    "conv3x3": Case("Conv", (2, 8, 6, 5), (16, 8, 3, 3), {"pads": [1, 1, 1, 1]}),
    "conv odd channels": Case("Conv", (1, 5, 6, 6), (7, 5, 3, 3), {"pads": [1, 0, 2, 1]}, (100, 0, 130)),
    "conv strides dilations": Case(
        "Conv", (1, 6, 11, 12), (9, 6, 3, 2), {"strides": [2, 3], "dilations": [2, 1], "pads": [2, 1, 0, 2]}
    ),
    "conv same upper": Case("Conv", (1, 6, 7, 8), (5, 6, 3, 2), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    "conv groups": Case("Conv", (1, 9, 5, 5), (6, 3, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}, (3, 0, 100)),
    "conv depth multiplier": Case("Conv", (1, 4, 5, 5), (8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "conv depthwise 16": Case("Conv", (1, 16, 5, 5), (16, 1, 3, 3), {"group": 16}, exact=True),
    "conv depthwise 5": Case("Conv", (1, 5, 5, 5), (5, 1, 3, 3), {"group": 5}, exact=True),
    "conv single channel": Case("Conv", (1, 1, 7, 7), (1, 1, 3, 3), exact=True),
    "conv pointwise": Case("Conv", (1, 24, 4, 4), (24, 24, 1, 1)),
    "conv pointwise strided": Case("Conv", (1, 10, 5, 5), (3, 10, 1, 1), {"strides": [2, 2]}, bias=None),
    "conv 1d": Case("Conv", (1, 7, 20), (6, 7, 5), {"pads": [2, 2]}),
    "conv 3d": Case("Conv", (1, 3, 4, 5, 4), (4, 3, 2, 3, 2), {"pads": [0, 1, 0, 0, 1, 0]}),
    "conv weight zero point": Case("Conv", (1, 8, 4, 4), (8, 8, 3, 3), {}, (110, 7, 90)),
    "conv relu": Case("Conv", (1, 8, 4, 4), (16, 8, 3, 3), {}, (110, 0, 0), after="Relu"),
    "conv float": Case("Conv", (1, 8, 4, 4), (16, 8, 3, 3), {}, quantized=False, exact=True),
    "conv s8s8": Case("Conv", (1, 8, 5, 5), (16, 8, 3, 3), {"pads": [1, 1, 1, 1]}, (-5, 0, 3), dtype=np.int8),
    "conv u8u8": Case("Conv", (1, 8, 5, 5), (16, 8, 3, 3), {}, (9, 128, 3), weight_dtype=np.uint8, exact=True),
    "conv tensor scale": Case("Conv", (1, 8, 5, 5), (16, 8, 3, 3), per_channel=False),
    "gemm": Case("Gemm", (5, 50), (50, 20)),
    "gemm one row": Case("Gemm", (1, 67), (33, 67), {"transB": 1}, (7, 0, 90)),
    "gemm one row, no zero point": Case("Gemm", (1, 64), (64, 32), {}, (0, 0, 128), bias=None),
    "gemm float": Case("Gemm", (3, 40), (10, 40), {"transB": 1}, quantized=False),
    "gemm transA": Case("Gemm", (31, 4), (31, 9), {"transA": 1}),
    "gemm alpha": Case("Gemm", (4, 31), (31, 9), {"alpha": 0.5}, bias=None),
    "gemm s8s8": Case("Gemm", (4, 40), (40, 10), {}, (-20, 0, 5), dtype=np.int8),
    "matmul": Case("MatMul", (2, 3, 45), (45, 18), bias=None),
    "matmul weight zero point": Case("MatMul", (2, 3, 40), (40, 18), {}, (130, -9, 3), bias=None),
    "matmul float": Case("MatMul", (2, 3, 45), (45, 18), quantized=False, bias=None),
    "matmul s8s8 float": Case("MatMul", (2, 3, 45), (45, 18), {}, (4, 0, 0), np.int8, quantized=False, bias=None),
    "conv stored": Case("Conv", (1, 8, 5, 5), (16, 8, 3, 3), stored=True),
    "conv stored int8": Case("Conv", (1, 8, 5, 5), (16, 8, 3, 3), {}, (2, 0, 3), np.int8, stored=True, exact=True),
    "matmul stored int8": Case("MatMul", (3, 45), (45, 18), {}, (4, 0, 0), np.int8, bias=None, stored=True, exact=True),
    "matmul one row": Case("MatMul", (1, 45), (45, 18), {}, (0, 0, 0), bias=None),
    "matmul deep": Case("MatMul", (3, 4001), (4001, 5), bias=None),
    "matmul add": Case("MatMul", (3, 45), (45, 18), add=True),
    "matmul add float": Case("MatMul", (3, 45), (45, 18), quantized=False, add=True),
    "matmul add float bias": Case("MatMul", (3, 45), (45, 18), bias="float", add=True),
    "conv float bias": Case("Conv", (1, 6, 5, 5), (8, 6, 3, 3), bias="float"),
    "gemm float bias": Case("Gemm", (3, 45), (45, 18), bias="float"),
    "conv large": Case("Conv", (1, 16, 150, 150), (40, 16, 1, 1)),
}


def model(case):
    """The layer as onnxruntime's QDQ writer leaves it: Quantize, Dequantize, layer, Quantize, Dequantize."""
    x_zero, w_zero, y_zero = case.zero_points
    _, w, bias = case.integers()
    w_scale, b_scale, y_scale = scales(case)
    of = {
        "x_scale": X_SCALE,
        "x_zero": np.array(x_zero, case.dtype),
        "w_int": w,
        "w_scale": w_scale,
        "w_zero": np.full(w_scale.shape, w_zero, case.weight_dtype),
        "y_scale": y_scale,
        "y_zero": np.array(y_zero, case.dtype),
    }
    if case.bias == "int32":
        of |= {"b_int": bias, "b_scale": b_scale, "b_zero": np.zeros(b_scale.shape, np.int32)}
    elif case.bias == "float":
        of["b_d"] = (bias + np.linspace(-0.3, 0.3, len(bias))).astype(np.float32) * b_scale
    joined = case.bias is not None and not case.add
    nodes = [
        *([helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["x_q"])] * (not case.stored)),
        helper.make_node("DequantizeLinear", ["x" if case.stored else "x_q", "x_scale", "x_zero"], ["x_d"]),
        helper.make_node("DequantizeLinear", ["w_int", "w_scale", "w_zero"], ["w_d"], axis=case.axis),
        *(
            [helper.make_node("DequantizeLinear", ["b_int", "b_scale", "b_zero"], ["b_d"], axis=0)]
            * (case.bias == "int32")
        ),
        helper.make_node(case.op, ["x_d", "w_d", *["b_d"] * joined], ["r"], "layer", **case.attrs),
    ]
    last = "r"
    if case.add:
        nodes.append(helper.make_node("Add", ["b_d", last], ["s"], "add"))
        last = "s"
    if case.after:
        nodes.append(helper.make_node(case.after, [last], ["a"]))
        last = "a"
    if case.quantized:
        nodes.append(helper.make_node("QuantizeLinear", [last, "y_scale", "y_zero"], ["y_q"]))
        nodes.append(helper.make_node("DequantizeLinear", ["y_q", "y_scale", "y_zero"], ["y"]))
    else:
        nodes[-1].output[0] = "y"
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype if case.stored else np.float32))
    graph = helper.make_graph(
        nodes,
        "case",
        [helper.make_tensor_value_info("x", dtype, case.x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in of.items()],
    )
    return Model.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def scales(case):
    """Of weight, bias and output."""
    channels = case.w[case.axis]
    w = np.linspace(0.5, 1.5, channels, dtype=np.float32) * W_SCALE if case.per_channel else W_SCALE
    spread = X_SCALE * W_SCALE * np.float32(np.abs(accumulate(case, saturate=False)).max() / 127)
    return w, X_SCALE * w, np.float32(spread)


def feed(case):
    """The case's integers, or a float input that quantizes to them."""
    x = case.integers()[0]
    if case.stored:
        return {"x": x}
    return {"x": ((x.astype(np.int64) - case.zero_points[0]) * X_SCALE).astype(np.float32)}


def accumulate(case, saturate):
    """The int32 sums of the layer: products of raw integers in MLAS' order, minus what the zero points add."""
    x, w, bias = (array.astype(np.int64) for array in case.integers())
    x_zero, w_zero, _ = case.zero_points
    if case.dtype == np.int8:
        x, x_zero = x + 128, x_zero + 128
    if case.op == "Conv":
        rows, columns, shape = im2col(case, x, w, x_zero)
    else:
        x = x.T if case.attrs.get("transA") else x
        rows, columns = x.reshape(1, -1, x.shape[-1]), w if case.axis == 1 else w.T
        rows, columns, shape = [rows], [columns], (*x.shape[:-1], columns.shape[1])
    sums = np.concatenate(
        [_pairs(r, c, saturate) - _corrections(r, c, x_zero, w_zero) for r, c in zip(rows, columns, strict=True)], -1
    )
    sums = sums + (bias if case.bias else 0)
    return np.moveaxis(sums, -1, 1).reshape(shape) if case.op == "Conv" else sums.reshape(shape)


def _pairs(rows, columns, saturate):
    """`rows @ columns`, int16 saturation applied to products 2k and 2k + 1 added."""
    if rows.shape[-1] % 2:
        rows = np.concatenate([rows, np.zeros_like(rows[..., :1])], -1)
        columns = np.concatenate([columns, np.zeros_like(columns[:1])], 0)
    pairs = rows[..., 0::2, None] * columns[0::2] + rows[..., 1::2, None] * columns[1::2]
    return (np.clip(pairs, -(2**15), 2**15 - 1) if saturate else pairs).sum(-2)


def _corrections(rows, columns, x_zero, w_zero):
    depth = rows.shape[-1]
    return x_zero * columns.sum(0) + w_zero * rows.sum(-1)[..., None] - depth * x_zero * w_zero


def im2col(case, x, w, x_zero):
    """For each group: (N, places, K) and (K, channels), K in the order kernel position, then input channel."""
    kernel, rank = w.shape[2:], w.ndim - 2
    strides = case.attrs.get("strides", [1] * rank)
    dilations = case.attrs.get("dilations", [1] * rank)
    group = case.attrs.get("group", 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = case.attrs.get("pads", [0] * 2 * rank)
    if case.attrs.get("auto_pad") == "SAME_UPPER":
        total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(x.shape[2:], strides, reach, strict=True)]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)], constant_values=x_zero)
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, strides, strict=True)]
    taps = []
    for at in product(*map(range, kernel)):
        starts = [i * d for i, d in zip(at, dilations, strict=True)]
        window = [slice(i, i + (o - 1) * s + 1, s) for i, o, s in zip(starts, out, strides, strict=True)]
        taps.append(x[(slice(None), slice(None), *window)].reshape(*x.shape[:2], -1))
    taps = np.stack(taps, 1).reshape(x.shape[0], len(taps), group, -1, int(np.prod(out)))
    rows = [taps[:, :, g].reshape(x.shape[0], -1, taps.shape[-1]).swapaxes(1, 2) for g in range(group)]
    per = w.shape[0] // group
    columns = [np.moveaxis(part, 1, -1).reshape(per, -1).T for part in w.reshape(group, per, *w.shape[1:])]
    return rows, columns, (x.shape[0], w.shape[0], *out)


def reference(case, saturate):
    """What the case's model returns on a CPU that saturates, or on one that does not."""
    sums = accumulate(case, saturate and not case.exact)
    w_scale, _, y_scale = scales(case)
    shape = [-1 if axis == (1 if case.op == "Conv" else sums.ndim - 1) else 1 for axis in range(sums.ndim)]
    factor = (
        (np.float32(case.attrs.get("alpha", 1)) * X_SCALE * w_scale)
        .astype(np.float32)
        .reshape(shape if w_scale.ndim else ())
    )
    if not case.quantized:
        return sums.astype(np.float32) * factor
    zero = case.zero_points[2]
    real = sums.astype(np.float32) * (factor / y_scale).astype(np.float32)
    integers = np.clip(np.rint(real) + zero, *_limits(case.dtype))
    return ((integers - zero).astype(np.float32) * y_scale).astype(np.float32)
