"""What a loaded bundle holds in memory, against the size of its file and the activations of one run. Linux only.

    python benchmarks/memory.py [MODEL.onnx ...]

Without arguments, the example's model and those that `make bench-peers` left in build/bench/cases. Each line is a
process of its own: resident memory (smaps_rollup) once numpy, onnxruntime and the runtime are imported and a session
of one operator has run; then after `load` and five runs; and the most in between (VmHWM). Anonymous memory is the
process's own; mapped pages of the file can be taken back by the system. Activations are counted, not measured: the
most bytes of tensors that are alive at once when the graph runs node by node. The ratio, of what is resident to file
and activations, should be at most 1.2.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edgeonnx import Model, package
from edgeonnx.targets import list_targets, runs_here

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import onnxruntime as ort
import edgeonnx_runtime as er

def resident():
    found = {}
    for name in ("smaps_rollup", "status"):
        for line in open(f"/proc/self/{name}"):
            key, _, value = line.partition(":")
            if value.strip().endswith("kB"):
                found[key] = int(value.split()[0]) * 1024
    return {"resident": found["Rss"], "anonymous": found["Anonymous"], "peak": found["VmHWM"]}

er.load(sys.argv[2]).run({"x": np.ones(1, np.float32)})
before = resident()
model = er.load(sys.argv[3], memory=sys.argv[4], threads=1)
feeds = {name: np.ones(shape, dtype) for name, (dtype, shape) in json.loads(sys.argv[5]).items()}
for _ in range(5):
    model.run(feeds)
after = resident()
print(json.dumps({key: after[key] - before["resident" if key == "peak" else key] for key in after}))
"""


def main(arguments: list[str]) -> None:
    """Package each model for the CPU target that this machine is, load it in either way, print a table."""
    here = (target for target in list_targets() if runs_here(target))
    target = next((target.name for target in here if target.providers[0].name == "CPUExecutionProvider"), None)
    if target is None:
        sys.exit("no target's profile describes this machine")
    head = ("memory", "file", "activations", "resident", "anonymous", "peak", "ratio")
    print(f"{'MiB':<28}" + "".join(f"{word:>12}" for word in head))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "edgeonnx_runtime").symlink_to(ROOT / "sdk" / "edgeonnx" / "runtime")
        package(one_operator(), target, place / "tiny.edge")
        for path in [Path(argument) for argument in arguments] or found():
            bundle = package(path, target, place / "model.edge", bare=True)
            model = Model.load(path)
            feeds = {tensor.name: (tensor.dtype, sized(tensor.shape or ())) for tensor in model.inputs}
            alive = activations(model, {name: np.ones(shape, dtype) for name, (dtype, shape) in feeds.items()})
            for memory in ("fast", "small"):
                words = [folder, place / "tiny.edge", bundle.path, memory, json.dumps(feeds)]
                run = subprocess.run([sys.executable, "-c", CHILD, *map(str, words)], check=True, capture_output=True)
                got = {key: value / MIB for key, value in json.loads(run.stdout).items()}
                size = bundle.bytes / MIB
                figures = (size, alive / MIB, *got.values(), got["resident"] / (size + alive / MIB))
                print(f"{name_of(path):<28}{memory:>12}" + "".join(f"{figure:>12.2f}" for figure in figures))


def activations(model: Model, feeds: dict[str, np.ndarray]) -> int:
    """The most bytes of tensors alive at once, weights left out: every tensor's size is asked of a run."""
    copy = model.copy()
    graph = copy.ir.graph
    values = [value for node in graph for value in node.outputs if value.name]
    graph.outputs[:] = values
    names = [str(value.name) for value in values]
    arrays = Model(copy.ir).session().run(names, feeds)
    sizes = {name: np.asarray(array).nbytes for name, array in (*zip(names, arrays, strict=True), *feeds.items())}
    nodes = list(graph)
    last = {str(value.name): index for index, node in enumerate(nodes) for value in node.inputs if value is not None}
    last.update(dict.fromkeys((tensor.name for tensor in model.outputs), len(nodes)))
    alive = sum(array.nbytes for array in feeds.values())
    most = alive
    for index, node in enumerate(nodes):
        alive += sum(sizes[str(value.name)] for value in node.outputs if value.name)
        most = max(most, alive)
        touched = {str(value.name) for value in (*node.inputs, *node.outputs) if value is not None}
        alive -= sum(sizes.get(name, 0) for name in touched if last.get(name, index) == index)
    return most


def sized(shape: tuple[int | str | None, ...]) -> list[int]:
    """One sample; 128 for other free dimensions."""
    return [size if isinstance(size, int) else (128 if axis else 1) for axis, size in enumerate(shape)]


def one_operator() -> Model:
    """A model of one Abs."""
    value = [ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1])) for name in "xy"]
    node = ir.Node("", "Abs", value[:1], outputs=value[1:])
    graph = ir.Graph(value[:1], value[1:], nodes=[node], opset_imports={"": 17}, name="abs")
    return Model(ir.Model(graph, ir_version=8))


def name_of(path: Path) -> str:
    """The case's name, and whether it is float or what edgeonnx made of it."""
    return f"{path.parent.parent.name} int8" if path.parent.name == "edgeonnx" else f"{path.parent.name} {path.stem}"


def found() -> list[Path]:
    """The models there are, float and INT8."""
    cases = sorted((ROOT / "build" / "bench" / "cases").glob("*/model.onnx"))
    made = [path for case in cases for path in (case, case.parent / "edgeonnx" / "model.onnx") if path.is_file()]
    return [ROOT / "examples" / "fashion_mnist" / "mobilenetv1.onnx", *made]


if __name__ == "__main__":
    main(sys.argv[1:])
