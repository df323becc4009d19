"""Small models, in ONNX's own text form."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper


def write_model(path: Path, graph: str, opset: int = 17, external: bool = False, **weights: np.ndarray) -> Path:
    """Write the model of a graph such as `(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }`.

    Args:
        path: where to.
        graph: its text.
        opset: of the standard operators.
        external: keep the weights in `<name>.data` beside it.
        weights: arrays by name.
    """
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> graph {graph}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(model)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal values, float32, the same in every run."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def linear(path: Path, **more: object) -> Path:
    """Four numbers to three, by a product and an activation; batch free."""
    return write_model(path, "(float[N,4] x) => (float[N,3] y) { h = MatMul(x, w) y = Relu(h) }", w=noise(4, 3), **more)


def two_inputs(path: Path) -> Path:
    """A model that takes `x` and `mask`."""
    graph = "(float[N,4] x, float[N,4] mask) => (float[N,3] y) { kept = Mul(x, mask) y = MatMul(kept, w) }"
    return write_model(path, graph, w=noise(4, 3))
