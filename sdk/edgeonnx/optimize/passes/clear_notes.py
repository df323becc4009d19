"""Take out what exporters note down of nodes and tensors: stack traces, sources, doc strings.

The model's own notes stay: its metadata, producer and doc string.
"""

import onnx_ir as ir

from edgeonnx.model import Model
from edgeonnx.optimize.passes._edit import edited


def clear_notes(model: Model) -> tuple[Model, int]:
    """As above."""
    return edited(model, _clear)


def _clear(model: ir.Model) -> int:
    graphs = [*model.graphs()]
    nodes = [node for graph in graphs for node in graph]
    values = [value for graph in graphs for value in (*graph.inputs, *graph.initializers.values())]
    results = [value for node in nodes for value in node.outputs]
    parts: list[ir.Graph | ir.Node | ir.Value] = [*graphs, *nodes, *values, *results]
    noted = [part for part in dict.fromkeys(parts) if part.metadata_props or part.doc_string]
    for part in noted:
        part.metadata_props.clear()
        part.doc_string = None
    return len(noted)
