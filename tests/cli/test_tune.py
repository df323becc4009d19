"""`edgeonnx tune`: measured here or by another interpreter; bad input is one line."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import edgeonnx as sdk
from edgeonnx.providers.find import variable
from tests.cli.models import linear, noise

OPENVINO = "OpenVINOExecutionProvider"
BUDGET = ("--budget", 2)


@pytest.fixture
def bundle(tmp_path) -> Path:
    """Four numbers to three, float."""
    np.savez(tmp_path / "x.npz", x=noise(3, 4))
    path = tmp_path / "linear.edge"
    sdk.package(linear(tmp_path / "linear.onnx"), "x86-64", path, data=tmp_path / "x.npz")
    return path


@pytest.fixture
def openvino() -> Path:
    """The interpreter with OpenVINO; skips where there is none."""
    named = Path(os.environ.get(variable(OPENVINO), Path(__file__).parents[2] / ".venv-openvino" / "bin" / "python"))
    if not named.exists():
        if os.environ.get("EDGEONNX_REQUIRE_OPENVINO") == "1":
            pytest.fail(f"{named} does not exist; run make openvino")
        pytest.skip(f"{named} does not exist; make test-openvino builds it")
    return named


def test_a_table_and_a_profile(edgeonnx, bundle):
    ran = edgeonnx("tune", bundle, *BUDGET)
    assert (ran.code, ran.err) == (0, "")
    headings, first, *_ = ran.out.splitlines()
    assert headings.split() == [
        *("settings", "us", "a", "run", "CPU", "us", "a", "run", "gain", "95", "%", "interval", "verdict")
    ]
    assert first.startswith("CPU ")
    assert "the bundle's own" in first
    assert "CPU, 1 thread" in ran.out
    profile = json.loads(Path(f"{bundle}.tuned").read_text())
    assert (profile["policy"], profile["onnxruntime"]["version"]) == ("latency", ort.__version__)
    assert profile["figures"]["candidates"][0]["verdict"].startswith("the bundle's own")
    assert all(notice.startswith("linear.edge.tuned: settings measured") for notice in sdk.load(bundle).notices)


def test_json_written_elsewhere(edgeonnx, bundle, out):
    ran = edgeonnx("tune", bundle, *BUDGET, "--policy", "throughput", "-o", out / "mine.tuned", "--json")
    report = json.loads(ran.out)
    assert (report["policy"], report["path"]) == ("throughput", str(out / "mine.tuned"))
    assert report["candidates"][0]["rounds"] > 0
    assert [path.name for path in out.iterdir()] == ["mine.tuned"]
    assert not Path(f"{bundle}.tuned").exists()


def test_another_interpreter_runs_the_bundle_itself(bundle, out):
    report = sdk.tune(bundle, "battery", budget=2, output=out / "mine.tuned", python=sys.executable)
    assert isinstance(report, sdk.TuneReport)
    assert (report.policy, report.path) == ("battery", str(out / "mine.tuned"))
    assert report.candidates[0].setup.providers[0].name == "CPUExecutionProvider"
    assert json.loads((out / "mine.tuned").read_text())["policy"] == "battery"


@pytest.mark.slow
def test_openvino_is_tried_where_it_is(bundle, openvino):
    report = sdk.tune(bundle, budget=10, python=openvino)
    found = {each.name: each for each in report.candidates}
    assert found["OpenVINO CPU"].rounds > 0
    assert "did not start" in found["OpenVINO GPU"].verdict or found["OpenVINO GPU"].rounds > 0
    profile = json.loads(Path(report.path).read_text())
    assert OPENVINO in profile["onnxruntime"]["providers"]
    (notice,) = sdk.load(bundle).notices  # this interpreter has another onnxruntime
    assert "was measured with another onnxruntime" in notice


@pytest.mark.slow
def test_a_bundle_for_openvino_finds_its_interpreter(tmp_path, openvino, monkeypatch):
    monkeypatch.setenv(variable(OPENVINO), str(openvino))
    path = tmp_path / "linear.edge"
    sdk.package(linear(tmp_path / "linear.onnx"), "intel-openvino", path)
    report = sdk.tune(path, budget=5)
    assert report.candidates[0].name == "OpenVINO CPU"
    assert report.candidates[0].rounds > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{here}/none.edge"], "none.edge: no such file"),
        (["{here}/linear.onnx"], "linear.onnx"),
        (["{bundle}", "--budget", "0"], "budget: expected a number of seconds above 0, got 0"),
        (["{bundle}", "--budget", "nan"], "budget: expected a number of seconds above 0, got nan"),
        (["{bundle}", "-o", "{here}/no/such"], "No such file or directory; write elsewhere with -o FILE"),
        (["{bundle}", "-o", "{here}"], "Is a directory"),
        (["{bundle}", "-o", "{bundle}"], "is the bundle itself"),
        (["{bundle}", "--provider-python", "{here}/python"], "can't be run: No such file or directory"),
        (["{bundle}", "--provider-python", "{python}", "--budget", "-1"], "budget: expected a number"),
        (["{bundle}", "--provider-python", "{false}"], "said nothing"),
    ],
)
def test_bad_input(edgeonnx, bundle, tmp_path, words, expected):
    before = sorted(tmp_path.iterdir())
    places = {"here": tmp_path, "bundle": bundle, "python": sys.executable, "false": shutil.which("false")}
    ran = edgeonnx("tune", *(word.format(**places) for word in words))
    assert expected in ran.complains()
    assert sorted(tmp_path.iterdir()) == before


def test_a_policy_that_is_none(edgeonnx, bundle):
    ran = edgeonnx("tune", bundle, "--policy", "speed")
    assert ran.code == 2
    assert "'latency', 'throughput', 'battery'" in ran.err
