"""Give free dimensions of the inputs a size, so that shapes are known before the model runs.

Rules:
    A dimension is meant by its name (`batch`), or by input and axis (`tokens:1`) where it has none.
    A name stands for one size: it is fixed in every input, output and tensor, however it was meant.
    A name that is part of another (`2*batch`) is a name of its own.
    Shapes of other tensors are inferred anew; what the file states of them stands where nothing can be inferred.
"""

from collections.abc import Mapping

import onnx_ir as ir

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.weights import inferred

# An input and an axis of it.
_Place = tuple[str, int]
_Dimension = int | ir.SymbolicDim


def fix_dims(model: Model, sizes: Mapping[str, int]) -> tuple[Model, int]:
    """The model with these sizes in place of free dimensions.

    Args:
        model: any.
        sizes: by name, or by `input:axis`, axes counted from 0; 1 or more.

    Returns:
        The new model and how many dimensions of inputs were fixed; the model itself and 0 if they have these sizes.

    Raises:
        ModelError: there is no such dimension, it has another size already, or it is given two.
    """
    copy = model.copy()
    graph = copy.ir.graph
    fed = {value.name or "": value for value in graph.inputs if value.name not in graph.initializers}
    there = {(name, axis): size for name, value in fed.items() for axis, size in enumerate(value.shape or ())}
    places = _meant(there, sizes)
    if not places:
        return model, 0
    names = {name: size for place, size in places.items() if (name := _name(there[place]))}
    stated = _forget(graph, names)
    for scope in (graph, *graph.subgraphs()):
        for value in (*scope.inputs, *scope.outputs):
            value.shape = _sized(value.shape, names)
    for (name, axis), size in places.items():
        shape = fed[name].shape
        if shape is not None:
            shape[axis] = size
    made = inferred(Model(copy.ir))
    for value in (value for node in made.ir.graph for value in node.outputs if value.shape is None):
        value.shape = stated.get(value.name or "")
    return Model(made.ir), len(places)


def _meant(there: Mapping[_Place, _Dimension], sizes: Mapping[str, int]) -> dict[_Place, int]:
    """The free dimensions that are to be fixed, with their size."""
    places: dict[_Place, int] = {}
    for text, size in sizes.items():
        if size < 1:
            raise ModelError(f"dimension {text}: expected a size of 1 or more, got {size}")
        for place in _places(there, text):
            dimension = there[place]
            known = places.setdefault(place, size) if isinstance(dimension, ir.SymbolicDim) else dimension
            if known != size:
                raise ModelError(f"dimension {text}: {_written(place)} is {known}, got {size} for it; give one of them")
    return {place: size for place, size in places.items() if isinstance(there[place], ir.SymbolicDim)}


def _places(there: Mapping[_Place, _Dimension], text: str) -> list[_Place]:
    """Where the dimension stands that is meant by `text`."""
    if named := [place for place, dimension in there.items() if _name(dimension) == text]:
        return named
    tensor, _, axis = text.rpartition(":")
    place = (tensor, int(axis) if axis.isdecimal() else -1)
    if place not in there:
        free = [f"{_name(size) or '?'} ({_written(at)})" for at, size in there.items() if not isinstance(size, int)]
        raise ModelError(f"no dimension {text}; free ones of the inputs: {', '.join(free) or 'none'}")
    name = _name(there[place])
    return [other for other, dimension in there.items() if other == place or (name and _name(dimension) == name)]


def _name(dimension: _Dimension) -> str | None:
    return dimension.value if isinstance(dimension, ir.SymbolicDim) else None


def _written(place: _Place) -> str:
    return f"{place[0]}:{place[1]}"


def _forget(graph: ir.Graph, names: Mapping[str, int]) -> dict[str, ir.Shape]:
    """Take the shapes off what nodes make; what they were, with the sizes in them, by tensor."""
    values = [value for node in graph for value in node.outputs if not value.is_graph_output()]
    stated = {value.name or "": shape for value in values if (shape := _sized(value.shape, names)) is not None}
    for value in values:
        value.shape = None
    return stated


def _sized(shape: ir.Shape | None, names: Mapping[str, int]) -> ir.Shape | None:
    """A new shape with sizes in place of names."""
    if shape is None:
        return None
    return ir.Shape([size if isinstance(size, int) else names.get(size.value or "", size) for size in shape])
