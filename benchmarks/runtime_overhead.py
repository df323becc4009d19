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
        data, model = EXAMPLE / "calibration.npz", EXAMPLE / "mobilenetv1.onnx"
        edgeonnx.package(model, "x86-64", bundle, pipeline=EXAMPLE / "pipeline.toml", data=data)
        with np.load(data) as arrays:
            pictures = arrays["input"][:200].transpose(0, 3, 1, 2).astype(np.float32) / 255
        np.savez(Path(folder) / "prepared.npz", input=pictures)
        edgeonnx.package(model, "x86-64", Path(folder) / "bare.edge", data=Path(folder) / "prepared.npz")
        (Path(folder) / "edgeonnx_runtime").symlink_to(SDK / "runtime")
        imports(folder)
        calls(bundle, Path(folder) / "bare.edge")


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


def calls(joined: Path, bare: Path) -> None:
    """Of uint8 pictures, and of floats, whose values are looked at."""
    rng = np.random.default_rng(0)
    call("a picture", joined, rng.integers(0, 256, (28, 28, 1)).astype(np.uint8))
    call("floats", bare, rng.random((1, 1, 28, 28), np.float32))
    call("64 times as many", bare, rng.random((64, 1, 28, 28), np.float32))


def call(what: str, bundle: Path, x: np.ndarray) -> None:
    """`run` over the session's own, and over a model that watches nothing."""
    model = edgeonnx.load(bundle, threads=1)
    unwatched = edgeonnx.load(bundle, threads=1, watch=False)
    model.monitor.on_alarm = lambda _: None  # noise is not what it was calibrated on
    feeds, names, session = {"input": x}, [output.name for output in model.outputs], model.session
    model.warmup(50)
    timed = paired(lambda: session.run(names, feeds), lambda: model.run(feeds), seconds=4)
    added = timed.second.median - timed.first.median
    print(f"call:   run() of {what} takes {added:.1f} us over session.run ({timed.first.median:.1f} us)")
    total = paired(lambda: many(unwatched, feeds), lambda: many(model, feeds), seconds=6)
    print(f"health: {1 / total.ratio - 1:+.1%} over not watching; looks took {model.health().cost:.2%}")


def many(model: edgeonnx.runtime.Model, feeds: dict[str, np.ndarray]) -> None:
    """Enough calls for some of them to be looked at."""
    for _ in range(200):
        model.run(feeds)


if __name__ == "__main__":
    main()
