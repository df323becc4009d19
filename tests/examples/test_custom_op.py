"""examples/custom_op: the demo as the README tells it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.device import lab
from tests.native import median_filter

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_op"


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("custom_op")


@pytest.mark.slow
def test_the_demo(output):
    """Noise costs the classifier accuracy, and the filter brings most of it back, in INT8 as in float."""
    median_filter(output / "probe")  # skips where nothing can be compiled
    environment = {**os.environ, "ORT_INCLUDE": lab.ask("headers"), "PYTHONPATH": str(EXAMPLE)}
    code = f"import demo; from pathlib import Path; demo.main(Path({str(output)!r}))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    without, with_it = (
        float(line.rsplit(" ", 1)[1]) for line in ran.stdout.splitlines() if line.startswith("top-1 on noisy")
    )
    assert with_it > without + 0.05  # the README says 0.781 and 0.855
    assert "ok (3 golden samples)" in ran.stdout
