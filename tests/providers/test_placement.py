"""Where nodes land, as OpenVINO says in the environment that `make openvino` builds; and a bundle against it."""

import json
import subprocess

import pytest

from edgeonnx.providers.find import variable
from edgeonnx.targets import load_target
from edgeonnx.targets.operators import table_of
from edgeonnx.verbs.package import package
from edgeonnx.verbs.placement import check_placement
from tests.providers.conftest import interpreter
from tests.unit.fashion import fashion_model
from tests.unit.models import build, weight

pytestmark = pytest.mark.slow

PROVIDER, CPU = "OpenVINOExecutionProvider", "CPUExecutionProvider"


@pytest.fixture(autouse=True)
def python(monkeypatch):
    """The interpreter with OpenVINO; skips where there is none, unless it is required."""
    named = interpreter(PROVIDER)
    monkeypatch.setenv(variable(PROVIDER), str(named))
    return named


def test_a_whole_model_is_one_partition():
    """With HardSwish among its operators, which OpenVINO's documentation leaves out and our table has."""
    report = check_placement(fashion_model("mobilenetv3"), "intel-openvino")
    assert (report.asked, set(report.nodes), len(report.partitions)) == (True, {PROVIDER}, 1)
    assert (report.share, report.copies, report.fallbacks, report.warnings) == (1.0, 0, (), ())
    assert "onnxruntime 1." in report.source


def test_a_node_that_it_leaves():
    """A Hardmax: the provider's answer counts, though its documentation, and so our table, has it."""
    text = """(float[2,4] x) => (float[2,4] y) {
      [before] a = MatMul(x, w)  [middle] b = Hardmax(a)  [after] y = MatMul(b, w) }"""
    report = check_placement(build(text, w=weight(4, 4)), "intel-openvino")
    assert report.asked
    assert "middle" in {fallback.name for fallback in report.fallbacks}
    assert f"{PROVIDER} leaves it, and does not say why" in {fallback.reason for fallback in report.fallbacks}
    assert len(report.partitions) > 1
    assert report.share < 1
    assert "of the multiply-accumulates are on" in report.warnings[0]


def test_a_model_that_the_provider_breaks_on():
    """Sequences fail when the subgraph is compiled: what would fail on the device is a warning here."""
    text = """(float[2,4] x) => (float[2,4] y) {
      a = MatMul(x, w)  s = SplitToSequence(a)  b = ConcatFromSequence <axis=0> (s)  y = MatMul(b, w) }"""
    report = check_placement(build(text, w=weight(4, 4)), "intel-openvino")
    assert not report.asked
    assert "the model does not run there" in report.warnings[0]
    assert f"{PROVIDER} has no SplitToSequence" in [fallback.reason for fallback in report.fallbacks]


def test_the_table_leaves_no_more_than_the_provider_does():
    """What the table says it takes, it takes: each operator of a model that OpenVINO takes whole."""
    table = table_of(load_target("intel-openvino").providers[0])
    model = fashion_model("mobilenetv3")
    assert {node.op_type for node in model.ir.graph} <= table.operators


def test_a_bundle_says_where_its_nodes_land_and_the_device_agrees(tmp_path, python):
    result = package(fashion_model("resnet8"), "intel-openvino", tmp_path / "a.edge")
    (variant,) = result.manifest.variants
    assert set(variant.placement.nodes) == {PROVIDER}
    assert (variant.placement.share, variant.placement.asked) == (1.0, True)
    ran = subprocess.run([python, result.path, "selftest", "--json"], capture_output=True, check=True, timeout=100)
    assert json.loads(ran.stdout)["placement"] == {"nodes": dict(variant.placement.nodes), "difference": ""}
