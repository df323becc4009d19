"""Constants of one number, as scales of ones and biases of zeros: one for each node that reads it.

Exporters keep equal constants once. A vector that two layers share would have their channels go together, though they
have nothing to do with each other.
"""

from edgeonnx.graph import constant, set_constant
from edgeonnx.model import Model


def unshare(model: Model) -> Model:
    """The model with such vectors apart, its own weights and those of subgraphs as they are."""
    copy = model.copy()
    for value in list(copy.ir.graph.initializers.values()):
        array = constant(value)
        if array is None or array.size < 2 or array.size > max(array.shape) or (array != array.flat[0]).any():
            continue
        for node, index in list(value.uses())[1:]:
            if node.graph is copy.ir.graph and array.dtype.kind == "f":
                set_constant(node, index, array)
    return Model(copy.ir)
