"""The doctor on the facts that emulated boards tell of themselves."""

import json

import pytest

from edgeonnx import doctor
from tests.device import lab


def looked_at(board, bundle, folder, cpu=None):
    """The facts of a board, and the file they were written to."""
    ran = board.python(bundle, "facts", "--json", cpu=cpu)
    assert ran.returncode == 0, ran.stderr
    path = folder / "facts.json"
    path.write_text(ran.stdout)
    return json.loads(ran.stdout), path


def test_a_board_is_well(pi, fashion_bundle, tmp_path):
    told, path = looked_at(pi, fashion_bundle, tmp_path, "cortex-a72")
    assert (told["os"], told["machine"], told["broken"]) == ("linux", "aarch64", None)
    assert told["libc"].startswith("glibc ")
    assert "CPUExecutionProvider" in told["providers"]
    found = doctor(fashion_bundle, "raspberrypi-4", device=path)
    assert [str(f) for f in found.findings if f.level == "error"] == []


@pytest.mark.slow  # it downloads another system
def test_a_32_bit_system_is_told_apart(fashion_bundle, tmp_path):
    """Its kernel may well say aarch64."""
    told, path = looked_at(lab.board("armhf", cpu="cortex-a7"), fashion_bundle, tmp_path)
    assert (told["machine"], told["broken"]) == ("armv7l", None)
    found = doctor(fashion_bundle, "raspberrypi-4", device=path)
    platform = next(f for f in found.findings if f.subject == "platform")
    assert (platform.level, found.level) == ("error", "error")
