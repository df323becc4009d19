"""From the float model to words: quantize, package, run on a file, listen to a stream."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(output: Path = HERE / "build") -> None:
    """Run the steps of the README in order; each is a command that you can type."""
    output.mkdir(exist_ok=True)
    small, bundle = output / "keywords.int8.onnx", output / "keywords.edge"
    pipeline, test = ["--pipeline", HERE / "pipeline.toml"], HERE / "test.npz"
    data = ["--data", HERE / "calibration.npz", "--eval-data", test]
    edgeonnx = [sys.executable, "-m", "edgeonnx"]
    run([*edgeonnx, "quantize", HERE / "keywords.onnx", *data, *pipeline, "-o", small])
    target = ["--target", "raspberrypi", "--labels", HERE / "labels.txt", "--data", test]
    run([*edgeonnx, "package", small, *target, *pipeline, "-o", bundle])
    run([sys.executable, bundle, "run", HERE / "five.wav"])
    listen = [sys.executable, HERE / "listen.py", bundle, HERE / "countdown.wav"]
    run(listen, PYTHONPATH=str(bundle))


def run(words: list[object], **environment: str) -> None:
    """Run a command and show what it says."""
    print("$", *words[1:], flush=True)
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, **environment})


if __name__ == "__main__":
    main()
