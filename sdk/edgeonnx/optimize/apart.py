"""Take onnxruntime's fused products apart: what quantizes and prunes knows Conv, Gemm and MatMul.

Rules:
    FusedConv is Conv, the sum with its fourth input, and the activation; FusedGemm is Gemm and the activation.
    FusedMatMul is Transposes, MatMul, and Mul with its factor.
    An activation that is not known, or a matrix of unknown rank, leaves the node as it is.
onnxruntime fuses them again when it loads the model.
Source: onnxruntime's documentation of its contrib operators.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.optimize.passes._edit import add_weight, bypass

# Activation -> its attributes, in the order of FusedConv's list.
_ACTIVATIONS = {
    **dict.fromkeys(("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh"), ()),
    **dict.fromkeys(("Elu", "LeakyRelu", "ThresholdedRelu"), ("alpha",)),
    **{"Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "Selu": ("alpha", "gamma")},
}
_PRODUCTS = ("Conv", "Gemm", "MatMul")
# Operator, inputs after what the step before gives, attributes.
_Step = tuple[str, list[ir.Value | None], list[ir.Attr]]


def take_apart(model: ir.Model) -> None:
    """By the rules above, in place."""
    for graph in model.graphs():
        for node in list(graph):
            steps = _steps(node) if node.domain == "com.microsoft" else []
            if steps:
                _put(node, steps)


def _steps(node: ir.Node) -> list[_Step]:
    match node.op_type:
        case "FusedConv":
            total: list[_Step] = [("Add", [value], []) for value in node.inputs[3:4] if value is not None]
            numbers = node.attributes.get_floats("activation_params", ())
            return _activated(node, [("Conv", list(node.inputs[:3]), _own(node)), *total], numbers)
        case "FusedGemm":
            names = _ACTIVATIONS.get(node.attributes.get_string("activation", ""), ())
            numbers = [node.attributes.get_float(f"activation_{name}", 0.0) for name in names]
            return _activated(node, [("Gemm", list(node.inputs), _own(node))], numbers)
        case "FusedMatMul":
            return _product(node)
    return []


def _own(node: ir.Node) -> list[ir.Attr]:
    return [attribute for name, attribute in node.attributes.items() if not name.startswith("activation")]


def _activated(node: ir.Node, steps: list[_Step], numbers: Sequence[float]) -> list[_Step]:
    operator = node.attributes.get_string("activation", "")
    if not operator:
        return steps
    names = _ACTIVATIONS.get(operator)
    if names is None or len(names) != len(numbers):
        return []
    if operator == "Clip":
        return [*steps, (operator, [_scalar(node, number) for number in numbers], [])]
    attributes = [ir.AttrFloat32(name, number) for name, number in zip(names, numbers, strict=True)]
    return [*steps, (operator, [], attributes)]


def _product(node: ir.Node) -> list[_Step]:
    flags = [node.attributes.get_int(f"trans{batch}{side}", 0) for batch in ("Batch", "") for side in "AB"]
    factor = node.attributes.get_float("alpha", 1.0)
    if any(flags[:2]) or any(turn and _rank(value) < 2 for turn, value in zip(flags[2:], node.inputs, strict=True)):
        return []
    sides = [_turned(node, value) if turn else value for turn, value in zip(flags[2:], node.inputs, strict=True)]
    scaled: list[_Step] = [] if factor == 1 else [("Mul", [_scalar(node, factor)], [])]
    return [("MatMul", sides, []), *scaled]


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _turned(node: ir.Node, value: ir.Value | None) -> ir.Value:
    """A matrix, or a batch of them, transposed."""
    rank = _rank(value)
    turn = ir.AttrInt64s("perm", [*range(rank - 2), rank - 1, rank - 2])
    return _inserted(node, "Transpose", [value], [turn])


def _scalar(node: ir.Node, number: float) -> ir.Value:
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    assert node.graph is not None
    array = np.array(number, (dtype or ir.DataType.FLOAT).numpy())
    return add_weight(node.graph, array, f"{node.outputs[0].name}.number")


def _put(node: ir.Node, steps: list[_Step]) -> None:
    before: list[ir.Value | None] = []
    for operator, inputs, attributes in steps:
        before = [_inserted(node, operator, [*before, *inputs], attributes)]
    (last,) = before
    assert last is not None
    last.shape = node.outputs[0].shape
    bypass(node, last)


def _inserted(node: ir.Node, operator: str, inputs: list[ir.Value | None], attributes: list[ir.Attr]) -> ir.Value:
    """What a new node before another gives; the product has the other's name."""
    name = node.name if operator in _PRODUCTS else f"{node.name}.{operator}"
    new = ir.Node("", operator, inputs, attributes, name=name)
    new.outputs[0].name, new.outputs[0].type = f"{node.outputs[0].name}.{operator}", node.outputs[0].type
    assert node.graph is not None
    node.graph.insert_before(node, new)
    return new.outputs[0]
