"""Emulated devices as fixtures."""

import pytest

from tests.device import lab


@pytest.fixture(scope="session")
def pi() -> lab.Emulated:
    """An emulated 64-bit Raspberry Pi."""
    return lab.board("arm64", cpu="cortex-a72")


@pytest.fixture(scope="session")
def haswell(pi: lab.Emulated) -> lab.Emulated:
    """This Python on an emulated x86-64 CPU with AVX2 and without VNNI; building the board brings its QEMU along."""
    return lab.haswell()
