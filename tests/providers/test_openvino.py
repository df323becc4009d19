"""OpenVINO in the environment that `make openvino` builds: quantize for it, score, time and run bundles there."""

import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

import edgeonnx
from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.providers import Setting, find_runner
from edgeonnx.providers.find import variable
from edgeonnx.targets import load_target
from edgeonnx.verbs.provider import runner_for, setting_of
from tests.native import DOMAIN
from tests.providers.conftest import interpreter
from tests.unit.fashion import calibration, fashion_model, pictures
from tests.unit.models import build, noise, weight

pytestmark = pytest.mark.slow

PROVIDER = "OpenVINOExecutionProvider"
TARGET = load_target("intel-openvino")


@pytest.fixture(autouse=True)
def python(monkeypatch):
    """The interpreter with OpenVINO; skips where there is none, unless it is required."""
    named = interpreter(PROVIDER)
    monkeypatch.setenv(variable(PROVIDER), str(named))
    return named


@pytest.fixture
def runner():
    """Models on OpenVINO's CPU device."""
    runner = find_runner(setting_of(TARGET))
    yield runner
    runner.close()


def evaluation(count):
    images, labels = pictures("test", count)
    return {"input": images, "labels": labels}


@pytest.fixture(scope="module")
def resnet8():
    return fashion_model("resnet8")


def test_it_agrees_with_the_cpu_provider_in_float(runner, resnet8):
    predict, session = runner.load(resnet8), resnet8.session()
    for feeds in calibration(5):
        (name, got), expected = next(iter(predict(feeds).items())), session.run(None, feeds)[0]
        assert name == resnet8.outputs[0].name
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_quantized_for_it_scored_and_timed_on_it(resnet8):
    result = edgeonnx.quantize(
        resnet8,
        {"input": pictures("calibration", 64)[0]},
        target="intel-openvino",
        eval_data=evaluation(400),
        force=True,
    )
    assert PROVIDER in result.speed_note
    assert result.score > result.float_score - 0.01
    assert all(candidate.speed for candidate in result.candidates)
    assert any("in float" in candidate.scope for candidate in result.candidates)
    # Conversions stand before what takes integers: the result of a Conv is rounded where a sum reads it alone, whose
    # other side is fused.
    convs = [node for node in result.model.ir.graph if node.op_type == "Conv"]
    rounded = [use.node for node in convs for use in node.outputs[0].uses() if use.node.op_type == "QuantizeLinear"]
    read = [use.node for node in rounded for use in node.outputs[0].uses()]
    assert convs
    assert {use.node.op_type for node in read for use in node.outputs[0].uses()} <= {"Add"}


def test_int8_outputs_are_those_of_the_cpu_provider(runner, resnet8):
    quantized = edgeonnx.quantize(
        resnet8,
        {"input": pictures("calibration", 64)[0]},
        target="intel-openvino",
        eval_data=evaluation(200),
        force=True,
    ).model
    predict, session = runner.load(quantized), quantized.session()
    images = pictures("test", 200)[0]
    here = np.stack([session.run(None, {"input": image[None]})[0] for image in images])
    there = np.stack([next(iter(predict({"input": image[None]}).values())) for image in images])
    assert (here.argmax(-1) == there.argmax(-1)).mean() > 0.98
    noise, signal = np.square(here - there).sum(), np.square(here).sum()
    assert 10 * np.log10(signal / noise) > 25


def test_all_of_it_lands_on_the_provider(runner, resnet8):
    nodes = runner.landed(resnet8, calibration(1)[0])
    assert nodes
    assert {node.provider for node in nodes} == {PROVIDER}


def test_two_models_in_turns(runner, resnet8):
    one, two = runner.time(resnet8, resnet8.copy(), calibration(1)[0], 0.1)
    assert len(one) == len(two) >= 30
    assert min(one.min(), two.min()) > 0


def test_a_device_that_is_not_there_is_an_error_and_not_the_cpu(resnet8):
    runner = find_runner(setting_of(load_target("intel-openvino-npu")))
    with pytest.raises(ModelError, match="could not be set up on this machine"):
        runner.load(resnet8)


def test_a_bundle_passes_its_selftest_there(python, tmp_path, examples):
    quantized = tmp_path / "fashion.int8.onnx"
    with np.load(examples / "test.npz") as test:
        samples = {name: test[name][:100] for name in test}
    edgeonnx.quantize(
        examples / "mobilenetv1.onnx",
        examples / "calibration.npz",
        output=quantized,
        target="intel-openvino",
        eval_data=samples,
        pipeline=examples / "pipeline.toml",
        max_drop=0.05,
        force=True,
    )
    bundle = edgeonnx.package(
        quantized,
        "intel-openvino",
        tmp_path / "fashion.edge",
        pipeline=examples / "pipeline.toml",
        labels=examples / "labels.txt",
        data=examples / "test.npz",
    ).path
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "unpacked")
    for verb, found in (("selftest", "ok"), ("run", "Shirt")):
        more = [examples / "shirt.png"] if verb == "run" else []
        command = [python, "-I", bundle, verb, *more]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert found.lower() in ran.stdout.lower(), ran.stdout


def test_an_interpreter_without_it(monkeypatch, tmp_path):
    import sys

    with pytest.raises(TargetError, match=f"expected {PROVIDER}, got onnxruntime"):
        find_runner(Setting(PROVIDER), Path(sys.executable))
    with pytest.raises(TargetError, match="can't be started"):
        find_runner(Setting(PROVIDER), tmp_path / "python")
    monkeypatch.setenv(variable(PROVIDER), sys.executable)
    runner, why = runner_for(TARGET)
    assert runner is None
    assert f"expected {PROVIDER}" in why


def test_a_model_that_it_does_not_take_is_told(runner, tmp_path):
    from tests.unit.models import proto

    model = Model.from_proto(proto("(float[2,4] x) => (float[2,4] y) { y = my.Op(x) }", domains=["my"]))
    with pytest.raises(ModelError, match=PROVIDER):
        runner.load(model)


def test_around_a_custom_operator(median, python, tmp_path):
    """OpenVINO takes what is around it, where sizes are fixed; the CPU provider runs the operator."""
    model = build(
        f"""(float[1,4,12,12] x) => (float[1,8,12,12] y) {{
            a = Conv<pads = [1,1,1,1]>(x, w1) m = {DOMAIN}.MedianFilter(a) y = Conv<pads = [1,1,1,1]>(m, w2)
        }}""",
        domains=[DOMAIN],
        w1=weight(8, 4, 3, 3),
        w2=weight(8, 8, 3, 3),
    )
    with edgeonnx.custom_ops(median):
        result = edgeonnx.quantize(model, {"x": noise(40, 4, 12, 12)}, target="intel-openvino", force=True)
        bundle = edgeonnx.package(result.model, "intel-openvino", tmp_path / "b.edge").path
    assert result.score > 0.98
    ran = subprocess.run([python, bundle, "selftest"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"{PROVIDER} " in ran.stdout and "CPUExecutionProvider " in ran.stdout
