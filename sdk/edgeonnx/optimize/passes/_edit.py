"""What passes have in common: working on a copy, constants, and taking a value's place."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass

from edgeonnx.graph import STANDARD
from edgeonnx.model import Model
from edgeonnx.names import all_values

# Their results differ from run to run, so two of them are not one, and none is a constant.
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def edited(model: Model, edit: Callable[[ir.Model], int]) -> tuple[Model, int]:
    """A copy after an edit in place, and how many rewrites the edit says it made; the model itself if none."""
    copy = model.copy()
    rewrites = edit(copy.ir)
    if not rewrites:
        return model, 0
    names = [value.name for value in all_values(copy.ir.graph)]
    if len(set(names)) < len(names):  # of a subgraph that became part of another, or like one that was made
        NameFixPass()(copy.ir)
    return Model(copy.ir), rewrites


def nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Nodes of ONNX's own domain in the main graph and its subgraphs; the caller may remove what it is given."""
    for graph in model.graphs():
        yield from (node for node in list(graph) if node.graph is graph and standard(node))


def each(model: ir.Model, *operators: str) -> Iterator[ir.Node]:
    """As `nodes`, those of these operators."""
    return (node for node in nodes(model) if node.op_type in operators)


def standard(node: ir.Node) -> bool:
    """Whether a node is of ONNX's own domain."""
    return node.domain in STANDARD


def constant(value: ir.Value | None) -> np.ndarray | None:
    """What a value always is; None where that is not known, or a caller may say."""
    if value is None or value.is_graph_input():
        return None
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The one number that all elements of a constant are; None where there is no such."""
    array = constant(value)
    if array is None or array.size == 0 or array.dtype.kind not in "fiu":
        return None
    first = array.reshape(-1)[0]
    return float(first) if bool((array == first).all()) else None


def integers(node: ir.Node, attribute: str, position: int) -> list[int] | None:
    """A list that newer operator sets take as an input and older ones as an attribute; None where it is not known."""
    if attribute in node.attributes:
        return list(node.attributes[attribute].as_ints())
    array = constant(node.inputs[position]) if len(node.inputs) > position else None
    return None if array is None else [int(number) for number in array.reshape(-1)]


def same_shape(one: ir.Value | None, other: ir.Value | None) -> bool:
    """Whether two values are known to be of one shape, numbers or names."""
    if one is None or other is None or one.shape is None or other.shape is None or len(one.shape) != len(other.shape):
        return False
    pairs = zip(one.shape, other.shape, strict=True)
    return all(a == b and (isinstance(a, int) or a.value is not None) for a, b in pairs)


def only_reader(value: ir.Value | None) -> ir.Node | None:
    """The one node that reads a value, where nothing else does."""
    if value is None or value.is_graph_output() or len(value.uses()) != 1:
        return None
    (use,) = value.uses()
    node: ir.Node = use.node
    return node


def deterministic(node: ir.Node) -> bool:
    """Whether a node gives the same for the same inputs, and does nothing besides."""
    if standard(node) and node.op_type in _RANDOM:
        return False
    return not (node.op_type == "Dropout" and len(node.inputs) > 2 and node.inputs[2] is not None)


def take_place(new: ir.Value, old: ir.Value) -> bool:
    """Have readers of `old` read `new`, also where it is returned; whether that is possible.

    It is not where `old` is returned and `new` can't take its name: it is an input, a constant, another output, or of
    another graph.
    """
    if old.is_graph_output():
        maker, gone = new.producer(), old.producer()
        if maker is None or gone is None or new.is_graph_output() or maker.graph is not gone.graph:
            return False
        name, old.name = old.name, f"{old.name}.before"
        new.name, new.type, new.shape = name, old.type or new.type, old.shape
    elif new.type is None:
        new.type = old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    return True


def bypass(node: ir.Node, source: ir.Value) -> bool:
    """Take out a node whose only result is what `source` is; whether that is possible."""
    made = take_place(source, node.outputs[0])
    if made:
        drop([node])
    return made


def replaced(
    node: ir.Node, operator: str, inputs: Iterable[ir.Value | None], **attributes: int | float | str | Sequence[int]
) -> ir.Node:
    """Put a new node in the place of a node with one result, and of those before it that nothing reads any more."""
    new = ir.node(operator, list(inputs), attributes, name=node.name)
    graph = node.graph
    assert graph is not None
    graph.insert_before(node, new)
    old, made = node.outputs[0], new.outputs[0]
    made.name, made.type, made.shape = f"{old.name}.{operator}", old.type, old.shape
    take_place(made, old)
    drop([node])
    return new


def drop(unread: Iterable[ir.Node | None]) -> None:
    """Remove nodes that nothing reads, and those before them that nothing reads then."""
    waiting = [node for node in unread if node is not None]
    while waiting:
        node = waiting.pop()
        if node.graph is None or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        makers = [value.producer() for value in node.inputs if value is not None]
        node.graph.remove(node, safe=True)
        waiting.extend(maker for maker in makers if maker is not None)


def add_weight(graph: ir.Graph, array: np.ndarray, name: str) -> ir.Value:
    """A new initializer of a graph, under a name like the given one that is not in use."""
    used = graph.initializers
    while name in used:
        name += "."
    value = ir.Value(name=name, type=ir.TensorType(ir.DataType.from_numpy(array.dtype)), shape=ir.Shape(array.shape))
    value.const_value = ir.tensor(array, name=name)
    graph.register_initializer(value)
    return value
