"""Models with onnxruntime-extensions' operators: recognised, run, and refused where it is not installed."""

import sys

import numpy as np
import onnxruntime as ort
import pytest
from models import build

import edgeonnx
from edgeonnx.errors import DeviceError, ModelError
from edgeonnx.extensions import DOMAIN, uses_extensions
from edgeonnx.model import session_options
from edgeonnx.runtime._extensions import register, version_note

UPPER = f"(string[N] s) => (string[N] y) {{ y = {DOMAIN}.StringUpper(s) }}"
INSIDE = f"""(bool c, string[N] s) => (string[N] y) {{
    y = If(c) <
        then_branch = t () => (string[N] a) {{ a = {DOMAIN}.StringUpper(s) }},
        else_branch = e () => (string[N] b) {{ b = Identity(s) }}
    >
}}"""
FUNCTION = (
    f'<domain: "own", opset_import: ["" : 17, "{DOMAIN}" : 1]> Shout (x) => (z) {{ z = {DOMAIN}.StringUpper(x) }}'
)
installed = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="onnxruntime-extensions has no wheel for this Python"
)


MODELS = {
    "graph": build(UPPER, domains=[DOMAIN]),
    "subgraph": build(INSIDE, domains=[DOMAIN]),
    "function": build(
        "(string[N] s) => (string[N] y) { y = own.Shout(s) }", domains=[DOMAIN, "own"], functions=[FUNCTION]
    ),
}


@installed
@pytest.mark.parametrize("where", MODELS)
def test_used_anywhere_it_runs(where):
    model = MODELS[where]
    assert uses_extensions(model.ir)
    feeds = {"s": np.array(["abc"], object), "c": np.array(True)}
    given = {tensor.name: feeds[tensor.name] for tensor in model.inputs}
    assert model.session().run(None, given)[0].tolist() == ["ABC"]


def test_not_used():
    assert not uses_extensions(build("(string[N] s) => (string[N] y) { y = Identity(s) }", domains=[DOMAIN]).ir)


@installed
def test_options_serve_for_several_sessions():
    options, model = session_options(), build(UPPER, domains=[DOMAIN])
    for _ in range(2):
        assert model.session(options).run(None, {"s": np.array(["a"], object)})[0].tolist() == ["A"]


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    with pytest.raises(ModelError, match=r"pip install 'edgeonnx\[extensions\]'"):
        build(UPPER, domains=[DOMAIN]).session()
    with pytest.raises(DeviceError, match=r"shop\.edge: .*pip install onnxruntime-extensions"):
        register(ort.SessionOptions(), "shop.edge")


@installed
def test_on_the_device():
    options = ort.SessionOptions()
    register(options, "shop.edge")
    session = ort.InferenceSession(build(UPPER, domains=[DOMAIN]).to_proto().SerializeToString(), options)
    assert session.run(None, {"s": np.array(["a"], object)})[0].tolist() == ["A"]


@installed
def test_another_release_than_the_bundle_was_tested_with_is_named_where_loading_fails():
    import onnxruntime_extensions as extensions

    assert version_note(None) == version_note(extensions.__version__) == ""
    assert version_note("0.1.2").endswith(f"onnxruntime-extensions 0.1.2, this is {extensions.__version__}")


@installed
def test_python_operators_are_refused_where_they_can_not_run(tmp_path):
    """In this process the library has them; a device's process has only what the library was built with."""
    from onnxruntime_extensions import PyCustomOpDef, onnx_op

    @onnx_op(op_type="EdgeonnxTwice", inputs=[PyCustomOpDef.dt_float], outputs=[PyCustomOpDef.dt_float])
    def twice(x):
        return 2 * x

    model = build(f"(float[N] x) => (float[N] y) {{ [mine] y = {DOMAIN}.EdgeonnxTwice(x) }}", domains=[DOMAIN])
    assert model.session().run(None, {"x": np.ones(1, np.float32)})[0].tolist() == [2]
    said = r"node 'mine' is the custom operator ai\.onnx\.contrib::EdgeonnxTwice.*\(@onnx_op\) can't run on a device"
    with pytest.raises(ModelError, match=said):
        edgeonnx.package(model, "x86-64", tmp_path / "b.edge")
    model.save(tmp_path / "m.onnx")
    found = [finding for finding in edgeonnx.doctor(tmp_path / "m.onnx", "x86-64").findings if finding.level == "error"]
    assert any("EdgeonnxTwice" in finding.message for finding in found)


@installed
def test_its_own_operators_are_not_refused(tmp_path):
    manifest = edgeonnx.package(build(UPPER, domains=[DOMAIN]), "x86-64", tmp_path / "b.edge").manifest
    assert manifest.extensions is not None and manifest.custom_ops is None


@installed
def test_given_as_a_library_it_goes_into_the_bundle(tmp_path):
    """What the user gives has the operators, so that the device needs no package."""
    from onnxruntime_extensions import get_library_path

    with edgeonnx.custom_ops(get_library_path()):
        result = edgeonnx.package(build(UPPER, domains=[DOMAIN]), "x86-64-vnni", tmp_path / "b.edge")
    assert result.manifest.extensions is None
    assert result.manifest.custom_ops.operators == (f"{DOMAIN}::StringUpper",)
    assert edgeonnx.load(result.path).run({"s": np.array(["a"], object)})["y"].tolist() == ["A"]
