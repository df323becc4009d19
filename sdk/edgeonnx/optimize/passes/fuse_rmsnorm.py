"""Say root mean square normalization in one operator.

Rules, for float32:
    `x / sqrt(mean of squares + e) * scale` over the last axes, however it is spelt, is RMSNormalization.
    The scale is a constant of the normalized axes' shape; where there is none, ones.
    RMSNormalization came with opset 23: an older model is raised to it where that is allowed.
    In float16 it stays: the operator computes in float32.
Source: B. Zhang, R. Sennrich, Root Mean Square Layer Normalization, 2019.
"""

from edgeonnx.model import Model
from edgeonnx.optimize.passes._newer import edited_at
from edgeonnx.optimize.passes._norm import fuse_norms

_OPSET = 23


def fuse_rmsnorm(model: Model, opset: int | None = None) -> tuple[Model, int]:
    """By the rules above.

    Args:
        model: left as it is.
        opset: the highest that the model may be raised to; None: it keeps its own.
    """
    return edited_at(model, _OPSET, opset, lambda made: fuse_norms(made, "RMSNormalization", centred=False))
