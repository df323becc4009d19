"""What a model is made of: operators, parameters, multiply-accumulates."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from edgeonnx.errors import ModelError
from edgeonnx.graph import STANDARD, sizes_of
from edgeonnx.model import Model, session_options

# Operators that multiply and accumulate but whose count this module does not know.
_UNCOUNTED = frozenset({"Attention", "MultiHeadAttention"})
# Of an Einsum whose multiply-accumulates are counted.
_OPERANDS = 2


@dataclass(frozen=True)
class Anatomy:
    """The parts of a model, subgraphs and functions included.

    Attributes:
        operators: operator -> number of nodes; an operator of a domain of its own is written `domain::name`.
        domains: operator domains in use, those of its own functions apart.
        parameters: number of elements of all floating or integer weights.
        macs: multiply-accumulates of one inference of the main graph, free dimensions taken as 1; None if unknown.
        uncounted: operators that do arithmetic which `macs` leaves out.
    """

    operators: Mapping[str, int]
    domains: frozenset[str]
    parameters: int
    macs: int | None
    uncounted: tuple[str, ...]


def domains_of(model: Model) -> frozenset[str]:
    """Operator domains in use, subgraphs and functions included, those of its own functions apart."""
    return frozenset(n.domain or "" for n in _nodes(model) if n.op_identifier() not in model.ir.functions)


def dissect(model: Model) -> Anatomy:
    """Take a model apart."""
    nodes = _nodes(model)
    operators = Counter(n.op_type if n.domain in STANDARD else f"{n.domain}::{n.op_type}" for n in nodes)
    graphs = [model.ir.graph, *model.ir.graph.subgraphs()]
    weights = [v.const_value for g in graphs for v in g.initializers.values() if v.const_value is not None]
    constants = [t for n in nodes if n.op_type == "Constant" and (t := _constant(n)) is not None]
    return Anatomy(
        operators=dict(operators.most_common()),
        domains=domains_of(model),
        parameters=sum(tensor.size for tensor in [*weights, *constants]),
        macs=_macs(model),
        uncounted=tuple(sorted({n.op_type for n in nodes if _uncounted(n)})),
    )


def _nodes(model: Model) -> list[ir.Node]:
    return [*model.ir.graph.all_nodes(), *(n for f in model.ir.functions.values() for n in f.all_nodes())]


def _constant(node: ir.Node) -> ir.TensorProtocol | None:
    attribute = node.attributes.get("value")
    return None if attribute is None else attribute.as_tensor()


def node_macs(model: Model, shapes: Mapping[str, tuple[int, ...]] | None = None) -> tuple[int | None, ...]:
    """Multiply-accumulates of each node of the main graph, in its order.

    None where a shape that is needed can't be inferred, and for operators that are not counted.

    Args:
        model: any.
        shapes: of tensors by name, as seen on a sample; None: infer them, free dimensions taken as 1.
    """
    if shapes is None:
        return tuple(_node_macs(node, sizes_of) for node in _with_shapes(model).graph)
    seen = {name: list(shape) for name, shape in shapes.items()}

    def sizes(value: ir.Value | None) -> list[int] | None:
        return seen.get(value.name or "", sizes_of(value)) if value is not None else None

    return tuple(_node_macs(node, sizes) for node in model.ir.graph)


def _node_macs(node: ir.Node, sizes: Callable[[ir.Value | None], list[int] | None]) -> int | None:
    count = _COUNTERS.get(node.op_type) if node.domain in STANDARD else None
    if count is None or _uncounted(node):
        return None if _uncounted(node) else 0
    out = sizes(node.outputs[0]) if node.outputs[0].name else []  # left out: no shape to wait for
    first, second = (sizes(value) for value in node.inputs[:2])
    return None if first is None or second is None or out is None else count(node, first, second, out)


def _uncounted(node: ir.Node) -> bool:
    """Whether a node does arithmetic that is not counted: in what order many operands are multiplied is not told."""
    return node.op_type in _UNCOUNTED or (node.op_type == "Einsum" and len(node.inputs) > _OPERANDS)


def _macs(model: Model) -> int | None:
    """Sum over the main graph; None where a shape that is needed can't be inferred."""
    total = 0
    for node in _with_shapes(model).graph:
        count = _node_macs(node, sizes_of)
        if count is None and not _uncounted(node):
            return None
        total += count or 0
    return total


def _with_shapes(model: Model) -> ir.Model:
    """The model with every free input dimension set to 1 and shapes inferred, without its large weights."""
    copy = model.copy()
    for value in copy.ir.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([size if isinstance(size, int) else 1 for size in value.shape])
    for value in [*copy.ir.graph.outputs, *(o for n in copy.ir.graph for o in n.outputs)]:
        value.shape = None
    try:
        return _told_by_onnxruntime(ShapeInferencePass(data_prop=True, strict_mode=False)(copy.ir).model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return copy.ir


def _told_by_onnxruntime(model: ir.Model) -> ir.Model:
    """The model with more shapes, in place: onnxruntime has those of custom operators, and those that are computed."""
    unknown = {o.name: o for node in model.graph for o in node.outputs if o.name and sizes_of(o) is None}
    if not unknown:
        return model
    asking = model.clone()
    values = {output.name: output for node in asking.graph for output in node.outputs}
    asking.graph.outputs[:] = [values[name] for name in unknown]
    try:
        told = Model(asking).session(session_options(optimize=False)).get_outputs()
    except ModelError:  # which it will say where it is run
        return model
    for tensor in told:
        if tensor.shape and all(isinstance(size, int) for size in tensor.shape):
            unknown[tensor.name].shape = ir.Shape(tensor.shape)
    return model


def _conv(_node: ir.Node, _data: list[int], weight: list[int], out: list[int]) -> int:
    return prod(out) * prod(weight[1:])


def _conv_transpose(_node: ir.Node, data: list[int], weight: list[int], _out: list[int]) -> int:
    return prod(data) * prod(weight[1:])


def _gemm(node: ir.Node, data: list[int], _weight: list[int], out: list[int]) -> int:
    return prod(out) * data[0 if node.attributes.get_int("transA", 0) else 1]


def _matmul(_node: ir.Node, data: list[int], _weight: list[int], out: list[int]) -> int:
    return prod(out) * data[-1]


def _einsum(node: ir.Node, first: list[int], second: list[int], out: list[int]) -> int:
    """Each element of the result is a sum over the letters that it does not have."""
    left, arrow, result = node.attributes.get_string("equation").replace(" ", "").partition("->")
    if not arrow:
        result = "".join(letter for letter in left if left.count(letter) == 1)
    sizes: dict[str, int] = {}
    for term, shape in zip(left.split(","), (first, second), strict=False):
        before, _, after = term.partition("...")
        sizes |= {**dict(zip(before, shape, strict=False)), **dict(zip(after[::-1], shape[::-1], strict=False))}
    return prod(out) * prod(size for letter, size in sizes.items() if letter not in result)


def _recurrent(gates: int) -> Callable[[ir.Node, list[int], list[int], list[int]], int]:
    """Of a weight of [directions, gates * hidden, inputs]; each step multiplies the inputs and the hidden state."""
    return lambda _node, data, weight, _out: prod(data[:2]) * prod(weight[:2]) * (weight[2] + weight[1] // gates)


_COUNTERS = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Einsum": _einsum, "Gemm": _gemm, "MatMul": _matmul}
_COUNTERS |= {"GRU": _recurrent(3), "LSTM": _recurrent(4), "RNN": _recurrent(1)}
