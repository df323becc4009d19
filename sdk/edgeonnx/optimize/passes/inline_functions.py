"""Put the nodes of functions where they are called, so that other passes see them.

Rules:
    Every call of a function that the model defines becomes the function's nodes.
    Functions that call themselves, or are called other than they are defined, stay.
"""

from onnx_ir.passes.common import InlinePass

from edgeonnx.model import Model


def inline_functions(model: Model) -> tuple[Model, int]:
    """By the rules above."""
    copy = model.copy()
    calls = sum(node.op_identifier() in copy.ir.functions for graph in copy.ir.graphs() for node in graph)
    if not calls:
        return model, 0
    try:
        InlinePass()(copy.ir)
    except Exception:  # onnx-ir raises what its passes raise
        return model, 0
    return Model(copy.ir), calls
