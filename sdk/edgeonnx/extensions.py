"""onnxruntime-extensions: operators (tokenizers, picture decoders) that a model may use besides onnxruntime's own."""

from collections.abc import Iterable

import onnx_ir as ir

from edgeonnx.errors import ModelError

DOMAIN = "ai.onnx.contrib"
VISION = "com.microsoft.extensions"  # its picture operators are in this one
DOMAINS = (DOMAIN, VISION)

# The last is ONNX's own: https://onnx.ai/onnx/operators/onnx__ImageDecoder.html
_DECODERS = ("DecodeImage", "ImageDecoder")


def uses_extensions(model: ir.Model) -> bool:
    """Whether a node of the graph, of its subgraphs or of its functions is one of onnxruntime-extensions' operators."""
    parts: Iterable[ir.Graph | ir.Function] = (model.graph, *model.functions.values())
    return any(node.domain in DOMAINS for part in parts for node in part.all_nodes())


def decoded_inputs(model: ir.Model) -> frozenset[str]:
    """Names of the inputs that take the bytes of a picture's file, since the graph decodes them."""
    readers = {value: [node for node, _ in value.uses()] for value in model.graph.inputs}
    return frozenset(
        value.name or "" for value, nodes in readers.items() if any(node.op_type in _DECODERS for node in nodes)
    )


def library_path() -> str:
    """Its library, to be registered like any other of custom operators.

    Raises:
        ModelError: it is not installed here.
    """
    try:
        from onnxruntime_extensions import get_library_path  # an extra
    except ImportError as error:
        raise ModelError(
            "the model uses onnxruntime-extensions' operators; to run it, pip install 'edgeonnx[extensions]'"
        ) from error
    return str(get_library_path())
