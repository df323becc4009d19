"""From the float model to an answer: render, quantize, package, run."""

import subprocess
import sys
from pathlib import Path

import pages
from fetch import fetch

HERE = Path(__file__).parent


def main(output: Path = HERE / "build") -> None:
    """Run the steps of the README in order; each is a command that you can type."""
    model = fetch()
    pages.main(output)
    small, bundle = output / "orientation.int8.onnx", output / "orientation.edge"
    pipeline, test = ["--pipeline", HERE / "pipeline.toml"], output / "test"
    edgeonnx = [sys.executable, "-m", "edgeonnx"]
    run([*edgeonnx, "quantize", model, "--data", output / "calibration", "--eval-data", test, *pipeline, "-o", small])
    target = ["--target", "raspberrypi", "--labels", HERE / "labels.txt", "--data", test]
    run([*edgeonnx, "package", small, *target, *pipeline, "-o", bundle])
    run([sys.executable, bundle, "run", *(test / str(turns) / f"10{turns}.png" for turns in range(4))])


def run(words: list[object]) -> None:
    """Run a command and show what it says."""
    print("$", *words[1:], flush=True)
    subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    main()
