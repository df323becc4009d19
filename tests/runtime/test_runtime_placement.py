"""Where nodes landed against what the manifest says; the Azure provider, which wheels for Linux have, takes none."""

import json

import numpy as np
import onnxruntime as ort
import pytest
from runtime_bundles import add_model, write_bundle

from edgeonnx.runtime import BundleError, load
from edgeonnx.runtime import _placement as module
from edgeonnx.runtime.__main__ import main
from edgeonnx.runtime._placement import Foretold

CPU, AZURE = "CPUExecutionProvider", "AzureExecutionProvider"
SAMPLE = {"a": np.ones((1, 3), np.float32), "b": np.ones((1, 3), np.float32)}

azure = pytest.mark.skipif(AZURE not in ort.get_available_providers(), reason=f"this onnxruntime has no {AZURE}")


def bundle(tmp_path, placement, providers=(CPU,)):
    def change(manifest, _):
        manifest["variants"][0]["placement"] = placement
        manifest["session"]["providers"] = [{"name": name, "options": {}} for name in providers]

    return write_bundle(tmp_path / "a.edge", add_model(), [SAMPLE], change=change)


def test_nodes_on_the_cpu_alone(tmp_path):
    model = load(bundle(tmp_path, {"nodes": {CPU: 1}, "share": None, "asked": True}))
    assert model.variant.placement == Foretold({CPU: 1}, None, asked=True)
    found = model.placement()
    assert (dict(found.nodes), found.foretold, found.difference) == ({CPU: 1}, model.variant.placement, "")
    assert (str(found), model.notices) == (f"{CPU} 1", ())


def test_a_manifest_that_says_nothing(tmp_path):
    found = load(bundle(tmp_path, None)).placement()
    assert (dict(found.nodes), found.foretold, found.difference) == ({CPU: 1}, None, "")


@azure
def test_a_fallback_is_said_at_load_and_by_selftest(tmp_path, capsys):
    path = bundle(tmp_path, {"nodes": {AZURE: 1}, "share": 1.0, "asked": False}, (AZURE, CPU))
    model = load(path)
    (notice,) = model.notices
    assert notice.startswith(f"1 of 1 nodes run on {CPU}, the manifest says 0; none on {AZURE}; ")
    assert model.placement().difference == notice
    np.testing.assert_array_equal(model.run(SAMPLE)["total"], [[2, 2, 2]])
    assert main([str(path), "selftest"]) == 0
    assert f"placement: {CPU} 1; 1 of 1 nodes run on {CPU}" in capsys.readouterr().out
    assert main([str(path), "selftest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["placement"] == {"nodes": {CPU: 1}, "difference": notice}


@azure
def test_no_more_on_the_cpu_than_foretold(tmp_path):
    path = bundle(tmp_path, {"nodes": {CPU: 1}, "share": 0.0, "asked": True}, (AZURE, CPU))
    assert load(path).notices == ()
    path = bundle(tmp_path, {"nodes": {CPU: 3, AZURE: 0}, "share": 0.0, "asked": True}, (AZURE, CPU))
    assert load(path).notices == ()


@azure
def test_an_onnxruntime_that_does_not_remember(tmp_path, monkeypatch):
    """Before 1.24 the setting is passed over; here too, under a name that onnxruntime does not know."""
    monkeypatch.setattr(module, "RECORD", "session.not_known")
    monkeypatch.setattr("edgeonnx.runtime._session.RECORD", "session.not_known")
    model = load(bundle(tmp_path, {"nodes": {AZURE: 1}, "share": 1.0, "asked": True}, (AZURE, CPU)))
    assert model.notices == ()
    found = model.placement()
    assert dict(found.nodes) == {CPU: 1}
    assert found.difference.startswith(f"1 of 1 nodes run on {CPU}, the manifest says 0")


@pytest.mark.parametrize(
    "placement, named",
    [
        ({"nodes": {CPU: -1}, "asked": True}, "placement.nodes.CPUExecutionProvider"),
        ({"nodes": {CPU: "1"}, "asked": True}, "placement.nodes.CPUExecutionProvider"),
        ({"nodes": {CPU: 1}}, "placement.asked"),
        ({"nodes": {CPU: 1}, "share": "all", "asked": True}, "placement.share"),
        ({"asked": True}, "placement.nodes"),
    ],
)
def test_what_a_manifest_may_not_say(tmp_path, placement, named):
    with pytest.raises(BundleError, match=named):
        load(bundle(tmp_path, placement))
