"""What went, for a training framework: which elements of each weight stay, to fine-tune with the others at zero."""

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from edgeonnx.files import replacing
from edgeonnx.graph import constant
from edgeonnx.model import Model
from edgeonnx.prune.channels import Channels, Mask, stays


def channel_masks(channels: Channels, model: Model, gone: Collection[int]) -> dict[str, Mask]:
    """Name of each weight that lost channels -> bool of its former shape, True where an element stays.

    Args:
        channels: of the model.
        model: of full shape.
        gone: channels that went.
    """
    masks: dict[str, Mask] = {}
    for (name, axis), labels in channels.weights.items():
        kept, array = stays(labels, gone), constant(model.ir.graph.initializers[name])
        if array is None or kept.all():
            continue
        shape = [1] * array.ndim
        shape[axis] = len(kept)
        masks[name] = masks.get(name, np.ones(array.shape, bool)) & kept.reshape(shape)
    return masks


def save_masks(path: Path, masks: Mapping[str, Mask]) -> None:
    """Write masks as an `.npz`, whole or not at all."""
    # Not np.savez: its own arguments' names, such as `file`, may be a weight's.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mask in masks.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, mask, allow_pickle=False)
