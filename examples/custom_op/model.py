"""A classifier that cleans its pictures first, and noisy pictures to try it on: what `demo.py` works with.

Writes `classifier.onnx`, `calibration.npz` and `test.npz`.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

FASHION = Path(__file__).parents[1] / "fashion_mnist"
DOMAIN = "example.vision"
# Of the pixels that are black or white whatever the picture shows.
NOISE = 0.05


def with_filter(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a MedianFilter of 3 x 3 before its first node."""
    graph = model.graph
    name = graph.input[0].name
    for node in graph.node:
        node.input[:] = [f"{name}.clean" if each == name else each for each in node.input]
    graph.node.insert(0, helper.make_node("MedianFilter", [name], [f"{name}.clean"], "median", domain=DOMAIN, size=3))
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


def noisy(name: str, seed: int) -> dict[str, np.ndarray]:
    """The pictures of an archive as the model takes them, N x 1 x 28 x 28 from 0 to 1, with salt and pepper."""
    with np.load(FASHION / f"{name}.npz") as arrays:
        pictures = arrays["input"].transpose(0, 3, 1, 2).astype(np.float32) / 255
        labels = arrays["labels"]
    rng = np.random.default_rng(seed)
    struck = rng.random(pictures.shape) < NOISE
    salt = rng.integers(2, size=pictures.shape).astype(np.float32)
    return {"input": np.where(struck, salt, pictures), "labels": labels}


def main(output: Path) -> None:
    """Write the three files."""
    output.mkdir(parents=True, exist_ok=True)
    onnx.save(with_filter(onnx.load(FASHION / "mobilenetv1.onnx")), output / "classifier.onnx")
    for seed, name in enumerate(("calibration", "test")):
        np.savez(output / f"{name}.npz", **noisy(name, seed))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "build"))
