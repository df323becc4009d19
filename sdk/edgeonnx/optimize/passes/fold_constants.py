"""Compute now what is the same on every run.

Rules:
    A node whose inputs are all constants becomes what onnxruntime computes for it, the one that will run the rest too.
    It stays where that would make the file larger by more than a share of the weights: a mask of a sentence's length is
        quicker computed than read.
    It stays where it is random, gives anything but tensors of numbers, or is of a domain that onnxruntime lacks.
    Quantize and Dequantize stay: integer weights are not to become floats.
    An If whose condition is constant becomes the branch that it takes.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgeonnx.model import Model, session_options
from edgeonnx.optimize.passes._edit import add_weight, constant, deterministic, drop, edited, standard

_STAY = {"Constant", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear", "If", "Loop", "Scan", "SequenceMap"}
_KINDS = "fiub"
# What a constant may take more than what it is computed from: bytes, and a share of all weights.
_SPARE = 16 << 10
_GROWTH = 0.01
# Beyond it, a constant is not held in memory twice to compute with it.
_LARGEST = 1 << 30


def fold_constants(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    spare = max(_SPARE, int(model.weight_bytes * _GROWTH))
    return edited(model, lambda graph: _fold_all(graph, spare))


def _fold_all(model: ir.Model, spare: int) -> int:
    folded = 0
    for graph in list(model.graphs()):
        for node in list(graph):
            if node.graph is graph and (_fold(model, node, spare) or _take_branch(node)):
                folded += 1
    return folded


def _fold(model: ir.Model, node: ir.Node, spare: int) -> bool:
    """Put constants in the place of what a node gives; whether that was possible."""
    if not _foldable(node):
        return False
    arrays = {value.name or "": constant(value) for value in node.inputs if value is not None}
    known = {name: array for name, array in arrays.items() if array is not None and array.dtype.kind in _KINDS}
    if len(known) < len(arrays) or sum(array.nbytes for array in known.values()) > _LARGEST:
        return False
    made = _compute(model, node, known)
    if made is None or sum(array.nbytes for array in made) > _freed(node) + spare:
        return False
    assert node.graph is not None
    for value, array in zip(node.outputs, made, strict=True):
        value.replace_all_uses_with(add_weight(node.graph, array, value.name or "folded"))
    drop([node])
    return True


def _foldable(node: ir.Node) -> bool:
    returned = any(value.is_graph_output() or not value.name for value in node.outputs)
    return not ((standard(node) and node.op_type in _STAY) or not deterministic(node) or returned)


def _compute(model: ir.Model, node: ir.Node, inputs: dict[str, np.ndarray]) -> Sequence[np.ndarray] | None:
    """What onnxruntime computes for a node alone; None where it does not."""
    given = {
        name: ir.Value(name=name, type=ir.TensorType(ir.DataType.from_numpy(array.dtype)), shape=ir.Shape(array.shape))
        for name, array in inputs.items()
    }
    operands = [None if value is None else given[value.name or ""] for value in node.inputs]
    alone = ir.Node(node.domain, node.op_type, operands, node.attributes.values(), num_outputs=len(node.outputs))
    for made, value in zip(alone.outputs, node.outputs, strict=True):
        made.name = value.name
    graph = ir.Graph(list(given.values()), alone.outputs, nodes=[alone], opset_imports=model.opset_imports, name="fold")
    try:
        session = Model(ir.Model(graph, ir_version=model.ir_version)).session(session_options(optimize=False))
        results = session.run(None, inputs)
    except Exception:  # onnxruntime's exception types are private and many
        return None
    usable = all(isinstance(array, np.ndarray) and array.dtype.kind in _KINDS for array in results)
    return results if usable else None


def _freed(node: ir.Node) -> int:
    """Bytes of the constants that only this node reads."""
    alone = {value for value in node.inputs if value is not None and {use.node for use in value.uses()} == {node}}
    return sum(value.const_value.nbytes for value in alone if value.const_value is not None)


def _take_branch(node: ir.Node) -> bool:
    """Put the nodes of the branch that an If always takes in its place; whether that was possible."""
    if not standard(node) or node.op_type != "If" or node.graph is None:
        return False
    condition = constant(node.inputs[0])
    if condition is None or condition.size != 1 or any(value.is_graph_output() for value in node.outputs):
        return False
    branch = node.attributes["then_branch" if condition.reshape(-1)[0] else "else_branch"].as_graph()
    results = list(branch.outputs)
    for name, value in list(branch.initializers.items()):
        del branch.initializers[name]
        while name in node.graph.initializers:
            name += "."  # noqa: PLW2901 - the name it has there
        value.name = name
        node.graph.register_initializer(value)
    branch.outputs.clear()
    inner = list(branch)
    branch.remove(inner)
    node.graph.insert_before(node, inner)
    for old, new in zip(node.outputs, results, strict=True):
        old.replace_all_uses_with(new)
    drop([node])
    return True
