"""Dynamic axes by name: `x:0=batch,2=height` leaves the first axis of `x` and its third free, under these names."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgeonnx.data import near
from edgeonnx.errors import ConvertError
from edgeonnx.model import Model, TensorSpec

# Input -> axis -> name of the axis.
Axes = Mapping[str, Mapping[int, str]]

_AXIS = re.compile(r"(-?\d+)=([A-Za-z_]\w*)")


def read_axes(texts: Iterable[str]) -> dict[str, dict[int, str]]:
    """Axes as they are written on a command line.

    Raises:
        ConvertError: a text that does not parse.
    """
    found: dict[str, dict[int, str]] = {}
    for text in texts:
        name, colon, axes = text.rpartition(":")  # a tensor of TensorFlow may have a colon in its name
        matches = [_AXIS.fullmatch(part.strip()) for part in axes.split(",")]
        if not (name and colon and all(matches)):
            raise ConvertError(f"dynamic: expected INPUT:AXIS=NAME, as in image:0=batch,2=height; got {text!r}")
        found.setdefault(name, {}).update({int(match[1]): match[2] for match in matches if match})
    return found


def checked(axes: Axes, inputs: Sequence[TensorSpec]) -> dict[str, dict[int, str]]:
    """The axes counted from the front, once they are known to be there.

    Raises:
        ConvertError: an input that is none, an axis beyond its rank, an axis named twice, or a name that is none.
    """
    ranks = {spec.name: None if spec.shape is None else len(spec.shape) for spec in inputs}
    found: dict[str, dict[int, str]] = {}
    for name, named in axes.items():
        if name not in ranks:
            raise ConvertError(f"dynamic: the model has no input {name!r}. {near(name, list(ranks))}")
        rank = ranks[name]
        for axis, label in named.items():
            if rank is not None and not -rank <= axis < rank:
                raise ConvertError(f"dynamic: {name} has {rank} axes, 0 to {rank - 1}; got axis {axis}")
            place = axis if axis >= 0 or rank is None else axis + rank
            if not re.fullmatch(r"[A-Za-z_]\w*", label):
                raise ConvertError(
                    f"dynamic: expected a name of letters, digits and _ for {name}:{axis}, got {label!r}"
                )
            if found.setdefault(name, {}).setdefault(place, label) != label:
                raise ConvertError(f"dynamic: {name}:{place} is named both {found[name][place]} and {label}")
    return found


def name_axes(model: Model, axes: Axes) -> Model:
    """The model with the names of its inputs' free axes; a name that it has for one changes wherever it stands.

    Raises:
        ConvertError: an axis that is to be free is fixed.
    """
    if not axes:
        return model
    copy = model.copy()
    inputs = {value.name: value for value in copy.ir.graph.inputs}
    renamed: dict[str, str] = {}
    for name, named in axes.items():
        sizes = list(inputs[name].shape or ())
        for axis, label in named.items():
            size = sizes[axis] if axis < len(sizes) else None
            if not isinstance(size, ir.SymbolicDim):
                raise ConvertError(
                    f"dynamic: {name}:{axis} is fixed at {size} in the source; export it from there with a free axis"
                )
            if size.value is not None:
                renamed[size.value] = label
            sizes[axis] = ir.SymbolicDim(label)
        inputs[name].shape = ir.Shape(sizes)
    _relabel(copy.ir, lambda label: renamed.get(label, label))
    return Model(copy.ir)


def unnamed(model: Model, pattern: str) -> Model:
    """The model without the names that an exporter made up for free axes, each another: they only mislead."""
    copy = model.copy()
    _relabel(copy.ir, lambda label: None if re.fullmatch(pattern, label) else label)
    return Model(copy.ir)


def _relabel(model: ir.Model, relabel: Callable[[str], str | None]) -> None:
    """Change the names of free axes in place, in the graph and its subgraphs."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
            sizes = list(value.shape or ())
            made = [_relabelled(size, relabel) for size in sizes]
            if made != sizes:
                value.shape = ir.Shape(made)


def _relabelled(size: Any, relabel: Callable[[str], str | None]) -> Any:
    return ir.SymbolicDim(relabel(size.value)) if isinstance(size, ir.SymbolicDim) and size.value else size


def free_axes(inputs: Iterable[TensorSpec]) -> dict[str, dict[int, Any]]:
    """The axes that are not a number, by input: axis -> its name, None where it has none."""
    return {
        spec.name: {axis: size for axis, size in enumerate(spec.shape or ()) if not isinstance(size, int)}
        for spec in inputs
    }
