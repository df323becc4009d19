"""What a layer multiplies its weights by, as rows of a matrix."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir


def patches(node: ir.Node, data: np.ndarray, kernel: Sequence[int], groups: int) -> np.ndarray | None:
    """The input of a Conv, Gemm or MatMul as rows: result = row @ weights of one output channel.

    Args:
        node: for its strides, dilations and pads.
        data: float32, the input of one run: (N, channels, ...) for Conv, (..., channels) for the others.
        kernel: spatial size of a Conv's kernel; not used by the others.
        groups: of a Conv.

    Returns:
        float32 of shape (groups, rows, columns), the columns in the order of `weight.reshape(rows, -1)`; None where
        the padding can't be told.
    """
    if node.op_type != "Conv":
        return data.reshape(1, -1, data.shape[-1])
    rank = len(kernel)
    strides, dilations = (_list(node, name, [1] * rank) for name in ("strides", "dilations"))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    pads = _pads(node, data.shape[2:], reach, strides)
    if pads is None:
        return None
    padded = np.pad(data, [(0, 0), (0, 0), *pads])
    axes = tuple(range(2, 2 + rank))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=axes)
    places = tuple(slice(None, None, stride) for stride in strides)
    taps = tuple(slice(None, None, step) for step in dilations)
    windows = windows[(slice(None), slice(None), *places, *taps)]
    batch, channels = windows.shape[:2]
    split = windows.reshape(batch, groups, channels // groups, *windows.shape[2:])
    spots, inner = range(3, 3 + rank), range(3 + rank, 3 + 2 * rank)
    moved = split.transpose(1, 0, *spots, 2, *inner)
    return moved.reshape(groups, -1, channels // groups * int(np.prod(kernel)))


def _list(node: ir.Node, name: str, default: list[int]) -> list[int]:
    found = node.attributes.get(name)
    return default if found is None else [int(number) for number in found.as_ints()]


def _pads(
    node: ir.Node, sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]] | None:
    rank = len(sizes)
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        flat = _list(node, "pads", [0] * (2 * rank))
        return list(zip(flat[:rank], flat[rank:], strict=True))
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        return None
    total = [
        max((-(-size // stride) - 1) * stride + span - size, 0)
        for size, span, stride in zip(sizes, reach, strides, strict=True)
    ]
    halves = [(amount // 2, amount - amount // 2) for amount in total]
    return halves if mode == "SAME_UPPER" else [(high, low) for low, high in halves]
