"""Providers in environments of their own, compared with the CPU's: OpenVINO, and Qualcomm's NPU on its simulator."""

import os
import subprocess

import pytest

import edgeonnx
from edgeonnx.providers import variable
from tests.platforms.report import DEVICE, Platform, from_device
from tests.providers.conftest import interpreter

pytestmark = pytest.mark.slow

CASES = {
    "openvino": ("OpenVINOExecutionProvider", "intel-openvino", "OpenVINO on the CPU, x86_64, Linux", "native"),
    "qnn": ("QNNExecutionProvider", "qualcomm-hexagon-x-elite", "Qualcomm HTP (Snapdragon X Elite)", "simulated"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_provider(name, shared_bundle, record, examples, fashion_int8, tmp_path, monkeypatch):
    provider, target, title, kind = CASES[name]
    python = interpreter(provider)
    monkeypatch.setenv(variable(provider), str(python))
    bundle = edgeonnx.package(
        fashion_int8,
        target,
        tmp_path / "there.edge",
        variants=[examples / "mobilenetv1.onnx"],
        pipeline=examples / "pipeline.toml",
        data=examples / "test.npz",
    ).path
    environment = {**os.environ, "PYTHONPATH": str(bundle)}
    command = [str(python), str(DEVICE), str(bundle), str(shared_bundle)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    release, outputs = from_device(ran)
    record(Platform(name, title, f"{release}, onnxruntime-{name}", kind, outputs))
