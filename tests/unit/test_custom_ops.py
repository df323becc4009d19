"""Models with a custom operator through quantize and package: kept in float, calibrated around, carried along."""

import json
import sys
import zipfile

import numpy as np
import onnx
import pytest
from models import build, noise, proto, run, weight

import edgeonnx
from edgeonnx.errors import EngineError, InputError, ModelError, TargetError
from edgeonnx.libraries import custom_ops
from edgeonnx.optimize.types import with_types
from edgeonnx.providers import ProcessRunner, Setting
from edgeonnx.runtime._platform import this_platform
from edgeonnx.runtime._selftest import compare_golden
from edgeonnx.verbs.model_checks import model_findings
from tests import native

HERE = "arm64" if this_platform() == "linux-aarch64" else "x86-64-vnni"
CLEAN = f"{native.DOMAIN}.MedianFilter"
CONV = "Conv<kernel_shape = [3,3], pads = [1,1,1,1]>"
WEIGHTS = {
    "w1": weight(8, 4, 3, 3),
    "b1": noise(8, scale=0.1),
    "w2": weight(8, 8, 3, 3, seed=2),
    "b2": noise(8, seed=3),
}
BETWEEN = f"(float[N,4,H,W] x) => (float[N,8,H,W] y) {{ a = {CONV}(x, w1, b1) m = {CLEAN}(a) y = {CONV}(m, w2, b2) }}"
PLACES = {
    "between": BETWEEN,
    "fixed shapes": BETWEEN.replace("N,4,H,W", "1,4,16,16").replace("N,8,H,W", "1,8,16,16"),
    "at the input": f"""(float[N,4,H,W] x) => (float[N,8,H,W] y) {{
        m = {CLEAN}(x) a = {CONV}(m, w1, b1) r = Relu(a) y = {CONV}(r, w2, b2)
    }}""",
    "at the output": f"""(float[N,4,H,W] x) => (y) {{
        a = {CONV}(x, w1, b1) r = Relu(a) b = {CONV}(r, w2, b2) y = {CLEAN}(b)
    }}""",
    "in a subgraph": f"""(float[N,4,H,W] x) => (float[N,8,H,W] y) {{
        a = {CONV}(x, w1, b1)
        s = ReduceSum<keepdims = 0>(x)
        zero = Constant<value = float {{0}}>()
        c = Greater(s, zero)
        m = If(c) <then_branch = t () => (p) {{ p = {CLEAN}(a) }}, else_branch = e () => (q) {{ q = Identity(a) }}>
        y = {CONV}(m, w2, b2)
    }}""",
    "in a subgraph that says no shape": f"""(float[N,4,H,W] x) => (float[N,8,H,W] y) {{
        a = {CONV}(x, w1, b1)
        s = ReduceSum<keepdims = 0>(x)
        zero = Constant<value = float {{0}}>()
        c = Greater(s, zero)
        m = If(c) <
            then_branch = t () => (float[] p) {{ p = {CLEAN}(a) }}, else_branch = e () => (q) {{ q = Identity(a) }}
        >
        y = {CONV}(m, w2, b2)
    }}""",
    "read twice": f"""(float[N,4,H,W] x) => (float[N,8,H,W] y) {{
        a = {CONV}(x, w1, b1) m = {CLEAN}<size = 5>(a) b = {CONV}(m, w2, b2) y = Add(b, m)
    }}""",
}


def model(text=BETWEEN, **more):
    used = {name: array for name, array in WEIGHTS.items() if name in text}
    return build(text, domains=[native.DOMAIN], **{**used, **more})


@pytest.fixture(scope="module")
def data():
    return {"x": noise(40, 4, 16, 16)}


@pytest.fixture(scope="module")
def shipped(median, tmp_path_factory):
    """A float model packaged for this machine."""
    with custom_ops(median):
        return edgeonnx.package(model(), HERE, tmp_path_factory.mktemp("shipped") / "clean.edge", golden_samples=2)


def test_a_function_that_calls_one(tmp_path, median, data):
    """onnxruntime does not find out the types there, so the function is inlined when the model is read."""
    function = f"""<domain: "own", opset_import: ["" : 17, "{native.DOMAIN}" : 1]>
        Clean (given) => (cleaned) {{ cleaned = {CLEAN}(given) }}"""
    text, domains = BETWEEN.replace(CLEAN, "own.Clean"), [native.DOMAIN, "own"]
    onnx.save(proto(text, domains=domains, functions=[function], **WEIGHTS), tmp_path / "m.onnx")
    with custom_ops(median):
        read = edgeonnx.Model.load(tmp_path / "m.onnx")
        wanted, got = (run(each, {"x": data["x"][:1]})["y"] for each in (model(), read))
        np.testing.assert_array_equal(got, wanted)
        edgeonnx.quantize(read, data, recipe="fast", target="raspberrypi", force=True)
        assert edgeonnx.inspect(tmp_path / "m.onnx").refusals[HERE] == ()


