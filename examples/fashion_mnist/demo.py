"""From a float model to a bundle that a device runs: the commands of the README, and a table of what came out.

Writes to `build/demo/`. The last two commands run in an interpreter that has numpy and onnxruntime alone.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edgeonnx import Model, bench

HERE = Path(__file__).parent
OUT = Path("build/demo")
SOURCE = HERE / "mobilenetv1.onnx"
QUANTIZED = OUT / "fashion.int8.onnx"
BUNDLE = OUT / "fashion.edge"
PIPELINE = HERE / "pipeline.toml"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--device-python", required=True, help="interpreter with numpy and onnxruntime alone")
    device = options.parse_args().device_python
    OUT.mkdir(parents=True, exist_ok=True)
    edgeonnx = [sys.executable, "-m", "edgeonnx"]
    data = ["--data", HERE / "calibration.npz", "--eval-data", HERE / "test.npz"]
    say(edgeonnx, "quantize", SOURCE, *data, "--pipeline", PIPELINE, "-o", QUANTIZED)
    extras = ["--pipeline", PIPELINE, "--labels", HERE / "labels.txt", "--data", HERE / "test.npz"]
    say(edgeonnx, "package", QUANTIZED, "--target", "raspberrypi", *extras, "-o", BUNDLE)
    only_numpy_and_onnxruntime(device)
    say([device], BUNDLE, "selftest")
    say([device], BUNDLE, "run", HERE / "shirt.png")
    draw(json.loads(capture(device, BUNDLE, "bench", "--json")))


def say(program: list[str], *arguments: object) -> None:
    """Show a command, then run it."""
    words = ["edgeonnx" if program[-1] == "edgeonnx" else program[0], *map(str, arguments)]
    print("\n$", " ".join(words), flush=True)
    subprocess.run([*program, *map(str, arguments)], check=True)


def capture(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def only_numpy_and_onnxruntime(python: str) -> None:
    """Show that the device's interpreter has none of what edgeonnx needs on this side."""
    modules = ("edgeonnx", "onnx", "click", "pydantic")
    found = capture(python, "-c", f"import importlib.util as u; print([m for m in {modules} if u.find_spec(m)])")
    if found.strip() != "[]":
        sys.exit(f"{python} was to have numpy and onnxruntime alone, it has {found.strip()} too")


def draw(on_device: dict[str, float]) -> None:
    """The table: float against INT8, both timed in turns on this machine."""
    made = Model.load(QUANTIZED).record or {}
    timed = bench(QUANTIZED, SOURCE, data={"input": calibration_sample()})
    assert timed.comparison is not None
    table = Table("", "float", "INT8", "", box=None, pad_edge=False)
    table.add_row(
        f"{made['metric']}, {made['evaluation_samples']} test images",
        f"{made['float_score']:.4f}",
        f"{made['score']:.4f}",
        f"{made['score'] - made['float_score']:+.4f}",
    )
    sizes = (SOURCE.stat().st_size, QUANTIZED.stat().st_size)
    table.add_row("model, KB", f"{sizes[0] / 1e3:.1f}", f"{sizes[1] / 1e3:.1f}", f"{sizes[1] / sizes[0]:.2f}x")
    table.add_row(
        "median latency, us, 1 thread",
        f"{timed.comparison.first.median:.1f}",
        f"{timed.comparison.second.median:.1f}",
        f"{timed.comparison.ratio:.2f}x faster",
    )
    table.add_row("bundle with runtime, KB", "", f"{BUNDLE.stat().st_size / 1e3:.1f}", "")
    table.add_row("bundle opened in, ms", "", f"{on_device['load_ms']:.1f}", "")
    console = Console(highlight=False, width=100)
    console.print("\nMeasured on this machine (a Raspberry Pi is slower; the outputs are the same):\n")
    console.print(table)
    console.print(f"\nWritten to {QUANTIZED} and {BUNDLE}")


def calibration_sample() -> object:
    import numpy as np

    with np.load(HERE / "calibration.npz") as arrays:
        return arrays["input"][:1].transpose(0, 3, 1, 2).astype(np.float32) / 255


if __name__ == "__main__":
    main()
