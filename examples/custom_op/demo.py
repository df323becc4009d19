"""From C++ to a bundle with an operator of its own: build, quantize, package, run.

Headers of onnxruntime: ORT_INCLUDE says where they are, as for make.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import model
import numpy as np
import onnx

HERE = Path(__file__).parent
CROSS = "aarch64-linux-gnu-g++"
TARGETS = {"x86_64": "x86-64", "aarch64": "arm64"}


def main(output: Path = HERE / "build") -> None:
    """Run the steps of the README in order; each is a command that you can type."""
    here = build(output, platform.machine(), "g++")
    model.main(output)
    compare(output, here)
    edgeonnx = [sys.executable, "-m", "edgeonnx"]
    small, test = output / "classifier.int8.onnx", output / "test.npz"
    data = ["--data", output / "calibration.npz", "--eval-data", test]
    # --force: where this machine gains nothing by INT8, a device may.
    run([*edgeonnx, "quantize", output / "classifier.onnx", *data, "--custom-op", here, "--force", "-o", small])
    package = [*edgeonnx, "package", small, "--data", test, "--custom-op", here]
    run([*package, "--target", TARGETS[platform.machine()], "-o", output / "here.edge"])
    run([sys.executable, output / "here.edge", "selftest"])
    if shutil.which(CROSS):
        board = build(output, "aarch64", CROSS)
        run([*package, "--custom-op", board, "--target", "raspberrypi", "-o", output / "raspberrypi.edge"])


def build(output: Path, machine: str, compiler: str) -> Path:
    """Compile the operator for a machine."""
    folder = output / f"linux-{machine}"
    run(["make", "-C", HERE, f"CXX={compiler}", f"BUILD={folder}"])
    return folder / "libmedian_filter.so"


def compare(output: Path, library: Path) -> None:
    """How often the classifier is right about noisy pictures, without the filter and with it."""
    import edgeonnx

    with np.load(output / "test.npz") as arrays:
        pictures, labels = arrays["input"], arrays["labels"]
    plain = edgeonnx.Model.from_proto(onnx.load(model.FASHION / "mobilenetv1.onnx"))
    filtered = edgeonnx.Model.load(output / "classifier.onnx")
    with edgeonnx.custom_ops(library):
        for name, each in (("without the filter", plain), ("with it", filtered)):
            (scores,) = each.session().run(None, {"input": pictures})
            print(f"top-1 on noisy pictures {name}: {(scores.argmax(axis=1) == labels).mean():.4f}")


def run(words: list[object]) -> None:
    """Run a command and show what it says."""
    print("$", *words[1:] if words[0] == sys.executable else words, flush=True)
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    main()
