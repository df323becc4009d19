"""The table of layers: what became of each, and why."""

from dataclasses import dataclass

from edgeonnx.verbs.gate import Candidate
from edgeonnx.verbs.place import Placer
from edgeonnx.verbs.workshop import Workshop


@dataclass(frozen=True)
class LayerRow:
    """One node of the model in normal form.

    Attributes:
        name: the node's.
        op_type: its operator.
        precision: `int8` or `float`.
        why: why it is in float; empty for integers.
        sqnr: signal to quantization noise of the layer's own output, in dB; None if it was not measured.
        float_us: microseconds in float, this machine; None if it was not measured or is part of another kernel.
        int8_us: microseconds in integers.
    """

    name: str
    op_type: str
    precision: str
    why: str
    sqnr: float | None
    float_us: float | None
    int8_us: float | None


def layer_table(shop: Workshop, chosen: Candidate, placer: Placer | None) -> tuple[LayerRow, ...]:
    """A row for each node, in the order they run."""
    quantized = set(chosen.placement.quantized)
    rows = []
    for node in shop.basis.ir.graph:
        name = node.name or ""
        float_us, int8_us = placer.times(name) if placer else (None, None)
        rows.append(
            LayerRow(
                name=name,
                op_type=node.op_type,
                precision="int8" if name in quantized else "float",
                why=chosen.placement.kept.get(name, ""),
                sqnr=shop.sensitivity.sqnr.get(name),
                float_us=float_us,
                int8_us=int8_us,
            )
        )
    return tuple(rows)
