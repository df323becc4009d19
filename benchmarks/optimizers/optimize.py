"""One tool on one model, with its defaults: `python optimize.py TOOL MODEL OUTPUT`. In an environment of its own."""

import sys
from pathlib import Path


def onnxslim(model: str, output: str) -> None:
    import onnxslim

    onnxslim.slim(model, output)


def onnxsim(model: str, output: str) -> None:
    import onnx
    import onnxsim

    simplified, checked = onnxsim.simplify(onnx.load(model))
    if not checked:
        raise ValueError("its own check says that the result differs")
    onnx.save(simplified, output)


def onnxoptimizer(model: str, output: str) -> None:
    import onnx
    import onnxoptimizer

    onnx.save(onnxoptimizer.optimize(onnx.load(model), onnxoptimizer.get_fuse_and_elimination_passes()), output)


def onnxruntime(model: str, output: str, level: str) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = output
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def edgeonnx(model: str, output: str, target: str | None = None) -> None:
    import numpy as np

    import edgeonnx

    # It compares outputs on samples; of its own it would make noise, which some models do not run on.
    samples = [dict(np.load(path)) for path in sorted(Path(model).parent.glob("feeds-*.npz"))]
    edgeonnx.optimize(model, output=output, target=target, data=samples)


TOOLS = {
    "edgeonnx": edgeonnx,
    "edgeonnx for a CPU": lambda model, output: edgeonnx(model, output, "x86-64-vnni"),
    "onnxslim": onnxslim,
    "onnxsim": onnxsim,
    "onnxoptimizer": onnxoptimizer,
    "onnxruntime basic": lambda model, output: onnxruntime(model, output, "BASIC"),
    "onnxruntime extended": lambda model, output: onnxruntime(model, output, "EXTENDED"),
}

if __name__ == "__main__":
    TOOLS[sys.argv[1]](sys.argv[2], sys.argv[3])
