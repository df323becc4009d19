"""What the doctor says of models, bundles and devices."""

import json

import numpy as np
import onnx
import pytest
from models import convnet, noise, proto, weight

from edgeonnx.doctor import trial
from edgeonnx.doctor.cpu import check_float16, check_int8, check_variants
from edgeonnx.doctor.device import Device, read_device, this_machine
from edgeonnx.doctor.document import generated
from edgeonnx.doctor.finding import Finding, error, ok, warning, worst
from edgeonnx.doctor.installation import check_cache
from edgeonnx.doctor.memory import Need, check_memory, least
from edgeonnx.errors import BundleError, InputError, ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.targets import load_target
from edgeonnx.verbs.doctor import doctor
from edgeonnx.verbs.model_checks import model_findings

# What a Raspberry Pi 5 told.
FACTS = {
    **{"facts": 1, "os": "linux", "machine": "aarch64", "python": "3.13.5", "libc": "glibc 2.41"},
    **{"features": ["dotprod", "neon"], "cpus": 4, "cpu_lists": True, "memory_mb": 4045, "available_mb": 3200},
    **{"numpy": "2.4.6", "extensions": None, "packages": ["onnxruntime 1.32.0"], "onnxruntime": "1.32.0"},
    **{"providers": ["CPUExecutionProvider"], "broken": None},
}


@pytest.fixture
def facts(tmp_path):
    """Writes the facts of a device, changed."""

    def write(**changes):
        path = tmp_path / "facts.json"
        path.write_text(json.dumps(FACTS | changes))
        return path

    return write


def save(tmp_path, model):
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def told(diagnosis, *levels):
    """The findings of a level: by default, of those that are not ok."""
    return {f.subject: f for f in diagnosis.findings if f.level in (levels or ("warning", "error"))}


def test_the_gravest_level_counts():
    assert worst([]) == "ok"
    assert worst([ok("a", "b"), warning("a", "b", "c")]) == "warning"
    assert worst([error("a", "b", "c"), warning("a", "b", "c")]) == "error"
    assert str(Finding("error", "opset", "expected 17", "export it again")) == "opset: expected 17; export it again"


def test_this_installation_is_well():
    found = doctor()
    assert found.level == "ok", told(found)
    assert {"this machine", "packages", "cache", "extra images"} <= {f.subject for f in found.findings}


def test_a_model_that_fits(tmp_path):
    found = doctor(save(tmp_path, convnet()), "raspberrypi-5")
    assert found.level == "ok", told(found)
    assert told(found, "ok")["memory"].message.endswith("there are 1024 MB in all")


@pytest.mark.parametrize(
    ("target", "model", "subject", "level", "mend"),
    [
        ("raspberrypi-5", {"opset": 23}, "opset", "error", "export the model with opset 22"),
        ("raspberrypi-5", {"ir_version": 14}, "IR version", "warning", "edgeonnx package lowers it"),
        ("web", {"domains": ("my.domain",)}, "operators", "error", "replace these operators"),
    ],
)
def test_a_model_that_a_target_refuses(target, model, subject, level, mend):
    text = "(float[1,4] x) => (float[1,3] y) { y = MatMul(x, w) }"
    if "domains" in model:
        text = "(float[1,4] x) => (float[1,3] y) { h = my.domain.Own(x) y = MatMul(h, w) }"
    findings = model_findings(Model.from_proto(proto(text, w=weight(4, 3), **model)), load_target(target))
    found = next(f for f in findings if f.level != "ok")
    assert (found.subject, found.level) == (subject, level)
    assert mend in found.mend


def test_free_shapes_for_an_npu():
    text = "(float[N,M] x) => (float[N,M] y) { y = Relu(x) }"
    findings = model_findings(Model.from_proto(proto(text)), load_target("qualcomm-hexagon"))
    assert "input shapes" in {f.subject for f in findings if f.level == "error"}


@pytest.mark.parametrize(("operator", "release"), [("QuickGelu", None), ("CausalConvWithState", "1.27")])
def test_an_operator_of_a_newer_onnxruntime(operator, release):
    """Of the domain com.microsoft no opset tells the release."""
    text = f"(float[1,8] x) => (float[1,8] y) {{ y = com.microsoft.{operator}(x) }}"
    model = Model.from_proto(proto(text, domains=("com.microsoft",)))
    found = [f.mend for f in model_findings(model, load_target("raspberrypi-5")) if f.level == "error"]
    assert [mend.split(",")[0] for mend in found] == ([f"put onnxruntime {release} on the device"] if release else [])


def test_extensions_and_where_they_have_no_wheel(tmp_path, facts):
    text = "(string[N] x) => (string[N] y) { y = ai.onnx.contrib.StringUpper(x) }"
    path = save(tmp_path, proto(text, domains=("ai.onnx.contrib",)))
    assert doctor(path, "raspberrypi-5").level == "ok"
    found = told(doctor(path, "raspberrypi-5", python="3.14"))
    assert found["onnxruntime-extensions wheel"].mend == "install Python 3.10 to 3.13 there"
    found = told(doctor(path, "raspberrypi-5", device=facts()))
    assert found["extensions"].mend == "pip install onnxruntime-extensions"


