"""Time from `load` to the first result, of bundles against their plain float models with onnxruntime's default options.

    python benchmarks/cold_start.py [FLOAT.onnx INT8.onnx ...]

Without arguments, the models that `make bench-peers` left in build/bench/cases. Each run is a process
of its own that has imported numpy, onnxruntime and the runtime; the two sides take turns, so that a busy machine slows
both. Prints medians in ms and the ratio, which should be at most 0.4. Files are in the page cache for both.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeonnx import package
from edgeonnx.targets import list_targets, runs_here

ROOT = Path(__file__).parent.parent
CASES = ROOT / "build" / "bench" / "cases"
TURNS = 15
# What both sides do alike: import, make one feed for the model's own inputs, take the time.
START = """
import json, sys, time
import numpy as np
import onnxruntime as ort
sys.path.insert(0, sys.argv[1])
shapes = json.loads(sys.argv[3])
feeds = {name: np.ones(shape, dtype) for name, (dtype, shape) in shapes.items()}
"""
FLOAT = """
start = time.perf_counter()
session = ort.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
session.run(None, feeds)
print(time.perf_counter() - start)
"""
BUNDLE = """
import binascii, hashlib
import edgeonnx_runtime as er
from edgeonnx_runtime import _parse, _weights
er.load, er.Model
start = time.perf_counter()
er.load(sys.argv[2]).run(feeds)
print(time.perf_counter() - start)
"""


def main(arguments: list[str]) -> None:
    """Package each INT8 model for the CPU target that this machine is, and time it against float."""
    here = (target for target in list_targets() if runs_here(target))
    target = next((target.name for target in here if target.providers[0].name == "CPUExecutionProvider"), None)
    if target is None:
        sys.exit("no target's profile describes this machine")
    given = list(zip(arguments[::2], arguments[1::2], strict=True))
    pairs = [(Path(int8).stem, (Path(float_model), Path(int8))) for float_model, int8 in given] or found()
    if not pairs:
        sys.exit(f"no models in {CASES}: run make bench-peers PEERS=edgeonnx, or name some: FLOAT.onnx INT8.onnx ...")
    print(f"{'model':<24}{'float ms':>10}{'bundle ms':>11}{'ratio':>8}   for {target}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "edgeonnx_runtime").symlink_to(ROOT / "sdk" / "edgeonnx" / "runtime")
        for name, (float_model, int8) in pairs:
            bundle = package(int8, target, Path(folder) / f"{name}.edge", bare=True)
            shapes = {spec.name: (spec.dtype, sized(spec.shape)) for spec in bundle.manifest.inputs}
            sides: tuple[list[float], list[float]] = ([], [])
            for _ in range(TURNS):
                for code, path, times in ((FLOAT, float_model, sides[0]), (BUNDLE, bundle.path, sides[1])):
                    times.append(seconds(code, folder, path, shapes))
            plain, ours = (1e3 * statistics.median(times) for times in sides)
            print(f"{name:<24}{plain:>10.1f}{ours:>11.1f}{ours / plain:>8.2f}")


def sized(shape: tuple[int | str, ...]) -> list[int]:
    """One sample; 128 for other free dimensions."""
    return [size if isinstance(size, int) else (128 if axis else 1) for axis, size in enumerate(shape)]


def seconds(code: str, folder: str, path: str | Path, shapes: dict[str, tuple[str, list[int]]]) -> float:
    """One process's time."""
    words = [sys.executable, "-c", START + code, folder, str(path), json.dumps(shapes)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def found() -> list[tuple[str, tuple[Path, Path]]]:
    """The models there are: name, float, INT8."""
    cases = sorted(path.parent.parent for path in CASES.glob("*/edgeonnx/model.onnx"))
    return [(case.name, (case / "model.onnx", case / "edgeonnx" / "model.onnx")) for case in cases]


if __name__ == "__main__":
    main(sys.argv[1:])
