import numpy as np
import onnxruntime as ort
import pytest
from runtime_bundles import add_model, write_bundle

from edgeonnx.runtime import BundleError, DeviceError, InputError, load
from edgeonnx.runtime._cpus import usable_cpus
from edgeonnx.runtime._manifest import Provider, SessionSettings
from edgeonnx.runtime._session import check_providers, check_version, session_options


def changed(tmp_path, **fields):
    """The Add bundle with fields of the manifest replaced: `session__providers=...`."""

    def change(manifest, entries):
        for name, value in fields.items():
            *places, last = name.split("__")
            place = manifest
            for key in places:
                place = place[key]
            place[last] = value

    return write_bundle(tmp_path / "a.edge", add_model(), change=change)


def test_a_provider_that_is_not_there(tmp_path):
    path = changed(tmp_path, session__providers=[{"name": "OpenVINOExecutionProvider", "options": {}}])
    with pytest.raises(
        DeviceError,
        match=r"OpenVINOExecutionProvider is not there: .* has .*CPUExec.*; pip install onnxruntime-openvino",
    ):
        load(path)
    with pytest.raises(DeviceError, match="install a build of onnxruntime that has it"):
        check_providers(["FutureExecutionProvider"])


def test_an_onnxruntime_that_is_too_old(tmp_path):
    def too_new(manifest, _):
        manifest["variants"][0]["minimum"] = "99.1"

    with pytest.raises(DeviceError, match=r"is too old: expected 99\.1 or newer; pip install 'onnxruntime>=99\.1'"):
        load(write_bundle(tmp_path / "a.edge", add_model(), change=too_new))
    check_version(ort.__version__)
    check_version("1.9")


def test_a_model_that_does_not_load(tmp_path):
    import hashlib

    def change(manifest, entries):
        entries["model.onnx"] = b"junk"
        manifest["files"]["model.onnx"] = {"bytes": 4, "sha256": hashlib.sha256(b"junk").hexdigest()}

    with pytest.raises(DeviceError) as caught:
        load(write_bundle(tmp_path / "a.edge", add_model(), change=change))
    assert str(caught.value).startswith(f"a.edge: onnxruntime {ort.__version__} can't load model.onnx: ")
    assert "\n" not in str(caught.value)


def test_a_manifest_of_another_model(tmp_path):
    inputs = [{"name": name, "dtype": "float32", "shape": [1, 3]} for name in "ac"]
    with pytest.raises(
        BundleError, match=r"differ in inputs: expected a \(float32\), c \(float32\), got a .*, b \(float32\)"
    ):
        load(changed(tmp_path, inputs=inputs))
    outputs = [{"name": "total", "dtype": "int8", "shape": [1, 3]}]
    with pytest.raises(BundleError, match=r"differ in outputs: expected total \(int8\), got total \(float32\)"):
        load(changed(tmp_path, outputs=outputs))


def test_a_config_entry_that_onnxruntime_refuses(tmp_path):
    with pytest.raises(DeviceError, match=r"session\.config: onnxruntime refuses xx.*: Config key"):
        load(changed(tmp_path, session__config={"x" * 5000: "y"}))


def test_settings_reach_onnxruntime():
    settings = SessionSettings(
        (Provider("CPUExecutionProvider"),), 1, 1, "small", {"session.intra_op.allow_spinning": "0"}
    )
    options = session_options(settings, "basic")
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.log_severity_level == 4  # errors are raised, and not written to stderr too
    assert options.get_session_config_entry("session.disable_prepacking") == "1"
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (True, False)
    assert session_options(settings._replace(memory="fast"), "basic").enable_mem_pattern


def test_threads_are_never_more_than_the_cpus():
    many = SessionSettings(intra_op_threads=1000)
    assert session_options(many, "all").intra_op_num_threads == usable_cpus()
    assert session_options(many, "all", threads=1).intra_op_num_threads == 1
    assert session_options(many, "all", threads=1000).intra_op_num_threads == usable_cpus()
    with pytest.raises(InputError, match="threads: expected 0"):
        session_options(many, "all", threads=-1)


def test_threads_of_load(tmp_path):
    model = load(changed(tmp_path), threads=1)
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(model.run({"a": x, "b": x})["total"], 2 * x)
