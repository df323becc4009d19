"""Rockchip's NPU on its vendor's simulator, in the environment that `make rknn` builds: convert, simulate, compare."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from edgeonnx.cli import cli
from edgeonnx.errors import BudgetError, DataError, ModelError, TargetError
from edgeonnx.verbs.rknn import convert_rknn
from tests.providers.conftest import interpreter
from tests.unit.fashion import ROOT, fashion_model, int8, pictures
from tests.unit.fashion import calibration as feeds
from tests.unit.models import build, noise

VARIABLE = "EDGEONNX_RKNN_PYTHON"
PYTHON = ROOT / ".venv-rknn" / "bin" / "python"
MAGIC = b"RKNN"


@pytest.fixture(scope="module")
def python():
    """The interpreter with rknn-toolkit2; skips where there is none, unless it is required."""
    return interpreter("rknn")


def samples(kind, count):
    images, labels = pictures(kind, count)
    return {"input": images, "labels": labels}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv1", "resnet8"])
def test_accuracy_is_that_of_float(python, examples, tmp_path, name):
    model = examples / "mobilenetv1.onnx" if name == "mobilenetv1" else ROOT / "tests" / "data" / "resnet8.onnx"
    path = tmp_path / "m.rknn"
    result = convert_rknn(
        model, samples("calibration", 64), output=path, eval_data=samples("test", 300), max_drop=0.02, python=python
    )
    assert path.read_bytes()[:4] == MAGIC
    assert (result.chip, result.calibration, result.samples) == ("rk3588", 64, 300)
    assert (result.agreement > 0.96, result.sqnr > 25, result.largest > 0) == (True, True, True)
    assert result.float_top1 > 0.8
    assert [file.name for file in tmp_path.iterdir()] == ["m.rknn"]


@pytest.mark.slow
def test_kin_get_files_of_their_own(python, tmp_path):
    made = {}
    for chip in ("rk3588", "rk3568", "rk3576"):
        path = tmp_path / f"{chip}.rknn"
        convert_rknn(
            fashion_model("resnet8"), samples("calibration", 40), output=path, chip=chip, max_drop=0.1, python=python
        )
        made[chip] = path.read_bytes()
    assert len(set(made.values())) == 3


@pytest.mark.slow
def test_axes_and_inputs_stay_in_order(python, tmp_path):
    text = """(float[N,3,8,12] x, float[N,5] z) => (float[N,4,8,12] y, float[N,7] d) {
        a = Conv <pads=[1,1,1,1]> (x, w)  y = Relu(a)  b = MatMul(z, v)  d = Relu(b) }"""
    model = build(text, w=noise(4, 3, 3, 3), v=noise(5, 7))
    scales = np.float32([1, 5, 0.2]).reshape(1, 3, 1, 1)
    rng = np.random.default_rng(0)
    data = {
        "x": rng.normal(size=(40, 3, 8, 12)).astype(np.float32) * scales,
        "z": rng.normal(size=(40, 5)).astype(np.float32),
    }
    result = convert_rknn(model, data, output=tmp_path / "m.rknn", max_drop=1, python=python)
    assert result.sqnr > 25
    assert (result.float_top1, result.top1) == (None, None)


@pytest.mark.slow
def test_the_command_draws_a_table_and_tells_a_missed_budget_by_its_exit_code(python, examples, tmp_path):
    command = ["rknn", str(examples / "mobilenetv1.onnx"), "--pipeline", str(examples / "pipeline.toml")]
    command += ["--data", str(examples / "calibration.npz"), "-o", str(tmp_path / "m.rknn")]
    command += ["--provider-python", str(python)]
    ran = CliRunner().invoke(cli, [*command, "--samples", "200"])
    assert ran.exit_code == 0, ran.output
    assert "SQNR" in ran.stdout
    assert "top-1" in ran.stdout
    missed = CliRunner().invoke(cli, [*command, "--max-drop", "-0.5", "-o", str(tmp_path / "other.rknn")])
    assert isinstance(missed.exception, BudgetError)
    assert missed.exception.exit_code == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.rknn", "other.rejected.rknn"]


@pytest.mark.slow
def test_a_node_without_a_kernel_is_named(python, tmp_path):
    model = build("(float[1,4,4] x) => (float[1,4,4] y, float[1] d) { y = Relu(x) d = Det(x) }")
    with pytest.raises(ModelError, match=r"rk3588: rknn-toolkit2 has no kernel for Det d"):
        convert_rknn(model, {"x": noise(8, 4, 4)}, output=tmp_path / "m.rknn", python=python)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_the_toolkit_says_is_passed_on(python, tmp_path):
    proto = build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }").to_proto()
    proto.opset_import[0].version = 21
    onnx.save(proto, tmp_path / "m.onnx")
    convert = {"data": {"x": noise(8, 4)}, "output": tmp_path / "m.rknn", "python": python}
    with pytest.raises(ModelError, match="opset 21, need <= 19"):
        convert_rknn(tmp_path / "m.onnx", **convert)
    with pytest.raises(ModelError, match="Invalid target_platform 'rk1'"):
        convert_rknn(fashion_model("resnet8"), **convert | {"data": samples("calibration", 4)}, chip="rk1")


def test_a_quantized_model_is_refused(tmp_path):
    model = int8(fashion_model("resnet8"), feeds(4))
    with pytest.raises(ModelError, match=r"expected a float model.*DequantizeLinear.*give the model it was made from"):
        convert_rknn(model, samples("calibration", 4), output=tmp_path / "m.rknn", python=PYTHON)


def test_a_target_without_a_converter_is_refused(tmp_path):
    with pytest.raises(TargetError, match="x86-64: expected a target with a conversion"):
        convert_rknn(fashion_model("resnet8"), samples("calibration", 4), output=tmp_path / "m", target="x86-64")


def test_samples_of_several_shapes_are_refused(tmp_path):
    model = build("(float[1,N] x) => (float[1,N] y) { y = Relu(x) }")
    data = [{"x": noise(1, size)} for size in (3, 4, 3, 4)]
    with pytest.raises(DataError, match=r"expected .*\(1, 3\).*, got .*\(1, 4\)"):
        convert_rknn(model, data, output=tmp_path / "m.rknn", python=PYTHON)


def test_a_missing_interpreter_is_told_how_to_mend(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    if PYTHON.exists():
        pytest.skip(f"{PYTHON} is found, as it should be")
    with pytest.raises(TargetError, match=f"name one with --provider-python or in {VARIABLE}, or run make rknn"):
        convert_rknn(fashion_model("resnet8"), samples("calibration", 4), output=tmp_path / "m.rknn")


def test_an_interpreter_that_lacks_the_toolkit_says_so(tmp_path):
    here = Path(sys.executable)
    with pytest.raises(ModelError, match="No module named 'rknn'"):
        convert_rknn(fashion_model("resnet8"), samples("calibration", 4), output=tmp_path / "m.rknn", python=here)
