"""From the float model to answers: quantize, package, search."""

import os
import subprocess
import sys
from pathlib import Path

from fetch import fetch

HERE = Path(__file__).parent


def main(output: Path = HERE / "build") -> None:
    """Run the steps of the README in order; each is a command that you can type."""
    small, bundle = output / "minilm.int8.onnx", output / "search.edge"
    pipeline = ["--pipeline", HERE / "pipeline.toml"]
    data = ["--data", HERE / "corpus.txt"]
    edgeonnx = [sys.executable, "-m", "edgeonnx"]
    metric = f"{HERE / 'metric.py'}:found_first"
    run([*edgeonnx, "quantize", fetch(), *data, *pipeline, "--metric", metric, "-o", small])
    run([*edgeonnx, "package", small, "--target", "raspberrypi-5", *data, *pipeline, "-o", bundle])
    queries = ["baking bread", "my son is burning up", "how do I avoid losing my pictures"]
    run([sys.executable, HERE / "search.py", bundle, *queries], PYTHONPATH=str(bundle))


def run(words: list[object], **environment: str) -> None:
    """Run a command and show what it says."""
    print("$", *words[1:], flush=True)
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, **environment})


if __name__ == "__main__":
    main()
