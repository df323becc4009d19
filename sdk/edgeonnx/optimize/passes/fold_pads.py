"""Pad in the layer that reads what is padded.

Rules, for a Pad by constants of the spatial axes alone that one node reads:
    Zeros before a Conv become its padding.
    Zeros before an AveragePool that pads nothing itself become its padding, counted like other values.
    Before a MaxPool, -inf becomes its padding, and zeros where no value is negative.
    A pool whose last window may stick out (ceil_mode) stays, and so does padding that takes away.
"""

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import bypass, each, edited, integers, only_reader, scalar, standard

_LAYERS = ("AveragePool", "Conv", "MaxPool")
_NOT_NEGATIVE = ("HardSigmoid", "Relu", "Sigmoid", "Softmax")


def fold_pads(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, lambda made: sum(_fold(node) for node in each(made, "Pad")))


def _fold(node: ir.Node) -> bool:
    reader, pads = only_reader(node.outputs[0]), _spatial(node)
    source = node.inputs[0]
    if reader is None or pads is None or source is None or reader.graph is not node.graph:
        return False
    if not standard(reader) or reader.op_type not in _LAYERS or reader.inputs[0] is not node.outputs[0]:
        return False
    axes = len(pads)
    own = list(reader.attributes["pads"].as_ints()) if "pads" in reader.attributes else [0] * axes
    if not _allowed(node, reader, pads, own):
        return False
    reader.attributes["pads"] = ir.AttrInt64s("pads", [a + b for a, b in zip(own, pads, strict=True)])
    reader.attributes.pop("auto_pad", None)
    if reader.op_type == "AveragePool":
        reader.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)
    return bypass(node, source)


def _spatial(node: ir.Node) -> list[int] | None:
    """How much is padded at the begin and end of each spatial axis; None where other axes are, or it is not known."""
    pads = integers(node, "pads", 1)
    chosen = len(node.inputs) > 3 and node.inputs[3] is not None
    if pads is None or chosen or node.attributes.get_string("mode", "constant") != "constant" or min(pads) < 0:
        return None
    rank = len(pads) // 2
    begin, end = pads[:rank], pads[rank:]
    return None if any(begin[:2] + end[:2]) else begin[2:] + end[2:]


def _allowed(node: ir.Node, reader: ir.Node, pads: list[int], own: list[int]) -> bool:
    value = _value(node)
    if reader.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or len(own) != len(pads):
        return False
    if reader.op_type == "Conv":
        return value == 0
    kernel = list(reader.attributes["kernel_shape"].as_ints())
    inside = all(pad + more < size for pad, more, size in zip(pads, own, [*kernel, *kernel], strict=True))
    if reader.attributes.get_int("ceil_mode", 0) or not inside:
        return False
    if reader.op_type == "AveragePool":
        return value == 0 and not any(own)
    maker = node.inputs[0].producer() if node.inputs[0] is not None else None
    dilations = reader.attributes["dilations"].as_ints() if "dilations" in reader.attributes else ()
    plain = len(reader.outputs) == 1 and all(step == 1 for step in dilations)
    positive = maker is not None and standard(maker) and maker.op_type in _NOT_NEGATIVE
    return plain and (value == -np.inf or (value == 0 and positive))


def _value(node: ir.Node) -> float | None:
    given = node.inputs[2] if len(node.inputs) > 2 else None
    return node.attributes.get_float("value", 0.0) if given is None else scalar(given)
