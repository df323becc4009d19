"""What calibration costs over plain inference of the same samples: time by method, and memory. Prints ratios.

    python benchmarks/calibration.py [MODEL.onnx ...]

Without models, those of the tests. Samples are pictures where the model takes 28 x 28 grey ones, else noise. Both sides
run in one process by turns, one thread, one sample a call for plain inference; nothing is cached. Memory is the highest
resident set (VmHWM) of processes of their own; Linux only, for /proc.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgeonnx.calibration.methods import METHODS, make_observer
from edgeonnx.calibration.needed import needed_tensors
from edgeonnx.calibration.stream import calibrate
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.placement import load_dialect, place
from edgeonnx.ranges import Ranges

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "fashion_mnist"
MODELS = (EXAMPLE / "mobilenetv1.onnx", *(ROOT / "tests" / "data" / f"{n}.onnx" for n in ("resnet8", "mobilenetv3")))
SAMPLES = 200  # what recipes take
SECONDS = 6.0  # for each method of each model
# The bare process has what a user's own loop has; the same work in a process that has loaded edgeonnx as well shows
# what of the difference is imports.
BARE = """
import sys, json, numpy as np, onnxruntime as ort
options = ort.SessionOptions(); options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
shape = json.loads(sys.argv[2]); rng = np.random.default_rng(0); name = session.get_inputs()[0].name
for _ in range(int(sys.argv[3])):
    session.run(None, {name: rng.standard_normal(shape, np.float32)})
"""
PEAK = 'print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))'


def main() -> None:
    if sys.argv[1:2] == ["--process"]:
        process(*sys.argv[2:])
        return
    for path in [Path(name) for name in sys.argv[1:]] or MODELS:
        times(path)
        memory(path)


def times(path: Path) -> None:
    """Whole calibrations of as many samples as recipes take, and what each further sample costs."""
    model = normalize(Model.load(path))
    feeds = samples(model, SAMPLES)
    session = model.session()
    tensors = needed(model)
    print(f"{path.stem}: {len(tensors)} tensors, {SAMPLES} samples")
    for method in METHODS:

        def plain() -> None:
            for feed in feeds:
                session.run(None, feed)

        def calibration(method: str = method, repeat: int = 1) -> None:
            many = feeds * repeat
            calibrate(model, tensors, lambda start: many[start:], make_observer(method), len(many))

        once, whole, more = by_turns(plain, calibration, lambda run=calibration: run(repeat=4))
        each = (more - whole) / 3
        print(
            f"  {method:15} {whole / once:5.2f}x plain inference; each further sample {each / once:5.2f}x, "
            f"fixed {(whole - each) * 1e3:4.0f} ms (a sample takes {once / SAMPLES * 1e6:.0f} us)"
        )


def by_turns(*calls: Callable[[], None]) -> list[float]:
    """The least disturbed time of each, in seconds of this process, which other work on the machine does not add to."""
    best = [float("inf")] * len(calls)
    end = time.perf_counter() + SECONDS
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        for index, call in enumerate(calls):
            start = time.process_time()
            call()
            best[index] = min(best[index], time.process_time() - start)
        rounds += 1
    return best


def memory(path: Path) -> None:
    """The highest resident set of processes that do one thing each."""
    model = Model.load(path)
    shape = json.dumps(sample_shape(model))
    bare = peak([sys.executable, "-c", BARE + PEAK, str(path), shape, "50"])
    loaded = peak([sys.executable, __file__, "--process", str(path), "plain", "50"])
    print(f"  memory: plain inference {bare / 1024:.0f} MB, with edgeonnx loaded {loaded / 1024:.0f} MB")
    for method in METHODS:
        few, many = (peak([sys.executable, __file__, "--process", str(path), method, n]) for n in ("50", "500"))
        print(
            f"  {method:15} {few / bare:5.2f}x plain inference, {few / loaded:5.2f}x of it with edgeonnx loaded; "
            f"500 samples for 50: {many / few:5.2f}x"
        )


def process(path: str, what: str, count: str) -> None:
    """What a process of its own does: plain inference of the normalized model, or a calibration; prints its peak."""
    model = normalize(Model.load(path))
    name, shape, rng = model.inputs[0].name, sample_shape(model), np.random.default_rng(0)
    feeds = ({name: rng.standard_normal(shape, np.float32)} for _ in range(int(count)))
    if what == "plain":
        session = model.session()
        for feed in feeds:
            session.run(None, feed)
    else:
        calibrate(model, needed(model), lambda _start: feeds, make_observer(what), int(count))
    exec(PEAK)


def peak(command: list[str]) -> float:
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def needed(model: Model) -> tuple[str, ...]:
    return needed_tensors(model, place(model, load_dialect("cpu"), "all", Ranges({}, 0)).quantized)


def sample_shape(model: Model) -> list[int]:
    return [size if isinstance(size, int) else 1 for size in model.inputs[0].shape or ()]


def samples(model: Model, count: int) -> list[dict[str, np.ndarray]]:
    name, shape = model.inputs[0].name, sample_shape(model)
    if shape == [1, 1, 28, 28]:
        with np.load(EXAMPLE / "calibration.npz") as data:
            pictures = data["input"][:count].astype(np.float32).transpose(0, 3, 1, 2) / 255
        return [{name: picture[None]} for picture in pictures]
    rng = np.random.default_rng(0)
    return [{name: rng.standard_normal(shape, np.float32)} for _ in range(count)]


if __name__ == "__main__":
    main()
