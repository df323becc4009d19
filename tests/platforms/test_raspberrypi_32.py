"""A Raspberry Pi with a 32-bit OS: Debian 13's own onnxruntime, for PyPI has none."""

import pytest

import edgeonnx
from tests.device import lab
from tests.platforms.report import DEVICE, Platform, from_device

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pi2():
    return lab.board("armhf", cpu="cortex-a7")


def test_golden_samples(pi2, shared_bundle, record):
    release, outputs = from_device(pi2.python(DEVICE, shared_bundle, env={"PYTHONPATH": str(shared_bundle)}))
    release = f"{release}, Debian's python3-onnxruntime"
    record(Platform("raspberrypi-32", "Raspberry Pi 2 (Cortex-A7), 32 bits", release, "emulated", outputs))


def test_a_bundle_for_32_bits(pi2, examples, fashion_int8, shirt_png, tmp_path):
    made = edgeonnx.package(
        fashion_int8,
        "raspberrypi-32",
        tmp_path / "fashion.edge",
        pipeline=examples / "pipeline.toml",
        labels=examples / "labels.txt",
        data=examples / "test.npz",
    )
    checked, ran = (pi2.python(made.path, *words) for words in (("selftest",), ("run", shirt_png)))
    assert checked.returncode == 0, checked.stderr
    assert ran.returncode == 0, ran.stderr
    assert "Shirt" in ran.stdout.splitlines()[0]
