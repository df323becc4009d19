"""Keep constants in one place.

Rules:
    What a Constant node gives is an initializer.
    Initializers are no inputs: as such they can't be relied on, and no caller feeds them (IR version 4 allows it).
    A Constant that is returned stays.
"""

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveInitializersFromInputsPass

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import edited

_APART = 4


def lift_constants(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    return edited(model, _lift)


def _lift(model: ir.Model) -> int:
    before = _count(model)
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    RemoveInitializersFromInputsPass()(model)
    rewrites = before - _count(model)
    if rewrites:
        model.ir_version = max(model.ir_version, _APART)
    return rewrites


def _count(model: ir.Model) -> int:
    constants = sum(node.op_type == "Constant" for graph in model.graphs() for node in graph)
    return constants + sum(len(graph.inputs) for graph in model.graphs())
