"""Providers that are plugins: with one that runs on any CPU, and without the others."""

import sys
import types

import numpy as np
import onnxruntime as ort
import pytest
from runtime_bundles import add_model, picture_model, variant_of, write_bundle

from edgeonnx.runtime import DeviceError, load
from edgeonnx.runtime import _plugins as plugins
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._info import summary
from edgeonnx.runtime._manifest import Provider

PLUGIN, CPU = "cpu_ep", "CPUExecutionProvider"
X = {name: np.ones((1, 3), np.float32) for name in "ab"}


@pytest.fixture
def plugin():
    """The plugin's name. It stays registered: it may not be let go of while a session is left that runs on it."""
    pytest.importorskip("nxrt_ep_cpu", reason="nxrt-ep-cpu is not installed; pip install -e '.[dev]'")
    return PLUGIN


def bundle(tmp_path, *providers, own=None):
    """The Add bundle on these providers; `own` are those of its one variant."""

    def change(manifest, _):
        manifest["session"]["providers"] = [{"name": name, "options": options} for name, options in providers]
        if own is not None:
            manifest["variants"][0]["providers"] = [{"name": name, "options": options} for name, options in own]

    return write_bundle(tmp_path / "a.edge", add_model(), change=change)


def test_a_plugin_runs_a_bundle(plugin, tmp_path):
    model = load(bundle(tmp_path, (plugin, {}), (CPU, {})))
    assert model.session.get_providers() == [plugin, CPU]
    np.testing.assert_array_equal(model.run(X)["total"], X["a"] + X["b"])
    again = load(bundle(tmp_path, (plugin, {})), sessions=2)
    np.testing.assert_array_equal(again.run(X)["total"], X["a"] + X["b"])


def test_a_plugin_takes_nodes_and_the_cpu_the_rest(plugin, tmp_path):
    def change(manifest, _):
        manifest["session"]["providers"] = [{"name": plugin, "options": {}}]

    path = write_bundle(tmp_path / "p.edge", picture_model(height=9, width=7), change=change)
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 1), dtype=np.uint8)
    on_cpu = load(write_bundle(tmp_path / "c.edge", picture_model(height=9, width=7)))
    got, expected = (model.run({"input": picture})["logits"] for model in (load(path), on_cpu))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_variants_providers_replace_the_sessions(plugin, tmp_path):
    model = load(bundle(tmp_path, ("FutureExecutionProvider", {}), own=[(plugin, {})]))
    assert model.session.get_providers() == [plugin, CPU]
    assert model.variant.providers == (Provider(plugin, {}),)


def test_a_provider_beside_a_plugin_that_takes_no_options_is_named(plugin, tmp_path):
    with pytest.raises(DeviceError, match=r"XnnpackExecutionProvider is not there"):
        load(bundle(tmp_path, (plugin, {}), ("XnnpackExecutionProvider", {})))
    plugins.register_plugins([plugin])
    with pytest.raises(DeviceError, match=rf"NoSuchProvider: onnxruntime {ort.__version__} refuses it: "):
        plugins.add_providers(ort.SessionOptions(), [Provider(plugin, {}), Provider("NoSuchProvider", {})])


def test_a_plugin_that_is_not_installed_gives_way_to_the_next_variant(tmp_path):
    def change(manifest, entries):
        first = variant_of(add_model(), "npu") | {"providers": [{"name": "QNNExecutionProvider", "options": {}}]}
        manifest["variants"] = [first, variant_of(add_model(), "cpu")]
        for name in [name for name in entries if name.startswith("golden/")]:
            del entries[name], manifest["files"][name]
        manifest["golden"]["samples"] = 0

    if plugins._library("onnxruntime_qnn"):
        pytest.skip("onnxruntime-qnn is installed")
    path = write_bundle(tmp_path / "a.edge", add_model(), change=change)
    with pytest.warns(RuntimeWarning, match=r"npu: QNNExecutionProvider is not there: .*pip install onnxruntime-qnn"):
        model = load(path)
    assert model.variant.name == "cpu"
    with pytest.raises(DeviceError, match="pip install onnxruntime-qnn"):
        load(path, variant="npu")


@pytest.fixture
def fake_package(monkeypatch):
    """A package for QNN whose library is where it is told to be."""

    def install(find):
        package = types.ModuleType("onnxruntime_qnn")
        package.get_library_path = find
        monkeypatch.setitem(sys.modules, "onnxruntime_qnn", package)

    return install


def test_a_damaged_plugin_is_said_to_be_so(fake_package, tmp_path):
    library = tmp_path / "libbroken.so"
    library.write_bytes(b"no library")
    fake_package(lambda: str(library))
    with pytest.raises(
        DeviceError, match=r"can't load .*libbroken\.so: .*; pip install -U onnxruntime-qnn onnxruntime"
    ):
        plugins.register_plugins(["QNNExecutionProvider"])

    def missing():
        raise FileNotFoundError("its library is gone")

    fake_package(missing)
    with pytest.raises(DeviceError, match="its library is gone; pip install --force-reinstall onnxruntime-qnn"):
        plugins.register_plugins(["QNNExecutionProvider"])


def test_a_plugin_without_a_device_is_said_to_be_so(plugin, fake_package):
    import nxrt_ep_cpu

    fake_package(nxrt_ep_cpu.get_library_path)  # a library that offers another provider, and none of that name
    for _ in range(2):  # what was registered in vain is let go of
        with pytest.raises(DeviceError, match="onnxruntime-qnn is installed, but finds no device"):
            plugins.register_plugins(["QNNExecutionProvider"])


def test_an_onnxruntime_without_plugins_says_so(fake_package, monkeypatch, tmp_path):
    fake_package(lambda: str(tmp_path / "lib.so"))
    monkeypatch.delattr(ort, "register_execution_provider_library")
    monkeypatch.delattr(ort, "get_ep_devices")
    with pytest.raises(
        DeviceError, match=r"is a plugin, which onnxruntime .* does not take; pip install -U onnxruntime"
    ):
        plugins.register_plugins(["QNNExecutionProvider"])


def test_the_summary_names_a_variants_providers(tmp_path):
    path = bundle(tmp_path, (CPU, {}), own=[("QNNExecutionProvider", {})])
    told = summary(open_bundle(str(path)).manifest)
    assert "on QNNExecutionProvider" in told
    assert CPU not in told
