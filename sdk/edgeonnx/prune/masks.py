"""What went, for a training framework: which elements of each weight stay, to fine-tune with the others at zero."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from edgeonnx.files import replacing
from edgeonnx.graph import constant
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, stays


def save_masks(path: Path, channels: Channels, model: Model, gone: Collection[int]) -> None:
    """Write an `.npz`: name of a weight -> bool array of its shape, True where an element stays.

    Args:
        path: the file.
        channels: of the model.
        model: of full shape.
        gone: channels that went.
    """
    masks: dict[str, np.ndarray] = {}
    for (name, axis), labels in channels.weights.items():
        kept, array = stays(labels, gone), constant(model.ir.graph.initializers[name])
        if array is None or kept.all():
            continue
        shape = [1] * array.ndim
        shape[axis] = len(kept)
        masks[name] = masks.get(name, np.ones(array.shape, bool)) & kept.reshape(shape)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **masks)  # type: ignore[arg-type]