def test_a_model_that_does_not_load_is_explained(tmp_path):
    text = "(double[1,1,4,4] x) => (double[1,1,6,6] y) { y = ConvTranspose(x, w) }"
    found = told(doctor(save(tmp_path, proto(text, w=np.ones((1, 1, 3, 3)))), "raspberrypi-5"))
    assert found["load here"].level == "error"
    assert "ConvTranspose of opset 11 has no kernel" in found["load here"].message
    assert "Cast" in found["load here"].mend


def test_a_model_whose_free_dimensions_can_not_all_be_1(tmp_path):
    text = "(float[N,C,H,W] x) => (float[N,D,I,J] y) { y = Conv(x, w) }"
    found = told(doctor(save(tmp_path, proto(text, w=weight(2, 3, 3, 3))), "raspberrypi-5"))
    assert found["run here"].level == "warning"
    assert "channels" in found["run here"].message


def test_half_floats_on_a_cpu_and_on_an_accelerator():
    text = "(float16[1,4] x) => (float16[1,3] y) { y = MatMul(x, w) }"
    model = Model.from_proto(proto(text, w=weight(4, 3).astype(np.float16)))
    assert "float16" in {f.subject for f in model_findings(model, load_target("raspberrypi-5")) if f.level == "warning"}
    assert check_float16(on_cpu=False).level == "ok"


@pytest.mark.parametrize(
    ("features", "saturates", "spared", "level", "said"),
    [
        ({"neon", "dotprod"}, False, False, "ok", "dotprod"),
        ({"neon"}, False, False, "warning", "no integer dot product"),
        ({"avx2"}, True, False, "warning", "saturate in 16 bits"),
        ({"avx2"}, True, True, "warning", "no integer dot product"),
        (None, False, False, "warning", "features are not known"),
    ],
)
def test_integers_on_a_cpu(features, saturates, spared, level, said):
    device = Device(features=None if features is None else frozenset(features))
    found = check_int8(device, saturates, spared)
    assert found.level == level
    assert said in found.message


def test_a_quantized_model_on_cores_without_dot_products(fashion_int8):
    findings = {f.subject: f for f in model_findings(Model.load(fashion_int8), load_target("raspberrypi-4"))}
    assert findings["INT8"].level == "warning"
    findings = {f.subject: f for f in model_findings(Model.load(fashion_int8), load_target("raspberrypi-5"))}
    assert findings["INT8"].level == "ok"


@pytest.mark.parametrize(
    ("need", "total", "free", "level"),
    [
        (Need(200, True), 1024, None, "ok"),
        (Need(600, True), 1024, None, "warning"),
        (Need(2000, True), 1024, None, "error"),
        (Need(600, True), 1024, 900, "ok"),
        (Need(600, True), 1024, 300, "warning"),
        (Need(600, True), None, None, "ok"),
        (least(3 << 30), 1024, None, "error"),
    ],
)
def test_memory(need, total, free, level):
    assert check_memory(need, Device(memory_mb=total, available_mb=free)).level == level


def test_memory_is_measured_and_grows_with_the_weights(tmp_path):
    small = trial.run_once(save(tmp_path, convnet()))
    text = "(float[1,4096] x) => (float[1,4096] y) { y = MatMul(x, w) }"
    large = trial.run_once(save(tmp_path, proto(text, w=noise(4096, 4096))))
    assert small.need.measured and large.need.measured
    assert large.need.peak_mb > small.need.peak_mb + 60  # 64 MiB of weights


def test_a_run_that_takes_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_SECONDS", 0.01)
    assert "took more than" in trial.run_once(save(tmp_path, convnet())).failure


@pytest.mark.parametrize(
    ("variants", "features", "level"),
    [
        ({"int8": ()}, None, "ok"),
        ({"int8": ("vnni",), "float32": ()}, {"avx2", "vnni"}, "ok"),
        ({"int8": ("vnni",), "float32": ()}, {"avx2"}, "warning"),
        ({"int8": ("vnni",)}, {"avx2"}, "error"),
        ({"int8": ("vnni",)}, None, "warning"),
    ],
)
def test_variants(variants, features, level):
    device = Device(features=None if features is None else frozenset(features))
    assert check_variants(variants, device).level == level


def test_a_bundle_for_its_own_target(fashion_bundle):
    found = doctor(fashion_bundle)
    assert told(found, "error") == {}
    assert {"hashes", "target", "variants", "memory"} <= set(told(found, "ok"))


def test_a_bundle_on_a_device_that_was_looked_at(fashion_bundle, facts):
    found = doctor(fashion_bundle, device=facts())
    assert found.level == "ok", told(found)
    found = told(doctor(fashion_bundle, device=facts(onnxruntime="1.16.0", packages=["onnxruntime 1.16.0"])))
    assert "pip install 'onnxruntime>=" in found["bundle needs"].mend
    assert "numpy 2.4.6" in found["known to fail"].message


