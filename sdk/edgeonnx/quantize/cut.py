"""Place by measured times: which nodes are cheaper in integers, conversions at the borders included.

Every node is either computed in float or in integers. Each costs its own time, and wherever a tensor passes from one
to the other a conversion is paid. The division with the least sum is a minimum cut between "float" and "integers" in a
graph whose edges carry these times (Greig, Porteous and Seheult, Exact maximum a posteriori estimation for binary
images, 1989; here the labels are precisions).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

_FLOAT, _INTEGERS = object(), object()
_NEVER = 1e12


@dataclass(frozen=True)
class Costs:
    """Times in microseconds.

    Attributes:
        floating: node -> its time in float.
        integer: node -> its time in integers; nodes that are missing can't be computed in integers.
        borders: (producer, consumer, conversion) for each tensor between two nodes.
        tied: pairs of nodes that must go together, an operator and the activation that vanishes into it.
        entries: node -> conversions where it reads inputs of the model, or outputs leave it: both are float.
    """

    floating: Mapping[str, float]
    integer: Mapping[str, float]
    borders: tuple[tuple[str, str, float], ...]
    tied: tuple[tuple[str, str], ...]
    entries: Mapping[str, float]


def cheapest(costs: Costs, keep_float: Iterable[str] = ()) -> frozenset[str]:
    """The nodes to compute in integers.

    Args:
        costs: measured or estimated.
        keep_float: nodes that must stay in float, whatever they cost.
    """
    graph = nx.DiGraph()
    kept = set(keep_float)
    for node, time in costs.floating.items():
        integer = costs.integer.get(node, _NEVER) + costs.entries.get(node, 0.0)
        graph.add_edge(_FLOAT, node, capacity=_NEVER if node in kept else integer)
        graph.add_edge(node, _INTEGERS, capacity=time)
    for one, other, conversion in costs.borders:
        _connect(graph, one, other, conversion)
    for one, other in costs.tied:
        _connect(graph, one, other, _NEVER)
    _, (_, integers) = nx.minimum_cut(graph, _FLOAT, _INTEGERS, flow_func=nx.algorithms.flow.boykov_kolmogorov)
    return frozenset(node for node in integers if isinstance(node, str))


def _connect(graph: nx.DiGraph, one: str, other: str, capacity: float) -> None:
    """Pay `capacity` if the two nodes differ, whichever of them is in integers."""
    for start, end in ((one, other), (other, one)):
        known = graph.get_edge_data(start, end, {"capacity": 0.0})["capacity"]
        graph.add_edge(start, end, capacity=known + capacity)
