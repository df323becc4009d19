"""The facts of a machine, told by a bundle's runtime."""

import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pytest
from runtime_bundles import add_model, write_bundle

from edgeonnx.runtime import _facts, _platform
from edgeonnx.runtime.__main__ import main


def test_what_this_machine_has():
    found = _facts.facts()
    assert (found["onnxruntime"], found["numpy"]) == (ort.__version__, np.__version__)
    assert found["providers"] == ort.get_available_providers()
    assert found["broken"] is None
    assert found["python"].startswith(".".join(map(str, sys.version_info[:2])))
    assert found["cpus"] >= 1
    assert f"onnxruntime {ort.__version__}" in found["packages"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")
def test_a_machine_as_linux_shows_it(tmp_path):
    """Memory and the lists of CPUs, of a container."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 4096000 kB\nMemAvailable: 2048000 kB\n")
    found = _facts.facts(str(tmp_path))
    assert (found["memory_mb"], found["available_mb"], found["cpu_lists"]) == (4000, 2000, False)
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("536870912\n")
    lists = tmp_path / "sys" / "devices" / "system" / "cpu"
    lists.mkdir(parents=True)
    for name in ("possible", "present"):
        (lists / name).write_text("0-3\n")
    found = _facts.facts(str(tmp_path))
    assert (found["memory_mb"], found["available_mb"], found["cpu_lists"]) == (512, 512, True)
    (group / "memory.max").write_text("max\n")
    assert _facts.facts(str(tmp_path))["memory_mb"] == 4000


def test_musl_is_told_from_glibc(tmp_path, monkeypatch):
    """musl's loader says its version on standard error."""
    (tmp_path / "lib").mkdir()
    loader = tmp_path / "lib" / "ld-musl-aarch64.so.1"
    loader.write_text("#!/bin/sh\nprintf 'musl libc (aarch64)\\nVersion 1.2.5\\n' >&2; exit 1\n")
    loader.chmod(0o755)
    assert _facts._libc("/").startswith("glibc ")

    def refuses(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("os.confstr", refuses)
    assert _facts._libc(str(tmp_path)) == "musl 1.2"
    loader.chmod(0o644)
    assert _facts._libc(str(tmp_path)) == "musl"
    loader.unlink()
    assert _facts._libc(str(tmp_path)) is None


def test_a_32_bit_python_on_a_64_bit_kernel(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert _platform.machine() == "aarch64"
    monkeypatch.setattr("struct.calcsize", lambda _: 4)
    assert _platform.machine() == "armv7l"


def test_a_process_for_another_processor_on_windows(monkeypatch):
    """Windows on Arm runs programs for x86-64, and libraries must be for those."""
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("platform.machine", lambda: "ARM64")
    monkeypatch.setattr("sysconfig.get_platform", lambda: "win-amd64")
    assert _platform.this_platform() == "windows-x86_64"


def test_an_onnxruntime_that_ends_the_process(monkeypatch):
    monkeypatch.setattr(_facts, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    found = _facts.facts()
    assert found["onnxruntime"] is None
    assert found["broken"].startswith("import onnxruntime: ended by signal 4")


@pytest.mark.parametrize(
    ("probe", "code", "said"),
    [
        (_facts._PROBE, "0", ort.__version__),
        ("import no_such_module", "1", "No module named"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "-4", ""),
    ],
)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies its process")
def test_where_no_interpreter_can_be_started_by_name(probe, code, said):
    """As under an emulator: then the process is copied."""
    program = f"from edgeonnx.runtime import _facts as f; f._PROBE = {probe!r}; print(*f._forked())"
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.startswith(f"{code} ")
    assert said in ran.stdout


def test_as_a_person_types_it(tmp_path, capsys):
    path = write_bundle(tmp_path / "add.edge", add_model())
    assert main([str(path), "facts"]) == 0
    assert "onnxruntime   " in capsys.readouterr().out
    assert main([str(path), "facts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"] == 1


def test_without_numpy_and_onnxruntime(tmp_path):
    """A machine on which nothing is installed yet is the one that is asked about."""
    path = write_bundle(tmp_path / "add.edge", add_model(), runtime=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    ran = subprocess.run([python, path, "facts", "--json"], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["numpy"], found["onnxruntime"], found["features"]) == (None, None, None)
    assert "No module named 'onnxruntime'" in found["broken"]
    assert found["packages"] == []
