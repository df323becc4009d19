"""onnxruntime-node, by examples/web/selftest.mjs."""

import json
import platform
import shutil
import subprocess

import pytest

import edgeonnx
from tests.house.tree import ROOT
from tests.native import DOMAIN
from tests.platforms.report import Platform, from_json
from tests.unit.models import build

WEB = ROOT / "examples" / "web"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def selftest():
    """The script's run on a bundle."""
    if not shutil.which("node") or not (WEB / "node_modules" / "onnxruntime-node").exists():
        pytest.skip("no onnxruntime-node; install node, then run: make web")

    def run(bundle) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["node", WEB / "selftest.mjs", bundle], capture_output=True, text=True, check=False, timeout=120
        )

    return run


def test_golden_samples(selftest, shared_bundle, record):
    ran = selftest(shared_bundle)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    release = f"{report['onnxruntime']}, npm's onnxruntime-node"
    record(Platform("node", f"node, {platform.machine()}, Linux", release, "native", from_json(report["variants"])))


def test_weights_outside_the_model(selftest, large_bundle):
    ran = selftest(large_bundle)
    assert ran.returncode == 0, ran.stderr


def test_custom_operators_are_refused(selftest, median, tmp_path):
    model = build(f"(float[1,1,4,4] x) => (float[1,1,4,4] y) {{ y = {DOMAIN}.MedianFilter(x) }}", domains=[DOMAIN])
    with edgeonnx.custom_ops(median):
        bundle = edgeonnx.package(model, "x86-64", tmp_path / "b.edge").path
    ran = selftest(bundle)
    assert ran.returncode != 0
    assert "example.vision::MedianFilter: custom operators are native code" in ran.stderr


def test_an_altered_bundle_is_refused(selftest, shared_bundle, tmp_path):
    altered = bytearray(shared_bundle.read_bytes())
    altered[altered.index(b"\x93NUMPY") + 140] ^= 1
    copy = tmp_path / "altered.edge"
    copy.write_bytes(altered)
    ran = selftest(copy)
    assert ran.returncode != 0
    assert "golden/0/input0.npy does not match its hash" in ran.stderr
