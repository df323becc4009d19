"""What the runtime costs over numpy and onnxruntime alone: import, memory, and each call. Prints ratios.

Imports are timed in fresh interpreters, with and without the runtime in turns; calls in one process, in turns. Linux
only, for /proc.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import edgeonnx
from edgeonnx.bench.timing import paired

EXAMPLE = Path(__file__).parent.parent / "examples" / "fashion_mnist"
SDK = Path(edgeonnx.__file__).parent
# VmHWM, not getrusage: the latter remembers the process that forked this one.
PROBE = """
import time
start = time.perf_counter()
import numpy, onnxruntime{more}
taken = time.perf_counter() - start
print(taken, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
ROUNDS = 15


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "fashion.edge"
        edgeonnx.package(EXAMPLE / "mobilenetv1.onnx", "x86-64", bundle, pipeline=EXAMPLE / "pipeline.toml")
        (Path(folder) / "edgeonnx_runtime").symlink_to(SDK / "runtime")
        imports(folder)
        calls(bundle)


def imports(folder: str) -> None:
    """The runtime loads its parts when they are first used; here all that `load` needs is imported."""
    bare, full = [], []
    more = "; import edgeonnx_runtime; edgeonnx_runtime.load"
    for _ in range(ROUNDS):
        for series, extra in ((bare, ""), (full, more)):
            command = [sys.executable, "-c", PROBE.format(more=extra)]
            out = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": folder})
            series.append([float(word) for word in out.stdout.split()])
    one, two = np.min(bare, axis=0), np.min(full, axis=0)  # the least disturbed of each
    print(f"import: {two[0] / one[0]:.3f}x of numpy and onnxruntime ({one[0] * 1e3:.0f} ms)")
    print(f"memory: {two[1] / one[1]:.3f}x of numpy and onnxruntime ({one[1] / 1024:.0f} MB)")


def calls(bundle: Path) -> None:
    model = edgeonnx.load(bundle, threads=1)
    feeds = {"input": np.zeros((28, 28, 1), np.uint8)}
    names = [output.name for output in model.outputs]
    timed = paired(lambda: model.session.run(names, feeds), lambda: model.run(feeds), seconds=4)
    added = timed.second.median - timed.first.median
    print(f"call:   run() takes {added:.1f} us over session.run ({timed.first.median:.1f} us)")


if __name__ == "__main__":
    main()
