"""Where nodes land by operator tables, and the runs of nodes on one provider that come of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.targets.judge import Objection, constants, judge, operator_name
from edgeonnx.targets.operators import Table

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# What onnxruntime takes out between an operator and the Quantize after it, whose range does the same.
_CLIPPED = ("Relu", "Clip")


@dataclass(frozen=True)
class Run:
    """Nodes that run one after another on one provider; from one run to the next, tensors are copied.

    Attributes:
        provider: that runs them.
        nodes: how many.
        first, last: names of the first and the last of them.
        macs: their multiply-accumulates, as far as they are known.
    """

    provider: str
    nodes: int
    first: str
    last: str
    macs: int


@dataclass(frozen=True)
class Verdict:
    """What the tables say of a node: the provider that takes it, and why each before that does not."""

    provider: str
    objections: tuple[Objection, ...]


class Flow:
    """A graph as nodes that read each other's results, constants left out.

    Args:
        graph: its nodes are named; with shapes and types, as far as they can be inferred.
        opset: version of the standard operator set.
    """

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self.opset = opset
        self.constant = constants(graph)
        self.nodes = [node for node in graph if not self.constant.issuperset(node.outputs)]
        self.groups = {node.name or "": self._group(node) for node in self.nodes}
        own = set(self.nodes)
        self.makers = {node: {m for v in _reads(node) if (m := v.producer()) in own and m is not None} for node in own}
        self.readers: dict[ir.Node, list[ir.Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for maker in self.makers[node]:
                self.readers[maker].append(node)

    def _group(self, node: ir.Node) -> tuple[ir.Node, ...]:
        """The conversions around a node: an input is dequantized and all its results are quantized; else none."""
        if node.op_type in (_QUANTIZE, _DEQUANTIZE) or any(value.is_graph_output() for value in node.outputs):
            return ()
        makers = [value.producer() for value in node.inputs if value is not None]
        before = [maker for maker in makers if maker is not None and maker.op_type == _DEQUANTIZE]
        after = [use.node for value in node.outputs for use in value.uses()]
        clips = after if len(after) == 1 and after[0].op_type in _CLIPPED else []
        behind = [use.node for use in clips[0].outputs[0].uses()] if clips else after
        whole = before and behind and all(reader.op_type == _QUANTIZE for reader in behind)
        return (*before, *clips, *behind) if whole else ()


def by_tables(flow: Flow, tables: Sequence[Table], last: str, domains: frozenset[str]) -> dict[str, Verdict]:
    """Where each node that is computed lands: name -> verdict.

    Args:
        flow: of the model.
        tables: of the target's providers but the last, in order of preference.
        last: the provider that takes all others of `domains`; what it does not take lands on `""`.
        domains: with kernels on the last provider.
    """
    found: dict[str, Verdict] = {}
    for node in flow.nodes:
        objections: list[Objection] = []
        for table in tables:
            objection = objection_to(table, node, flow, found)
            if objection is None:
                found[node.name or ""] = Verdict(table.provider, tuple(objections))
                break
            objections.append(objection)
        else:
            found[node.name or ""] = Verdict(last if node.domain in domains else "", tuple(objections))
    taking = {table.provider for table in tables if table.groups}
    moved = dict(found)
    for name, members in flow.groups.items():  # conversions go where the node goes that is taken with them
        if found[name].provider in taking:
            moved |= {member.name or "": found[name] for member in members if member.name in found}
    return moved


def objection_to(table: Table, node: ir.Node, flow: Flow, found: Mapping[str, Verdict]) -> Objection | None:
    """Why a provider would not take a node, where the nodes before it landed as `found` says; None if it would."""
    before = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    if before is not None and operator_name(before) in table.fused.get(operator_name(node), ()):
        there = found.get(before.name or "")
        if there is not None and there.provider == table.provider:
            return None
    return judge(table, node, flow.opset, flow.constant, grouped=bool(table.groups and flow.groups[node.name or ""]))


def runs(flow: Flow, landed: Mapping[str, str], macs: Mapping[str, int | None]) -> tuple[Run, ...]:
    """The runs of an order of the nodes that stays on a provider as long as a node there is ready.

    Args:
        flow: of the model.
        landed: name -> provider. Nodes that it leaves out vanish into others, and are part of no run.
        macs: name -> multiply-accumulates.
    """
    waiting = {node: set(makers) for node, makers in flow.makers.items()}
    ready = [node for node in flow.nodes if not waiting[node]]
    found: list[list[str]] = []
    while ready:
        current = landed[found[-1][0]] if found else ""
        node = next((n for n in ready if landed.get(n.name or "", current) == current), ready[0])
        ready.remove(node)
        name = node.name or ""
        if name in landed and landed[name] == current and found:
            found[-1].append(name)
        elif name in landed:
            found.append([name])
        for reader in flow.readers[node]:
            waiting[reader].discard(node)
            if not waiting[reader]:
                ready.append(reader)
    return tuple(
        Run(landed[names[0]], len(names), names[0], names[-1], sum(macs.get(name) or 0 for name in names))
        for names in found
    )


def copies(flow: Flow, landed: Mapping[str, str]) -> int:
    """How many results go from one provider to another."""
    crossing: set[tuple[ir.Value, str]] = set()
    sides: dict[ir.Value, str] = {}
    for node in flow.nodes:
        given = [value for value in _reads(node) if value in sides]
        here = landed.get(node.name or "") or next((sides[value] for value in given), "")
        crossing.update((value, here) for value in given if sides[value] != here)
        sides |= dict.fromkeys(node.outputs, here)
    return len(crossing)


def _reads(node: ir.Node) -> list[ir.Value]:
    """What a node reads, and what the graphs within it capture."""
    inner = [n for a in node.attributes.values() for g in _graphs(a) for n in g.all_nodes()]
    return [value for each in (node, *inner) for value in each.inputs if value is not None]


def _graphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return list(attribute.as_graphs()) if attribute.type == ir.AttributeType.GRAPHS else []
