"""x86-64: this machine, and a CPU without VNNI."""

import os
import platform
import subprocess
import sys

import pytest

from edgeonnx.runtime._variants import cpu_features
from tests.device import lab
from tests.platforms.report import DEVICE, Platform, from_device


def test_this_machine(shared_bundle, record):
    ran = subprocess.run(
        [sys.executable, str(DEVICE), str(shared_bundle)],
        env={**os.environ, "PYTHONPATH": str(shared_bundle)},
        capture_output=True,
        text=True,
        check=False,
    )
    machine = f"{platform.machine()}, {'with' if 'vnni' in cpu_features() else 'without'} VNNI, {platform.system()}"
    release, outputs = from_device(ran)
    record(Platform("native", machine, release, "native", outputs))


@pytest.mark.slow
def test_avx2_without_vnni(shared_bundle, record):
    lab.board("arm64", cpu="cortex-a72")  # brings QEMU
    ran = lab.haswell().python(DEVICE, shared_bundle, env={"PYTHONPATH": str(shared_bundle)})
    release, outputs = from_device(ran)
    record(Platform("haswell", "x86_64, AVX2 without VNNI (Haswell), Linux", release, "emulated", outputs))
