"""The interpreters that make targets set up, each with one provider."""

import os
from pathlib import Path

import pytest

from edgeonnx.providers import short_name, variable


def interpreter(provider: str) -> Path:
    """The interpreter with a provider; skips where there is none, unless it is required."""
    name = short_name(provider)
    found = Path(os.environ.get(variable(provider), Path(__file__).parents[2] / f".venv-{name}" / "bin" / "python"))
    if not found.exists():
        if os.environ.get(f"EDGEONNX_REQUIRE_{name.upper()}") == "1":
            pytest.fail(f"{found} does not exist; run make {name}")
        pytest.skip(f"{found} does not exist; make test-{name} builds it")
    return found
