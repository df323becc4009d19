"""64-bit Raspberry Pis: PyPI's wheel on Debian 12."""

import pytest

from tests.device import lab
from tests.platforms.report import DEVICE, Platform, from_device

CPUS = {"cortex-a53": "3", "cortex-a72": "4", "cortex-a76": "5"}


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_golden_samples(shared_bundle, record, cpu):
    pi = lab.board("arm64", cpu)
    release, outputs = from_device(pi.python(DEVICE, shared_bundle, env={"PYTHONPATH": str(shared_bundle)}))
    title = f"Raspberry Pi {CPUS[cpu]} ({cpu.title()}), 64 bits"
    record(Platform(f"raspberrypi-{CPUS[cpu]}", title, release, "emulated", outputs))
