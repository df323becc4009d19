"""Masks for a training framework: an `.npz` that numpy reads, whatever weights are called."""

import numpy as np

from edgeonnx.prune.masks import save_masks


def test_names_that_are_arguments_of_numpys_own(tmp_path):
    masks = {name: np.array([[True, False], [True, True]]) for name in ("file", "allow_pickle", "block.0/conv.weight")}
    save_masks(tmp_path / "masks.npz", masks)
    with np.load(tmp_path / "masks.npz") as read:
        assert {name: array.tolist() for name, array in read.items()} == {name: m.tolist() for name, m in masks.items()}
