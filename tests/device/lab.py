"""Emulated devices: boards with a Python of their own, and this machine's Python on an older x86-64 CPU."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

LAB = Path(__file__).parent / "devicelab.sh"
QEMU_X86 = "qemu-x86_64-static"
BUILD_SECONDS = 900
RUN_SECONDS = 120


@dataclass(frozen=True)
class Emulated:
    """A Python interpreter on an emulated CPU.

    Attributes:
        command: what runs the interpreter; a CPU's name stands where it says `{cpu}`.
        environment: set for every run; nothing of this process's environment is passed on but PATH, HOME and DEVICELAB.
        cpu: the CPU, as QEMU names it, where a run does not say.
    """

    command: tuple[str, ...]
    cpu: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def python(
        self, *args: object, cpu: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter with `args`; its exit code, stdout and stderr are in the result."""
        cpu = cpu or self.cpu
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "DEVICELAB") if name in os.environ}
        return subprocess.run(
            [*(word.format(cpu=cpu) for word in self.command), *map(str, args)],
            env={**kept, "QEMU_CPU": cpu, **self.environment, **(env or {})},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )


def unavailable(reason: str) -> None:
    """Skips where no device can be had, and fails where one is required: in CI, or with EDGEONNX_REQUIRE_DEVICE=1."""
    if os.environ.get("CI") == "true" or os.environ.get("EDGEONNX_REQUIRE_DEVICE") == "1":
        pytest.fail(f"no emulated device: {reason}")
    pytest.skip(f"no emulated device: {reason}")


def board(arch: str, cpu: str) -> Emulated:
    """A Raspberry Pi with Debian for `arch`, arm64 or armhf, built once; `devicelab.sh` says what is in it."""
    if platform.system() != "Linux" or not shutil.which("bash"):
        unavailable(f"expected Linux with bash, got {platform.system()}")
    ask("build", arch=arch)
    return Emulated((str(LAB), "python"), cpu, {"ARCH": arch})


def ask(*words: str, arch: str = "arm64") -> str:
    """What `devicelab.sh` prints on a command; skips where it fails."""
    done = subprocess.run(
        [str(LAB), *words],
        env={**os.environ, "ARCH": arch},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"devicelab.sh {words[0]} said nothing"]
        unavailable(said[-1])
    return done.stdout.strip()


def haswell() -> Emulated:
    """This Python on an emulated x86-64 CPU with AVX2 and without VNNI."""
    if platform.machine() != "x86_64" or not shutil.which(QEMU_X86):
        unavailable(f"expected an x86-64 machine with {QEMU_X86}, got {platform.machine()}")
    return Emulated((QEMU_X86, "-cpu", "{cpu}", sys.executable), cpu="Haswell")
