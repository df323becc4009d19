"""Take out what contributes to no output.

Rules:
    Nodes whose results nothing reads go; so do optional results that nothing reads.
    Initializers that nothing reads go, of subgraphs too.
    Functions that nothing calls go, and operator sets that nothing uses.
"""

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedFunctionsPass, RemoveUnusedNodesPass, RemoveUnusedOpsetsPass

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import edited


def remove_dead(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, _remove)


def _remove(model: ir.Model) -> int:
    before = _count(model)
    RemoveUnusedNodesPass()(model)
    for graph in model.graphs():
        kept = {*graph.inputs, *graph.outputs}
        for name, value in list(graph.initializers.items()):
            if not value.uses() and value not in kept:
                del graph.initializers[name]
    RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]
    RemoveUnusedOpsetsPass()(model)
    return before - _count(model)


def _count(model: ir.Model) -> int:
    """Everything there is to remove."""
    parts = sum(len(graph) + len(graph.initializers) for graph in model.graphs())
    results = sum(bool(value.name) for graph in model.graphs() for node in graph for value in node.outputs)
    return parts + results + len(model.functions) + len(model.opset_imports)
