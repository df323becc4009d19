"""What packaging says of a target that models are compiled for; the compiling itself is in tests/providers."""

import pytest
from models import build, noise

from edgeonnx import load, package
from edgeonnx.errors import ModelError, TargetError
from edgeonnx.providers import interpreter, variable
from edgeonnx.providers.qnn import compiled_for, complaint
from edgeonnx.runtime._selftest import compare_golden

PROVIDER, TARGET = "QNNExecutionProvider", "qualcomm-hexagon-8-gen-3"
RELU = "(float[N,4,8,8] x) => (float[N,4,8,8] y) { y = Relu(x) }"
# As onnxruntime-qnn 2.7.0 prints it: once before and once after it has settled layouts.
LOG = """\
2026-01-01 00:00:00.0 [E:onnxruntime:, qnn_execution_provider.cc:1 GetCapabilityImpl] Unsupported nodes in QNN EP: \
{ name: a, type: HardSigmoid }{ name: b, type: Relu }
2026-01-01 00:00:00.1 [E:onnxruntime:, qnn_execution_provider.cc:1 GetCapabilityImpl] Unsupported nodes in QNN EP: \
{ name: /0/Conv_token_1, type: Conv }{ name: b, type: Relu }
"""


def test_without_the_provider_nothing_is_compiled_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv(variable(PROVIDER), raising=False)
    monkeypatch.chdir(tmp_path)
    if interpreter(PROVIDER):
        pytest.skip("this project has an interpreter with onnxruntime-qnn")
    result = package(build(RELU), TARGET, tmp_path / "m.edge", data={"x": noise(3, 4, 8, 8)})
    assert result.notes[0] == (
        "nothing was compiled for SM8650, the model will run on the CPU: no interpreter here has "
        "QNNExecutionProvider; run make qnn, or name one with --provider-python or in EDGEONNX_QNN_PYTHON"
    )
    (variant,) = result.manifest.variants
    assert [provider.name for provider in variant.providers] == ["CPUExecutionProvider"]
    model = load(result.path)
    assert model.manifest.inputs[0].shape == (1, 4, 8, 8)
    assert compare_golden(model).ok


def test_an_interpreter_that_is_named_must_have_the_provider(tmp_path, monkeypatch):
    with pytest.raises(TargetError, match="can't be started: No such file"):
        package(build(RELU), TARGET, tmp_path / "m.edge", provider_python=tmp_path / "python")
    monkeypatch.setenv(variable(PROVIDER), str(tmp_path / "python"))
    with pytest.raises(TargetError, match="can't be started: No such file"):
        package(build(RELU), TARGET, tmp_path / "m.edge")


def test_a_target_that_is_not_compiled_for_is_left_alone(tmp_path):
    (variant,) = package(build(RELU), "raspberrypi", tmp_path / "m.edge").manifest.variants
    assert variant.providers == ()


def test_what_the_provider_complains_of():
    assert complaint(LOG) == "it leaves Conv /0/Conv_token_1, Relu b to the CPU"
    many = "Unsupported nodes in QNN EP: " + "".join(f"{{ name: n{i}, type: Conv }}" for i in range(9))
    assert complaint(many).endswith("Conv n4 and 4 more to the CPU")
    assert complaint("QNN SetupBackend failed Failed to create device.\n" + LOG) == "Failed to create device."
    assert complaint("something else") == ""


def test_what_is_not_compiled_is_no_compiled_model():
    with pytest.raises(ModelError, match="expected nodes compiled for the NPU alone, got Relu too"):
        compiled_for(build(RELU))
    empty = 'com.microsoft.EPContext <main_context = 1, ep_cache_context = "no code"> (x)'
    text = f"(float[1,4] x) => (float[1,4] y) {{ y = {empty} }}"
    with pytest.raises(ModelError, match="expected the compiled model to record one chip, got none"):
        compiled_for(build(text, domains=["com.microsoft"]))
