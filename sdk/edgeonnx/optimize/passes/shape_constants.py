"""Replace computations on shapes by constants, as far as shapes are known without running.

Rules:
    An element of a shape is known where it is a number, or is sure to be a certain input's free dimension.
    Shape, Size, and what picks and joins their elements (Gather, Slice, Concat, Squeeze, …) become a constant where all
        elements are numbers.
    A Reshape's target of numbers and free dimensions becomes a constant too: 0 for the dimension that its input has in
        that place; -1 for the one that is left, where all others are numbers above 0. Both hold for empty tensors.
    Names of dimensions in the file are not believed: exporters give several dimensions one name (`?`).
    Only in the main graph. Arithmetic on known shapes is left to constant folding.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeonnx.model import Model
from edgeonnx.names import all_values, fresh
from edgeonnx.optimize.passes._shape_elements import Elements, Shapes, constant_elements, elements_of, numbers_of
from edgeonnx.weights import inferred

# Older files have every initializer among the inputs too, so that none is a constant.
_APART = 4
_Dimensions = tuple[int | str | None, ...]


def shape_constants(model: Model) -> tuple[Model, int]:
    """The same function with constants for what is known of shapes.

    Args:
        model: any; in model-local functions nothing is found.

    Returns:
        The new model and how many constants were put in; the model itself and 0 if none was.
    """
    copy = model.copy()
    graph, values = copy.ir.graph, _inferred(model)
    shapes = {value.name or "": _dimensions(value.shape) for value in values if value.shape is not None}
    types = {value.name or "": value.dtype for value in values}
    known = _known(graph, shapes)
    count = sum(_make_constant(graph, node, known, types) for node in reversed(list(graph)))
    used = {value.name or "" for value in all_values(graph)}
    count += sum(_fix_target(graph, node, known, shapes, used) for node in list(graph))
    if not count:
        return model, 0
    RemoveUnusedNodesPass()(copy.ir)
    copy.ir.ir_version = max(copy.ir_version, _APART)
    return Model(copy.ir), count


def _inferred(model: Model) -> list[ir.Value]:
    """The main graph's tensors with types and shapes, each free dimension of an input under a name of its own."""
    copy = model.copy()
    graph, numbers = copy.ir.graph, itertools.count()
    for value in all_values(graph):
        if value.shape is not None:
            own = value.is_graph_input()
            dims = [d if isinstance(d, int) else f"edgeonnx.{next(numbers)}" if own else None for d in value.shape]
            value.shape = ir.Shape(dims)
    made = inferred(Model(copy.ir)).ir.graph
    return [*made.inputs, *made.initializers.values(), *(output for node in made for output in node.outputs)]


def _dimensions(shape: ir.Shape) -> _Dimensions:
    return tuple(size if isinstance(size, int) else size.value for size in shape)


def _known(graph: ir.Graph, shapes: dict[str, _Dimensions]) -> dict[ir.Value, Elements]:
    """Elements of the integer tensors that are computed from shapes, as far as they are known."""
    known: dict[ir.Value, Elements] = {}
    for value in graph.initializers.values():
        if not value.is_graph_input() and (elements := constant_elements(value.const_value)) is not None:
            known[value] = elements
    for node in graph:
        if len(node.outputs) == 1 and (elements := elements_of(node, known, shapes)) is not None:
            known[node.outputs[0]] = elements
    return known


def _make_constant(
    graph: ir.Graph, node: ir.Node, known: dict[ir.Value, Elements], types: Mapping[str, ir.DataType | None]
) -> bool:
    """Put a constant in the place of a node whose result is numbers; nodes are looked at from the last to the first."""
    old = node.outputs[0]
    numbers, dtype = numbers_of(known.get(old)), types.get(old.name or "")
    if numbers is None or dtype is None or node.op_type == "Constant" or old.is_graph_output():
        return False
    made = _constant(old.name or "", numbers, dtype)
    needed = bool(old.uses())
    old.replace_all_uses_with(made)
    graph.remove(node, safe=True)
    if needed:
        graph.register_initializer(made)
        known[made] = known[old]
    return needed


def _fix_target(
    graph: ir.Graph, node: ir.Node, known: dict[ir.Value, Elements], shapes: Shapes, used: set[str]
) -> bool:
    """Give a Reshape a constant for a target that is computed."""
    target = node.inputs[1] if node.op_type == "Reshape" and len(node.inputs) > 1 else None
    if target is None or target not in known or numbers_of(known[target]) is not None:
        return False
    data = shapes.get((node.inputs[0].name if node.inputs[0] else None) or "", ())
    result = shapes.get(node.outputs[0].name or "", ())
    copies = not node.attributes.get_int("allowzero", 0)
    columns = itertools.zip_longest(known[target], data[: known[target].size], result[: known[target].size])
    elements = [_element(*column, copies) for column in columns]
    left = [index for index, element in enumerate(elements) if element is None]
    if len(left) == 1 and all(element is None or element > 0 for element in elements):
        elements[left[0]] = -1
    numbers = [element for element in elements if element is not None]
    if len(numbers) < len(elements):
        return False
    made = _constant(fresh(f"{node.outputs[0].name}_shape", used), np.array(numbers, np.int64), ir.DataType.INT64)
    graph.register_initializer(made)
    node.replace_input_with(1, made)
    return True


def _element(wanted: int | str | None, data: int | str | None, result: int | str | None, copies: bool) -> int | None:
    """What stands for one element of a Reshape's target; None if nothing sure does.

    Args:
        wanted: the element.
        data: the dimension of the input in its place.
        result: the dimension of the output.
        copies: whether 0 means the input's dimension.
    """
    if isinstance(wanted, int):
        return data if copies and wanted == 0 and isinstance(data, int) else wanted
    if isinstance(wanted, str) and wanted == data and copies:
        return 0
    return result if isinstance(result, int) and result > 0 else None


def _constant(name: str, numbers: np.ndarray, dtype: ir.DataType) -> ir.Value:
    tensor = ir.tensor(numbers.astype(dtype.numpy()), dtype, name=name)
    return ir.Value(name=name, shape=ir.Shape(numbers.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
