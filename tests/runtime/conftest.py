from pathlib import Path

import numpy as np
import pytest
from runtime_bundles import add_model, picture_model, write_bundle


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="session")
def add_bundle(folder) -> Path:
    """total = a + b, two golden samples, no runtime inside: small enough to alter every byte of."""
    rng = np.random.default_rng(1)
    samples = [{name: rng.standard_normal((n, 3), np.float32) for name in "ab"} for n in (1, 2)]
    return write_bundle(folder / "add.edge", add_model(), samples)


@pytest.fixture(scope="session")
def fashion(folder) -> Path:
    """An INT8 classifier of grey pictures of any size, with labels, golden samples and the runtime inside."""
    rng = np.random.default_rng(2)
    samples = [{"input": rng.integers(0, 256, (28, 28, 1)).astype(np.uint8)} for _ in range(3)]
    labels = ["Shirt", "Coat", "Ankle böot"]
    media = {"type": "image", "color": "grey"}
    return write_bundle(folder / "fashion.edge", picture_model(), samples, labels=labels, media=media, runtime=True)


@pytest.fixture
def picture(tmp_path) -> Path:
    from PIL import Image

    path = tmp_path / "shirt.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(path)
    return path
