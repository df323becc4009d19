"""The interface of an exported model: its inputs and outputs under the names that they have in the source."""

from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir

from edgeonnx.errors import ConvertError
from edgeonnx.graph import STANDARD
from edgeonnx.libraries import foreign_operators
from edgeonnx.model import Model

# The oldest that is written: older ones know no functions.
_LEAST_IR = 8
# Element types that came with a later one: 8-bit floats with 9, 4-bit integers with 10, and so on.
_NEWER_TYPES = ((ir.DataType.FLOAT8E4M3FN, 9), (ir.DataType.UINT4, 10))


def named(model: Model, inputs: Sequence[str], outputs: Sequence[str], source: str) -> Model:
    """The model with its inputs and outputs renamed, in their order, and the oldest format that it needs.

    Args:
        model: as the exporter made it.
        inputs: names in the source.
        outputs: names in the source; one that an input has becomes `NAME_output`.
        source: file or class, for messages.

    Raises:
        ConvertError: the exporter made another number of them.
    """
    copy = model.copy().ir
    _set_apart(copy.graph)
    outputs = [f"{name}_output" if name in inputs else name for name in outputs]
    for kind, values, names in (("inputs", copy.graph.inputs, inputs), ("outputs", copy.graph.outputs, outputs)):
        if len(values) != len(names):
            raise ConvertError(f"{source}: the source has {len(names)} {kind}, the exporter wrote {len(values)}")
    interface = {*copy.graph.inputs, *copy.graph.outputs}
    taken = {*inputs, *outputs}
    for value in _inner(copy.graph):
        if value.name in taken and value not in interface:
            value.name = f"{value.name}.inner"
    for value in interface:
        value.name = f"{value.name}.outer"  # two may change places
    for value, name in zip((*copy.graph.inputs, *copy.graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name
    copy.ir_version = min(copy.ir_version, _ir_version(copy))
    return Model(copy)


def _set_apart(graph: ir.Graph) -> None:
    """Give each output a value of its own: one may be an input, a constant, or another output too."""
    seen: set[ir.Value] = set(graph.inputs)
    for place, value in enumerate(graph.outputs):
        if value in seen or value.name in graph.initializers:
            node = ir.node("Identity", [value])
            made = node.outputs[0]
            made.name, made.type, made.shape = f"{value.name}.copy{place}", value.type, value.shape
            graph.append(node)
            graph.outputs[place] = made
        seen.add(graph.outputs[place])


def _inner(graph: ir.Graph) -> list[ir.Value]:
    """Every value of a graph and its subgraphs."""
    found: list[ir.Value] = []
    for scope in (graph, *graph.subgraphs()):
        found += [*scope.inputs, *scope.initializers.values(), *(value for node in scope for value in node.outputs)]
    return list(dict.fromkeys(found))


def _ir_version(model: ir.Model) -> int:
    """The oldest version of the file format that has what the model uses: devices refuse newer ones than they know."""
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    standard = [opset for opset in opsets if opset.domain in ("", "ai.onnx", "ai.onnx.ml")]
    found = max(_LEAST_IR, onnx.helper.find_min_ir_version_for(standard))
    newest = max((value.dtype or 0 for value in _inner(model.graph)), default=0)
    return max([found, *(version for first, version in _NEWER_TYPES if newest >= first)])


def reshaped(model: Model, shapes: Mapping[str, Sequence[int | None] | None]) -> Model:
    """The model with other shapes declared for some outputs: exporters state wrong ones.

    Args:
        model: as it was made.
        shapes: of outputs, by name; None as a size: free, as a whole: unknown.
    """
    if not shapes:
        return model
    copy = model.copy()
    for value in copy.ir.graph.outputs:
        if (name := str(value.name)) in shapes:
            shape = shapes[name]
            value.shape = None if shape is None else ir.Shape(shape)
    return copy


def refuse_foreign(model: Model, source: str) -> None:
    """Refuse operators that an exporter left or made up where neither ONNX nor onnxruntime has one of that name.

    Raises:
        ConvertError: there are some; it names them and their nodes.
    """
    nodes = [node for node in model.ir.graph.all_nodes() if node.domain in STANDARD and not onnx.defs.has(node.op_type)]
    nodes += [node for node in foreign_operators(model.ir).values() if node.domain == "com.microsoft"]
    foreign = [f"{node.op_type} (node {node.name})" for node in nodes]
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        raise ConvertError(
            f"{source} can't be converted: these operators have no form in ONNX: {', '.join(foreign[:3])}{more}; "
            "compute it otherwise in the model"
        )
