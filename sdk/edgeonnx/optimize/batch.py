"""A batch of one, for targets that take fixed shapes alone."""

from edgeonnx.model import Model, TensorSpec
from edgeonnx.optimize.passes.fix_dims import fix_dims


def fixed_but_batch(tensor: TensorSpec) -> bool:
    """Whether every dimension of an input is a number, but for the first of several, which is a batch."""
    shape = tensor.shape
    return shape is not None and all(isinstance(size, int) for size in (shape[1:] or shape))


def fix_batch(model: Model) -> Model:
    """The model with a batch of one, in each input where the batch alone is free, and wherever its name stands.

    A model without a free batch is given back as it is.
    """
    free = [tensor.name for tensor in model.inputs if fixed_but_batch(tensor) and not tensor.fixed]
    return fix_dims(model, {f"{name}:0": 1 for name in free})[0]
