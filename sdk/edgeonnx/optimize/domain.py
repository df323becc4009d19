"""One spelling of ONNX's own domain."""

import onnx_ir as ir


def spell_alike(model: ir.Model) -> None:
    """Write `ai.onnx` as the empty name that most files have, in place: tools take the two for different domains."""
    scopes: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for scope in scopes:
        if "ai.onnx" in scope.opset_imports:
            scope.opset_imports[""] = scope.opset_imports.pop("ai.onnx")
        for node in scope.all_nodes():
            node.domain = "" if node.domain == "ai.onnx" else node.domain
