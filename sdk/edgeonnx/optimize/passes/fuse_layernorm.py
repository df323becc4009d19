"""Say layer normalization in one operator.

Rules, for float32:
    `(x - mean) / sqrt(variance + e) * scale + bias` over the last axes, however it is spelt, is LayerNormalization.
    Scale and bias are constants of the normalized axes' shape; where there is no scale, ones.
    LayerNormalization came with opset 17: an older model is raised to it where that is allowed.
    In float16 it stays: the operator computes in float32.
Source: J. Ba, J. Kiros, G. Hinton, Layer Normalization, 2016.
"""

from edgeonnx.model import Model
from edgeonnx.optimize.passes._newer import edited_at
from edgeonnx.optimize.passes._norm import fuse_norms

_OPSET = 17


def fuse_layernorm(model: Model, opset: int | None = None) -> tuple[Model, int]:
    """By the rules above.

    Args:
        model: left as it is.
        opset: the highest that the model may be raised to; None: it keeps its own.
    """
    return edited_at(model, _OPSET, opset, lambda made: fuse_norms(made, "LayerNormalization", centred=True))