@pytest.mark.parametrize("place", PLACES)
def test_it_stays_in_float_and_what_is_around_it_is_quantized(place, median, data):
    with custom_ops(median):
        result = edgeonnx.quantize(model(PLACES[place]), data, recipe="fast", target="raspberrypi", force=True)
    assert len(convs_of(result.model)) == 2
    assert result.score > 0.99
    filters = [node for node in result.model.ir.graph.all_nodes() if node.op_type == "MedianFilter"]
    assert [node.domain for node in filters] == [native.DOMAIN]
    assert not any(value.dtype in (2, 3) for node in filters for value in node.inputs)  # UINT8, INT8


def convs_of(quantized):
    """The Convs whose weights are integers."""
    nodes = [node for node in quantized.ir.graph if node.op_type == "Conv"]
    makers = {node.name: node.inputs[1].producer() for node in nodes}
    return [name for name, maker in makers.items() if maker is not None and maker.op_type == "DequantizeLinear"]


def test_an_old_opset(median, data):
    with custom_ops(median):
        result = edgeonnx.quantize(model(opset=11), data, recipe="fast", target="raspberrypi", force=True)
    assert result.score > 0.99 and result.model.opset >= 13


def test_ranks_behind_it_are_known(median):
    """Neither ONNX nor onnxruntime tells them where sizes are free."""
    with custom_ops(median):
        typed = with_types(model())
    shapes = {value.name: value.shape for node in typed.ir.graph for value in node.outputs}
    assert [len(shapes[name]) for name in ("a", "m", "y")] == [4, 4, 4]
    assert shapes["y"][1] == 8


def test_work_behind_it_is_counted(median):
    """One pixel a picture: 4 x 8 x 9 products, then 8 x 8 x 9."""
    assert edgeonnx.inspect(model()).anatomy.macs is None
    with custom_ops(median):
        assert edgeonnx.inspect(model()).anatomy.macs == 4 * 8 * 9 + 8 * 8 * 9


def test_ranges_of_one_library_are_not_taken_for_anothers(median, data, tmp_path, monkeypatch):
    """Calibration is kept by library too: another build may give other values."""
    np.savez(tmp_path / "data.npz", **data)
    monkeypatch.setenv("EDGEONNX_CACHE", str(tmp_path / "cache"))
    other = tmp_path / "libother.so"
    other.write_bytes(median.read_bytes() + b"another build")
    counts = []
    for library in (median, median, other):
        with custom_ops(library):
            edgeonnx.quantize(model(), tmp_path / "data.npz", recipe="fast", target="raspberrypi", force=True)
        counts.append(len(list((tmp_path / "cache" / "calibration").iterdir())))
    assert counts[0] == counts[1] < counts[2]


def test_without_the_library_quantize_names_it(data):
    with pytest.raises(ModelError, match=r"example\.vision::MedianFilter.*--custom-op"):
        edgeonnx.quantize(model(), data)


def test_an_engine_that_makes_nothing_of_it_says_why(median, data):
    text = f"""(float[N,4,H,W] x) => (float[N,3] y) {{
        a = {CONV}(x, w1, b1) m = {CLEAN}(a) p = GlobalAveragePool(m) f = Flatten(p) y = Gemm<transB = 1>(f, w3, b3)
    }}"""
    said = r"ort made nothing that runs: .*example\.vision::MedianFilter; leave --engine out"
    with custom_ops(median), pytest.raises(EngineError, match=said):
        edgeonnx.quantize(model(text, w3=weight(3, 8), b3=noise(3)), data, engine="ort")


def test_the_bundle_carries_it(shipped, median):
    manifest = shipped.manifest
    (library,) = manifest.custom_ops.libraries
    assert manifest.custom_ops.operators == (native.OPERATOR,)
    assert (library.file, library.platform) == ("custom_ops/0/libmedian_filter.so", this_platform())
    with zipfile.ZipFile(shipped.path) as archive:
        assert archive.read(library.file) == median.read_bytes()
        assert json.loads(archive.read("manifest.json"))["custom_ops"]["operators"] == [native.OPERATOR]
    assert library.file in manifest.files
    opened = edgeonnx.load(shipped.path)
    assert compare_golden(opened).ok
    assert any("native code" in notice for notice in opened.notices)


def test_it_runs_as_the_model_does(shipped, median):
    x = {"x": noise(2, 4, 7, 9, seed=5)}
    with custom_ops(median):
        expected = run(model(), x)["y"]
    np.testing.assert_allclose(edgeonnx.load(shipped.path).run(x)["y"], expected, atol=1e-5)


def test_a_bundle_without_custom_operators_says_nothing_of_them(median, tmp_path):
    """A library that no node needs is not carried."""
    plain = build("(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", w=weight(4, 3))
    with custom_ops(median):
        result = edgeonnx.package(plain, HERE, tmp_path / "plain.edge")
    assert result.manifest.custom_ops is None
    assert "custom_ops" not in result.manifest.to_dict()


