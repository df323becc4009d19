"""scikit-learn's vectorizers: what skl2onnx writes of them is for some machines and some letters alone."""

from typing import Any

import onnx_ir as ir

from edgeonnx.model import Model

# Every Linux has it. Where none is named onnxruntime wants en_US, which small systems lack.
_LOCALE = "C.UTF-8"
# scikit-learn's pattern of words, and what skl2onnx writes for it: of ASCII alone, and with words of one letter.
_WORDS, _ASCII = r"(?u)\b\w\w+\b", "[a-zA-Z0-9_]+"
_LETTERS = r"[\p{L}\p{N}_]{2,}"


def portable(model: Model, estimator: Any) -> None:
    """Name the locale of what lowers case, and let words have letters of any alphabet, as in scikit-learn; in place."""
    patterns = {value for name, value in estimator.get_params().items() if name.endswith("token_pattern")}
    for node in model.ir.graph.all_nodes():
        if node.op_type == "StringNormalizer":
            node.attributes.add(ir.AttrString("locale", _LOCALE))
        if node.op_type == "Tokenizer" and patterns == {_WORDS}:
            words = node.attributes.get("tokenexp")
            if words is not None and words.as_string() == _ASCII:
                node.attributes.add(ir.AttrString("tokenexp", _LETTERS))
