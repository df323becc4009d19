"""The command line: `edgeonnx(...)` runs it in this process, `typed(...)` as a program of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeonnx.cli import main

TIMEOUT = 60


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str

    def complains(self) -> str:
        """The one line of an error, which is all that there is to read."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.lower().startswith("error: ")
        return line


@pytest.fixture
def edgeonnx(monkeypatch, capfd) -> Callable[..., Ran]:
    """Run a command through the entry point, with all that is written, by C++ libraries too, caught."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["edgeonnx", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return Ran(left.value.code, out, err)

    return run


@pytest.fixture
def typed() -> Callable[..., Ran]:
    """Run a command as a shell does, in a process of its own with other hash seeds than this one's."""

    def run(*words: object) -> Ran:
        command = [sys.executable, "-m", "edgeonnx", *map(str, words)]
        environment = {**os.environ, "PYTHONHASHSEED": "4"}
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=environment)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run


@pytest.fixture(scope="session")
def pictures(examples) -> np.ndarray:
    """60 grey pictures, uint8, shape (60, 28, 28, 1)."""
    with np.load(examples / "calibration.npz") as data:
        return data["input"][:60]


@pytest.fixture(scope="session")
def labels(examples) -> np.ndarray:
    """Their classes."""
    with np.load(examples / "calibration.npz") as data:
        return data["labels"][:60]


@pytest.fixture(scope="session")
def tensors(pictures) -> np.ndarray:
    """The same as the bare model takes them: float32, shape (60, 1, 28, 28)."""
    return pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255


@pytest.fixture
def out(tmp_path) -> Path:
    """An empty folder to write to."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
