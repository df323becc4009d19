"""What the tests of one framework each start from; `make test-convert` has all of them."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from edgeonnx.quiet import quiet


def framework(name: str) -> ModuleType:
    """A module of a framework; the tests that ask are skipped where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        try:
            return importlib.import_module(name)
        except ImportError:
            if os.environ.get("EDGEONNX_REQUIRE_CONVERT") == "1":
                raise
    return pytest.skip(f"{name} is not installed; run make test-convert", allow_module_level=True)


@pytest.fixture
def user_file(tmp_path) -> Callable[[str], Path]:
    """Writes a file of the user's own."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return write
