"""Say the part of a graph that stands between Transposes in the order of axes that needs fewest of them.

Rules:
    A region is of operators that can be said in any order of axes (`_layout.py`): on each element, with broadcast,
        Concat, Split, Slice, Gather, Pad; Softmax where its axis comes last; what reduces axes, and ends a region where
        it takes them out and the others stay in order.
    Turned into the order that a Transpose comes from or leads to, its inputs and outputs lose that Transpose, others
        gain one. Constants are laid anew.
    From the region those operators are left out that cost as many Transposes inside as outside.
    A region is turned only where the graph has fewer Transposes then.
Models that were converted from a framework with the channels last have a Transpose on either side of every Conv.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import add_weight, bypass, constant, drop, edited, standard
from edgeonnx.optimize.passes._layout import Turned, relaid, turned

Order = tuple[int, ...]


def push_transposes(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, lambda made: sum(_push(graph, made.opset_imports.get("", 0)) for graph in made.graphs()))


def _push(graph: ir.Graph, opset: int) -> int:
    turned_regions = 0
    # Each takes away a Transpose at least.
    for _ in range(sum(_order(node) is not None for node in graph)):
        region = next(_worthwhile(graph, opset), None)
        if region is None:
            break
        region.turn()
        turned_regions += 1
    return turned_regions


def _worthwhile(graph: ir.Graph, opset: int) -> Iterator["_Region"]:
    found = [order for node in graph if (order := _order(node)) is not None]
    for order in dict.fromkeys([*found, *map(_inverse, found)]):
        ways = {node: way for node in graph if (way := turned(node, order, opset)) is not None}
        for nodes in _connected(ways):
            region = _Region(graph, order, {node: ways[node] for node in nodes})
            smallest = region.peeled()
            if smallest.ways and smallest.saved() > 0:
                yield smallest


def _connected(ways: dict[ir.Node, Turned]) -> Iterator[list[ir.Node]]:
    """Nodes that share data, in the order of the graph."""
    sharing: dict[ir.Value, list[ir.Node]] = {}
    for node, way in ways.items():
        for value in _data(node, way):
            sharing.setdefault(value, []).append(node)
    left = dict.fromkeys(ways)
    while left:
        waiting, seen = [next(iter(left))], set()
        while waiting:
            node = waiting.pop()
            if node in left:
                del left[node]
                seen.add(node)
                waiting.extend(other for value in _data(node, ways[node]) for other in sharing[value])
        yield [node for node in ways if node in seen]


def _data(node: ir.Node, way: Turned) -> list[ir.Value]:
    """What is in the order of a region where the node is."""
    inputs = [node.inputs[place] for place in way.moved]
    return [v for v in (*inputs, *(() if way.ends else node.outputs)) if v is not None and constant(v) is None]


@dataclass(frozen=True)
class _Region:
    """Operators to say in another order of axes.

    Attributes:
        graph: that they are of.
        order: axis `order[i]` is to come at place `i`.
        ways: how each of them is said then.
    """

    graph: ir.Graph
    order: Order
    ways: dict[ir.Node, Turned]

    def peeled(self) -> "_Region":
        """Without operators that cost no fewer Transposes inside than outside."""
        inside, before = set(self.ways), -1
        while len(inside) != before:
            before = len(inside)
            for node, way in self.ways.items():
                data = _data(node, way)
                if node in inside and self._cost(data, inside - {node}) <= self._cost(data, inside):
                    inside.remove(node)
        return _Region(self.graph, self.order, {node: way for node, way in self.ways.items() if node in inside})

    def saved(self) -> int:
        """How many Transposes fewer there are where it is turned."""
        data = [value for node, way in self.ways.items() for value in _data(node, way)]
        return self._cost(data, set()) - self._cost(data, set(self.ways))

    def turn(self) -> None:
        """Turn it, in place."""
        before: dict[ir.Value, ir.Value] = {}
        inner = {value: value.shape for node, way in self.ways.items() if not way.ends for value in node.outputs}
        for node, way in self.ways.items():
            self._say(node, way, before, inner)
        for value, shape in inner.items():
            self._return(value, shape)
        drop(value.producer() for value in before)

    def _cost(self, data: Sequence[ir.Value], inside: set[ir.Node]) -> int:
        """Transposes beside values, where some nodes are turned."""
        return sum(self._beside(value, inside) for value in dict.fromkeys(data))

    def _beside(self, value: ir.Value, inside: set[ir.Node]) -> int:
        maker = value.producer()
        before = None if maker is None else _order(maker)
        within = plain = False
        orders = set()
        for node, place in value.uses():
            following = None if before else self._following(node)
            if following:
                orders.add(following)
            elif node in inside and place in self.ways[node].moved:
                within = True
            else:
                plain = True
        plain = plain or value.is_graph_output()
        if before:  # which goes where all its readers are turned
            return plain + (within and before != _inverse(self.order))
        if maker in inside and not self.ways[maker].ends:
            return plain + len(orders - {self.order})
        return len(orders | {self.order} if within else orders)

    def _following(self, node: ir.Node) -> Order | None:
        """What a Transpose does that is of the same graph."""
        return _order(node) if node.graph is self.graph else None

    def _say(self, node: ir.Node, way: Turned, before: dict[ir.Value, ir.Value], inner: Collection[ir.Value]) -> None:
        for place in way.moved:
            value = node.inputs[place]
            if value is None or value in inner:
                continue
            if value not in before:
                before[value] = self._turned_before(value)
            node.replace_input_with(place, before[value])
        for place, array in way.constants.items():
            if len(node.inputs) <= place:
                node.resize_inputs(place + 1)
            node.replace_input_with(place, add_weight(self.graph, array, f"{node.outputs[0].name}.turned"))
        for name, number in way.attributes.items():
            node.attributes[name] = (
                ir.AttrInt64(name, number) if isinstance(number, int) else ir.AttrInt64s(name, number)
            )

    def _turned_before(self, value: ir.Value) -> ir.Value:
        """A value from outside, in the region's order."""
        array = constant(value)
        if array is not None:
            again = relaid(array, self.order)
            return value if again is array else add_weight(self.graph, again, f"{value.name}.turned")
        maker = value.producer()
        made = None if maker is None else _order(maker)
        if maker is None or made is None or maker.inputs[0] is None:
            return self._transposed(value, self.order, value.shape)
        order = _after(made, self.order)
        source = maker.inputs[0]
        return source if _in_place(order) else self._transposed(source, order, source.shape)

    def _transposed(self, value: ir.Value, order: Order, shape: ir.Shape | None) -> ir.Value:
        """A value of a shape by a new Transpose, right behind what makes it."""
        node = ir.node("Transpose", [value], {"perm": list(order)})
        made = node.outputs[0]
        made.name, made.type, made.shape = f"{value.name}.turned", value.type, _reordered(shape, order)
        maker = value.producer()
        if maker is not None and maker.graph is self.graph:
            self.graph.insert_after(maker, node)
        else:
            self.graph.insert_before(self.graph[0], node)
        return made

    def _return(self, value: ir.Value, shape: ir.Shape | None) -> None:
        """Have readers outside of the region get what they got: `value` is in the region's order now."""
        back, returned = _inverse(self.order), value.is_graph_output()
        value.shape = _reordered(shape, self.order)
        plain = []
        for use in list(value.uses()):
            following = self._following(use.node)
            if following is not None:
                _compose(use.node, _after(back, following))
            elif use.node not in self.ways or use.idx not in self.ways[use.node].moved:
                plain.append(use)
        if not plain and not returned:
            return
        made = self._transposed(value, back, value.shape)
        made.shape = shape
        for use in plain:
            use.node.replace_input_with(use.idx, made)
        if returned:
            value.name, made.name = made.name, value.name
            places = [place for place, output in enumerate(self.graph.outputs) if output is value]
            for place in places:
                self.graph.outputs[place] = made


def _compose(node: ir.Node, order: Order) -> None:
    """Give a Transpose another order; take it out where it changes nothing."""
    node.attributes["perm"] = ir.AttrInt64s("perm", order)
    if _in_place(order) and node.inputs[0] is not None:
        bypass(node, node.inputs[0])


def _order(node: ir.Node) -> Order | None:
    """What a Transpose does; None for any other node."""
    if not standard(node) or node.op_type != "Transpose" or "perm" not in node.attributes:
        return None
    return tuple(node.attributes["perm"].as_ints())


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))


def _after(first: Order, second: Order) -> Order:
    """Both of two Transposes in one."""
    return tuple(first[axis] for axis in second)


def _in_place(order: Order) -> bool:
    return order == tuple(range(len(order)))


def _reordered(shape: ir.Shape | None, order: Order) -> ir.Shape | None:
    return None if shape is None else ir.Shape([shape[axis] for axis in order])