def test_a_bundle_for_another_target(fashion_bundle):
    assert told(doctor(fashion_bundle, "x86-64"))["target"].mend == "edgeonnx package MODEL --target x86-64"


def test_a_bundle_that_was_altered(fashion_bundle, tmp_path):
    data = bytearray(fashion_bundle.read_bytes())
    place = data.index(b"PK\x03\x04", len(data) // 2) - 40  # within what an entry holds
    data[place] ^= 1
    path = tmp_path / "altered.edge"
    path.write_bytes(data)
    found = told(doctor(path))
    assert found["hashes"].level == "error"
    assert "copy it again" in found["hashes"].mend


@pytest.mark.parametrize(
    ("changes", "subject", "said"),
    [
        ({"machine": "armv7l"}, "platform", "got linux on armv7l"),
        ({"python": "3.9.2"}, "platform", "expected Python 3.11 or newer"),
        ({"onnxruntime": "1.20.1"}, "onnxruntime", "expected 1.22 or newer, got 1.20.1"),
        ({"onnxruntime": None, "providers": None}, "onnxruntime", "it is not installed"),
        ({"onnxruntime": None, "broken": "E: No module named 'onnxruntime'"}, "onnxruntime", "it is not installed"),
        ({"onnxruntime": None, "broken": "ImportError: _ARRAY_API not found"}, "onnxruntime", "built for numpy 1"),
        ({"onnxruntime": None, "broken": "ended by signal 4"}, "onnxruntime", "ended by signal 4"),
        ({"numpy": None}, "numpy", "not installed"),
        ({"features": ["neon"]}, "CPU", "raspberrypi-5 has dotprod, this device has not"),
        ({"features": None}, "CPU", "not known"),
        ({"onnxruntime": "1.21.1", "cpu_lists": False}, "known to fail", "/sys/devices/system/cpu/possible"),
    ],
)
def test_what_is_wrong_with_a_device(facts, changes, subject, said):
    found = told(doctor(target="raspberrypi-5", device=facts(**changes)))
    assert said in found[subject].message
    assert found[subject].mend


def test_a_provider_that_is_not_there(facts):
    path = facts(machine="x86_64", features=["avx2", "vnni"], onnxruntime="1.24.1")
    found = told(doctor(target="intel-openvino", device=path))
    assert "pip install onnxruntime-openvino" in found["provider"].mend
    path = facts(
        machine="x86_64", onnxruntime="1.24.1", providers=["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    )
    assert "provider" not in told(doctor(target="intel-openvino", device=path))


def test_the_caller_knows_better_than_the_profile():
    assert doctor(target="raspberrypi-5", python="3.14").level == "ok"
    assert told(doctor(target="raspberrypi-5", libc="glibc 2.17"))["onnxruntime wheel"].level == "error"
    assert told(doctor(target="raspberrypi-5", machine="riscv64"))["platform"].level == "error"


def test_systems_without_pip_are_asked_for_no_wheel():
    for target in ("web", "android-arm64"):
        assert doctor(target=target).level == "ok"


def test_what_this_machine_tells_can_be_read_back(tmp_path):
    path = tmp_path / "facts.json"
    here = this_machine()
    path.write_text(json.dumps({"facts": 1, **here.model_dump(mode="json")}))
    assert read_device(path) == here
    assert here.real and here.onnxruntime and here.interpreter


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON"),
        ("[1]", "expected the facts of a device"),
        ('{"os": "linux"}', "expected the facts of a device"),
        ('{"facts": 1, "python": "2.7"}', "expected a Python 3"),
        ('{"facts": 1, "memory_mb": "much"}', "memory_mb"),
        ('{"facts": 1, "libc": "uclibc 1"}', "expected 'glibc 2.36'"),
    ],
)
def test_facts_that_can_not_be_used(tmp_path, text, said):
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"facts\.json") as raised:
        read_device(path)
    assert said in str(raised.value)


def test_bad_input(tmp_path, examples):
    model = examples / "mobilenetv1.onnx"
    with pytest.raises(InputError, match="say --target"):
        doctor(model)
    with pytest.raises(InputError, match="say --target"):
        doctor(python="3.11")
    with pytest.raises(TargetError, match="no such target"):
        doctor(model, "raspberrypi-9")
    with pytest.raises(InputError, match="expected a Python 3"):
        doctor(model, "raspberrypi-5", python="three")
    with pytest.raises(InputError, match="can't be read"):
        doctor(model, "raspberrypi-5", device=tmp_path / "none.json")
    with pytest.raises(ModelError, match="no such file"):
        doctor(tmp_path / "none.onnx", "raspberrypi-5")
    with pytest.raises(BundleError):
        doctor(save(tmp_path, convnet()).rename(tmp_path / "model.edge"), "raspberrypi-5")


def test_a_cache_that_can_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert check_cache(tmp_path / "file" / "cache").level == "warning"
    assert check_cache(tmp_path / "new" / "cache").level == "ok"


def test_a_document_without_its_markers():
    with pytest.raises(ValueError, match="put them back"):
        generated("<!-- errors: generated -->")