@pytest.mark.parametrize("given", [True, False])
def test_a_target_of_another_platform_names_it(given, median, tmp_path):
    libraries = [median] if given else []
    said = f"raspberrypi-32 is linux-armv7l: expected a library for linux-armv7l, got those for {this_platform()}"
    said = said if given else "no library that has it was given; give one with --custom-op"
    with custom_ops(*libraries), pytest.raises(TargetError, match=said):
        edgeonnx.package(model(), "raspberrypi-32", tmp_path / "b.edge")
    assert not list(tmp_path.iterdir())


def test_a_browser_takes_no_library(median, tmp_path):
    with custom_ops(median), pytest.raises(TargetError, match=r"got example\.vision; replace these operators"):
        edgeonnx.package(model(), "web", tmp_path / "b.edge")
    with custom_ops(median), pytest.raises(TargetError, match="web refuses the model"):
        edgeonnx.quantize(model(), {"x": noise(40, 4, 16, 16)}, target="web")


def test_a_library_that_no_node_needs_is_not_carried(median, tmp_path):
    from onnxruntime_extensions import get_library_path

    with custom_ops(get_library_path(), median):
        manifest = edgeonnx.package(model(), HERE, tmp_path / "b.edge").manifest
    assert [library.file for library in manifest.custom_ops.libraries] == ["custom_ops/0/libmedian_filter.so"]


def test_a_library_that_changes_while_it_is_in_use(median, tmp_path):
    copy = tmp_path / "lib.so"
    copy.write_bytes(median.read_bytes())
    with custom_ops(copy):
        copy.unlink()  # written in place, what is mapped would change
        copy.write_bytes(median.read_bytes() + b"!")
        with pytest.raises(InputError, match="was changed while it was in use"):
            edgeonnx.package(model(), HERE, tmp_path / "b.edge")


def test_inspect_says_where_it_is(median):
    assert edgeonnx.inspect(model()).custom_operators == {native.OPERATOR: ()}
    with custom_ops(median) as (library,):
        found = edgeonnx.inspect(model())
    assert found.custom_operators == {native.OPERATOR: (str(library),)}
    assert found.refusals[HERE] == ()
    assert "raspberrypi-32 is linux-armv7l" in found.refusals["raspberrypi-32"][0]


def test_a_runner_in_another_process_registers_it(median, data):
    feeds = {"x": data["x"][:2]}
    with custom_ops(median):
        runner = ProcessRunner(sys.executable, Setting("CPUExecutionProvider"))
        expected, got = run(model(), feeds)["y"], runner.load(model())(feeds)["y"]
        runner.close()
    np.testing.assert_array_equal(got, expected)


def test_the_doctor_reads_what_the_library_asks_for(median, tmp_path):
    model().save(tmp_path / "m.onnx")
    with custom_ops(median):
        well = edgeonnx.doctor(tmp_path / "m.onnx", HERE).findings
        old = edgeonnx.doctor(tmp_path / "m.onnx", HERE, libc="glibc 2.5").findings
        musl = edgeonnx.doctor(tmp_path / "m.onnx", HERE, libc="musl").findings
    assert [f.level for f in well if f.subject == "library"] == ["ok"]
    assert [f.level for f in old if f.subject == "library"] == ["warning"]
    assert any("the device has musl" in f.message for f in musl)


def test_the_doctor_does_not_run_what_has_no_library_here(tmp_path):
    model().save(tmp_path / "m.onnx")
    found = edgeonnx.doctor(tmp_path / "m.onnx", HERE).findings
    (finding,) = [f for f in found if f.subject == "run here"]
    assert finding.level == "warning"
    assert native.OPERATOR in finding.message and this_platform() in finding.mend


def test_the_doctor_on_a_bundle(shipped):
    assert [f.level for f in edgeonnx.doctor(shipped.path).findings if f.subject == "library"] == ["ok"]
    (finding,) = [f for f in edgeonnx.doctor(shipped.path, "raspberrypi-32").findings if f.subject == "library"]
    assert finding.level == "error"
    assert "expected a library for linux-armv7l" in finding.message


def test_the_oldest_onnxruntime_is_the_librarys_too(median, tmp_path, monkeypatch):
    from dataclasses import replace

    from edgeonnx.libraries import given

    with custom_ops(median) as (library,), monkeypatch.context() as patch:
        patch.setattr(given, "_given", (replace(library, api=25),))
        result = edgeonnx.package(model(), HERE, tmp_path / "b.edge")
        assert result.manifest.variants[0].minimum == "1.25"
        assert any("asks for the C API of onnxruntime 1.25" in note for note in result.notes)
        assert [f.level for f in model_findings(model(), result.target) if f.subject == "library"] == ["ok", "error"]
