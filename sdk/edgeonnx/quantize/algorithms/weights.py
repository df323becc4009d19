"""Weights of MatMul and Gemm in blocks of 4 or 8 bits, activations in float: for models bound by memory.

The work is onnxruntime's `MatMulNBitsQuantizer`; the result uses its operator `com.microsoft::MatMulNBits`.
"""

import importlib.util
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from edgeonnx.errors import RecipeError
from edgeonnx.graph import STANDARD, constant, operand
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms._onnxruntime import quiet, split_gemms
from edgeonnx.quantize.algorithms.observe import Feeds

Method = Literal["rtn", "k_quant", "hqq", "gptq"]


def quantize_weights(
    model: Model, bits: int = 4, method: Method = "rtn", block_size: int = 32, feeds: Feeds | None = None
) -> tuple[Model, tuple[str, ...]]:
    """Store the weights of every MatMul and Gemm in blocks.

    A layer of fewer inputs than a block is left alone: its block would be padding. At 4 bits, a layer whose inputs
    make an odd number of blocks is rounded to the nearest: onnxruntime 1.32 can't store what `k_quant` finds for it.

    Args:
        model: normalized, float.
        bits: 4 or 8 a weight.
        method: `rtn` rounds to the nearest; `k_quant` searches for the scale of each block; `hqq` and `gptq` for more,
            and need torch, `gptq` samples too; both know 4 bits only.
        block_size: weights of an output channel that share a scale; a power of two, 16 or more.
        feeds: input name -> array, one mapping a sample; for `gptq`.

    Returns:
        The model and the names of the nodes that were quantized; the same model and () if there are none. A Gemm
        becomes a MatMulNBits and an Add.

    Raises:
        RecipeError: the settings do not go together, or what the method needs is missing.
    """
    _check(bits, method, block_size, feeds)
    made = split_gemms(model)
    wide = {node.name or "": size for node in made.ir.graph if (size := _inputs(node)) >= block_size}
    if not wide:
        return model, ()
    odd = [name for name, size in wide.items() if bits == 4 and method == "k_quant" and _blocks(size, block_size) % 2]
    made = _quantized(made, bits, method, block_size, [name for name in wide if name not in odd], feeds)
    made = _quantized(made, bits, "rtn", block_size, odd, feeds)
    left = {node.name for node in made.ir.graph if node.op_type == "MatMul"}
    done = tuple(name for name in wide if name not in left)
    return (made, done) if done else (model, ())


def _quantized(model: Model, bits: int, method: str, block_size: int, names: list[str], feeds: Feeds | None) -> Model:
    """The named MatMuls by one method."""
    if not names:
        return model
    # Imported here because it imports a good part of its tools, and few recipes want it.
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    others = [node.name or "" for node in model.ir.graph if node.op_type == "MatMul" and node.name not in names]
    with quiet():
        quantizer = MatMulNBitsQuantizer(
            model.to_proto(),
            bits=bits,
            block_size=block_size,
            is_symmetric=False,
            nodes_to_exclude=others,
            algo_config=_settings(bits, method, block_size, names, feeds),
        )
        quantizer.process()
    proto = getattr(quantizer.model, "model", quantizer.model)
    proto.producer_name, proto.producer_version = "edgeonnx", ""
    return Model.from_proto(proto)


def _blocks(inputs: int, block_size: int) -> int:
    return -(-inputs // block_size)


def _check(bits: int, method: str, block_size: int, feeds: Feeds | None) -> None:
    if bits not in (4, 8):
        raise RecipeError(f"expected bits 4 or 8, got {bits}")
    if block_size < 16 or block_size & (block_size - 1):
        raise RecipeError(f"expected block_size a power of two of 16 or more, got {block_size}")
    if method not in ("rtn", "k_quant", "hqq", "gptq"):
        raise RecipeError(f"expected method rtn, k_quant, hqq or gptq, got {method}")
    if method in ("rtn", "k_quant"):
        return
    if bits != 4:
        raise RecipeError(f"{method} knows 4 bits only, got {bits}; set bits = 4, or take method rtn or k_quant")
    if method == "gptq" and feeds is None:
        raise RecipeError("gptq learns from samples, and this place gives it none; take method rtn or k_quant")
    if importlib.util.find_spec("torch") is None:
        raise RecipeError(f"{method} needs torch, which is not installed: pip install torch; or take method k_quant")


def _inputs(node: ir.Node) -> int:
    """Inputs of a MatMul with constant float32 weights; 0 for any other node."""
    if node.op_type != "MatMul" or node.domain not in STANDARD:
        return 0
    weight = constant(operand(node, 1))
    return 0 if weight is None or weight.ndim != 2 or weight.dtype != np.float32 else weight.shape[0]


def _settings(bits: int, method: str, block_size: int, names: list[str], feeds: Feeds | None) -> Any:
    from onnxruntime.quantization import matmul_nbits_quantizer as tools

    match method:
        case "k_quant":
            return tools.KQuantWeightOnlyQuantConfig(customized_weight_config={name: {"bits": bits} for name in names})
        case "hqq":
            return tools.HQQWeightOnlyQuantConfig(block_size=block_size, bits=bits)
        case "gptq":
            return tools.GPTQWeightOnlyQuantConfig(calibration_data_reader=_Reader(feeds or ()), block_size=block_size)
    return tools.DefaultWeightOnlyQuantConfig(block_size=block_size, is_symmetric=False, bits=bits)


class _Reader:
    """Samples as onnxruntime's tools read them: one `get_next` after another, or as an iterator."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = [dict(feed) for feed in feeds]
        self._next = 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample; None after the last."""
        self._next += 1
        return self._feeds[self._next - 1] if self._next <= len(self._feeds) else None

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found
