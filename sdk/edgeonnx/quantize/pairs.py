"""Pairs of weights that saturate on x86-64 without VNNI.

With AVX2 or AVX-512 and no VNNI, onnxruntime multiplies uint8 by int8 with `vpmaddubsw`, which adds two products that
are neighbours along K in 16 bits and saturates: 255 * 127 + 255 * 127 becomes 32767. What is concerned:

- Conv, Gemm and MatMul with int8 weights and uint8 inputs; int8 inputs too, since x86-64 turns them into uint8 first.
- K of a Conv runs over its kernel's positions, then over the input channels of its group, so that pairs cross
  positions where channels are odd in number. Zero points are corrected afterwards: products are those of raw integers,
  padding included, which is the zero point.
- Not concerned: depthwise Conv and uint8 weights, whose kernels add in 32 bits; what stays in float.

Sources, in https://github.com/microsoft/onnxruntime/tree/main/onnxruntime/core: the pairs in
mlas/lib/x86_64/QgemmU8X8KernelAvx2.S, QgemvU8S8KernelAvx2.S and ConvSymKernelAvx2.S; which kernel runs in
mlas/lib/platform.cpp, qgemm.h and convsym.cpp; depthwise in mlas/lib/intrinsics/avx2/qdwconv_avx2.cpp; the order of K
in providers/cpu/quantization/qlinearconv.cc.
"""

from dataclasses import dataclass

import numpy as np

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.quantize.kernels import Kernel, integer_kernels

INT16_MIN, INT16_MAX = -(2**15), 2**15 - 1
_UINT8_MAX = 2**8 - 1


@dataclass(frozen=True)
class Pairs:
    """The pairs of a layer that can saturate; vectors of one length, sorted by channel.

    Attributes:
        channels: number of the layer's output channels, those without such pairs included.
        channel: output channel of each pair.
        rows: which row of the input its first and its second weight meet, see `in_order`.
        weights: its two weights, raw integers.
    """

    channels: int
    channel: np.ndarray
    rows: tuple[np.ndarray, np.ndarray]
    weights: tuple[np.ndarray, np.ndarray]


def saturating_pairs(model: Model) -> list[tuple[Kernel, Pairs]]:
    """The kernels that saturate for some input, in topological order, each with the pairs that do it.

    Args:
        model: QDQ; its nodes are named.

    Raises:
        ModelError: onnxruntime does not accept the model, or multiplies by a weight of more than two dimensions.
    """
    kernels = [k for k in integer_kernels(model) if k.unsigned and k.weight.dtype == np.int8 and not k.depthwise]
    found = [(kernel, _pairs(kernel)) for kernel in kernels]
    return [(kernel, pairs) for kernel, pairs in found if len(pairs.channel)]


def in_order(kernel: Kernel, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A layer's weights in the order their products are added, and which row of the input each meets.

    Args:
        kernel: the layer.
        weight: its weights in the layout of the model, integers or real.

    Returns:
        Two arrays (output channels, K), K even: an odd one is filled up with a zero. Rows of a Conv's input are its
        channels for each position of the kernel; of a matrix, its columns.
    """
    weight = _channels_first(kernel, weight)
    channels, inputs = weight.shape[:2]
    ordered = np.moveaxis(weight, 1, -1).reshape(channels, -1)
    position, channel = np.divmod(np.arange(ordered.shape[1]), inputs)
    group = np.arange(channels)[:, None] // (channels // kernel.group)
    rows = (position * kernel.group + group) * inputs + channel
    filling = [(0, 0), (0, ordered.shape[1] % 2)]
    return np.pad(ordered, filling), np.pad(rows, filling)


def one_sign_sums(ordered: np.ndarray) -> np.ndarray:
    """For each pair, the sum of its positive or of its negative weights, whichever is larger in magnitude.

    Inputs are not negative, so that this times the largest input is the furthest a pair's products can add up to.

    Args:
        ordered: (output channels, K), see `in_order`.

    Returns:
        (output channels, K / 2), of the same type.
    """
    first, second = ordered[:, 0::2], ordered[:, 1::2]
    up = np.maximum(first, 0) + np.maximum(second, 0)
    down = np.minimum(first, 0) + np.minimum(second, 0)
    sums: np.ndarray = np.where(up >= -down, up, down)
    return sums


def _pairs(kernel: Kernel) -> Pairs:
    ordered, rows = in_order(kernel, kernel.weight.astype(np.int32))
    furthest = one_sign_sums(ordered) * _UINT8_MAX
    channel, pair = np.nonzero((furthest < INT16_MIN) | (furthest > INT16_MAX))
    return Pairs(
        channels=ordered.shape[0],
        channel=channel,
        rows=(rows[channel, 2 * pair], rows[channel, 2 * pair + 1]),
        weights=(ordered[channel, 2 * pair], ordered[channel, 2 * pair + 1]),
    )


def _channels_first(kernel: Kernel, weight: np.ndarray) -> np.ndarray:
    """A weight with its output channels on the first axis, as a Conv has them, and its inputs on the second."""
    node = kernel.layer.node
    transposed = node.attributes.get_int("transB", 0)
    if transposed or node.op_type == "Conv":
        return weight
    if weight.ndim != 2:
        raise ModelError(
            f"{kernel.name}: expected a weight of 2 dimensions, got {weight.ndim}; use Gemm or MatMul on one"
        )
    return weight.T
