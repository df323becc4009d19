"""Placement by measured times: profile float and INT8, divide the nodes where the sum is least, measure again."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from edgeonnx.bench.profile import node_times, profile
from edgeonnx.model import Model
from edgeonnx.quantize.cut import Costs, cheapest
from edgeonnx.quantize.placement import Dialect, Placement

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "Transpose", "ReorderInput", "ReorderOutput"})


class Placer:
    """Knows what each node costs in float and in integers, and learns from every placement that is measured.

    Args:
        model: normalized, float.
        dialect: of the provider.
        feeds: one sample, for timing.
        placement: the widest there is: nodes outside it are never quantized.
    """

    def __init__(self, model: Model, dialect: Dialect, feeds: Mapping[str, np.ndarray], placement: Placement) -> None:
        self._nodes = {node.name or "": node for node in model.ir.graph}
        self._model = model
        self._dialect, self._feeds, self._widest = dialect, feeds, placement
        self._floating, sizes = node_times(model, profile(model, feeds))
        self._sizes = dict(sizes)
        self._integer: dict[str, float] = {}
        self._followers: dict[str, float] = {}
        # Of a conversion, in microseconds: of any, and of a byte.
        self._fixed, self._rate = 0.0, 0.0

    def learn(self, quantized: Model, placement: Placement) -> None:
        """Profile a quantized model: what its integer nodes cost, and its conversions per byte."""
        kernels = profile(quantized, self._feeds)
        times, sizes = node_times(self._model, [k for k in kernels if k.op_type not in _CONVERSIONS])
        for name, size in sizes.items():
            self._sizes[name] = max(self._sizes.get(name, 0), size)
        for name in placement.quantized:
            self._integer[name] = times.get(name, 0.0)
        for name in placement.kept:
            self._followers[name] = max(0.0, times.get(name, 0.0) - self._floating.get(name, 0.0))
        conversions = [k for k in kernels if k.op_type in _CONVERSIONS]
        self._fixed = min((k.microseconds for k in conversions), default=2.0)
        moved = sum(k.bytes for k in conversions)
        above = sum(k.microseconds - self._fixed for k in conversions)
        self._rate = above / moved if moved else 0.0

    def propose(self) -> Placement:
        """The cheapest placement by what is known."""
        integers = cheapest(self._costs())
        quantized = tuple(name for name in self._widest.quantized if name in integers)
        slower = dict.fromkeys(self._widest.quantized, "slower in INT8 here, conversions included")
        kept = {n: r for n, r in {**slower, **self._widest.kept}.items() if n not in integers}
        return Placement(quantized, kept)

    def times(self, name: str) -> tuple[float | None, float | None]:
        """Microseconds of a node in float and in integers, as measured; a node that fuses has no time of its own."""
        return self._floating.get(name), self._integer.get(name)

    def _costs(self) -> Costs:
        borders: list[tuple[str, str, float]] = []
        tied: list[tuple[str, str]] = []
        entries: dict[str, float] = defaultdict(float)
        integer = dict(self._integer)
        for name, node in self._nodes.items():
            for value in dict.fromkeys(node.inputs):
                producer = value.producer() if value is not None else None
                if value is None or value.const_value is not None:
                    continue
                if producer is None or producer.name not in self._nodes:
                    entries[name] += self._conversion(name)
                elif node.op_type in self._dialect.fused:
                    tied.append((producer.name or "", name))
                else:
                    # What float fuses into its producer costs a pass of its own once the producer is in integers.
                    passes = 1 if name in self._floating else 2
                    borders.append((producer.name or "", name, passes * self._conversion(producer.name)))
                    if name in self._followers and producer.name in integer:
                        integer[producer.name] += self._followers[name]
            if any(output.is_graph_output() for output in node.outputs):
                entries[name] += self._conversion(name)
        floating = {name: self._floating.get(name, 0.0) for name in self._nodes}
        possible = {name: integer[name] for name in self._widest.quantized if name in integer}
        return Costs(floating, possible, tuple(borders), tuple(tied), entries)

    def _conversion(self, name: str) -> float:
        return self._fixed + self._rate * self._sizes.get(name, 0)
