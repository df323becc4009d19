"""Which nodes are quantized, and why the others are not: the dialect of the provider that will run them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import BaseModel, ConfigDict

from edgeonnx import data
from edgeonnx.model import Model
from edgeonnx.quantize.coarse import coarse_tensors
from edgeonnx.ranges import Ranges


class Types(BaseModel):
    """Integer types that kernels take, in order of preference.

    Attributes:
        dtypes: their names.
        symmetric: whether the zero point must be the middle of the type.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtypes: tuple[Literal["uint8", "int8", "uint16", "int16"], ...]
    symmetric: bool = False


class Dialect(BaseModel):
    """What one execution provider makes of Quantize and Dequantize nodes; read from `targets/dialects/`.

    Attributes:
        compute: operators whose integer kernels do the arithmetic.
        fused: activations that vanish into the node before them.
        carried: operators that compute something from integers in a kernel of their own.
        passing: with conversions `before`: operators that give values on unchanged; conversions stand before them.
        joining: with conversions `before`: operators that a computing node's result is fused with, and so not rounded.
        whole: operators that normalizing takes apart, and the provider wants whole.
        conversions: `around`: at inputs and outputs of each quantized node; `before`: at inputs alone.
        activations: integer types of activations.
        weights: integer types of weights.
        per_channel: operators whose weights may have a scale for each channel.
        bias: whether biases become integers too.
        smallest_range: a range is widened to this, since smaller scales are refused.
        complete: whether what stays in float is not run by the accelerator: as much as can be is quantized.
        conv_min_channels: a Conv of fewer input channels stays in float, unless it is depthwise.
        refusal: why nothing can be quantized for this provider, and what to do instead; empty if it can.
        sources: where the facts come from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    compute: frozenset[str]
    fused: frozenset[str]
    carried: frozenset[str]
    passing: frozenset[str] = frozenset()
    joining: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    conversions: Literal["around", "before"] = "around"
    activations: Types = Types(dtypes=("uint8", "int8", "uint16", "int16"))
    weights: Types = Types(dtypes=("int8", "uint8"))
    per_channel: frozenset[str] = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
    bias: bool = True
    smallest_range: float = 0.0
    complete: bool = False
    conv_min_channels: int = 1
    refusal: str = ""
    sources: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True)
class Placement:
    """The nodes of a model's main graph, divided.

    Attributes:
        quantized: names of nodes that get integer kernels.
        kept: name of every other node -> why it stays in float.
    """

    quantized: tuple[str, ...]
    kept: Mapping[str, str]


def load_dialect(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        FileNotFoundError: profiles name only dialects that are shipped, so this is a broken installation.
    """
    path = data.folder("targets") / "dialects" / f"{name}.toml"
    return Dialect.model_validate(tomllib.loads(path.read_text("utf-8")))


def place(model: Model, dialect: Dialect, scope: str, ranges: Ranges) -> Placement:
    """Divide the nodes of a normalized model.

    Args:
        model: normalized, so that every node has a name.
        dialect: of the provider that will run it.
        scope: `all` quantizes whatever has an integer kernel; `compute` only the arithmetic and what vanishes
            into it.
        ranges: of the activations; a node beside one without a finite range stays in float.
    """
    quantized: list[str] = []
    kept: dict[str, str] = {}
    coarse = coarse_tensors(model, ranges)
    for node in model.ir.graph:
        reason = _why_float(node, dialect, scope) or _why_unfit(node, ranges)
        if reason is None and node.op_type in dialect.carried | dialect.passing:
            reason = next((coarse[value] for value in (*node.inputs, *node.outputs) if value in coarse), None)
        if reason is None:
            quantized.append(node.name or "")
        else:
            kept[node.name or ""] = reason
    return Placement(tuple(quantized), kept)


def _why_float(node: ir.Node, dialect: Dialect, scope: str) -> str | None:
    """Reason to leave a node in float; None to quantize it."""
    if node.domain not in ("", "ai.onnx"):
        return f"operator of domain {node.domain}"
    if node.op_type in dialect.compute:
        return _why_compute_float(node, dialect)
    if node.op_type in dialect.fused:
        return _why_fused_float(node, dialect, scope)
    if node.op_type in dialect.carried | dialect.passing:
        return None if scope == "all" else "not arithmetic"
    return f"{node.op_type} has no integer kernel"


def _why_fused_float(node: ir.Node, dialect: Dialect, scope: str) -> str | None:
    value = node.inputs[0] if node.inputs else None
    producer = None if value is None else value.producer()
    if value is None or producer is None:
        return "nothing to fuse into"
    if value.is_graph_output():
        # Seen in onnxruntime 1.32: it merges the two roundings and returns this output as the activation leaves it.
        return f"{value.name} is an output of the model too"
    if any(usage.node.graph is not node.graph for usage in value.uses()):
        return f"{value.name} is read in a subgraph too"
    return _why_float(producer, dialect, scope)


def _why_unfit(node: ir.Node, ranges: Ranges) -> str | None:
    """What of a node's tensors has no form in 8 bits: numbers other than float32, a mask of -inf."""
    dtype = node.outputs[0].dtype
    if dtype != ir.DataType.FLOAT:
        return f"computes in {'an unknown type' if dtype is None else dtype.name.lower()}"
    for value in (*node.inputs, *node.outputs):
        if value is None or value.dtype != ir.DataType.FLOAT:
            continue
        low, high = _bounds(value, ranges)
        if not (np.isfinite(low) and np.isfinite(high)):
            return f"{value.name} holds values that are not finite"
        if high - low > float(np.finfo(np.float32).max):
            return f"{value.name} spans more than float32 can tell"
    return None


def _bounds(value: ir.Value, ranges: Ranges) -> tuple[float, float]:
    """Smallest and largest value of a tensor; NaN if it holds one, 0 where nothing is known."""
    if value.const_value is None:
        return ranges.by_tensor.get(value.name or "", (0.0, 0.0))
    array = value.const_value.numpy()
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def _why_compute_float(node: ir.Node, dialect: Dialect) -> str | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or node.op_type != "Conv":
        return None
    if weight.const_value is None or weight.shape is None:
        return "weights are not constant"
    group = node.attributes.get_int("group", 1)
    channels = weight.shape[1]
    if group == 1 and isinstance(channels, int) and channels < dialect.conv_min_channels:
        return f"reads {channels} channels, fewer than {dialect.conv_min_channels}"
    return None
