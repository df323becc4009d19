"""`edgeonnx targets check`: where nodes land on a target."""

import json

import pytest

from tests.cli.models import linear, noise, write_model

CPU, TENSORRT = "CPUExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture
def broken_up(tmp_path):
    """Three nodes of which TensorRT leaves the middle one."""
    graph = "(float[1,4] x) => (float[1,4] y) { a = MatMul(x, w) b = Hardmax(a) y = MatMul(b, w) }"
    return write_model(tmp_path / "m.onnx", graph, w=noise(4, 4))


@pytest.fixture
def narrow(tmp_path):
    """A TensorRT target that bears one partition."""
    path = tmp_path / "narrow.toml"
    path.write_text(
        f"""
        name = "narrow"
        title = "Board with TensorRT"
        tier = "described"
        proof = "Nothing is tested."
        sources = [{{fact = "What it is", url = "https://onnxruntime.ai/"}}]
        platform = {{os = "linux", machine = "aarch64"}}
        onnxruntime = {{minimum = "1.20"}}
        providers = [{{name = "{TENSORRT}"}}, {{name = "{CPU}"}}]
        arithmetic = {{u8s8 = "unknown", isa = "cuda"}}
        placement = {{max_partitions = 1}}
        """
    )
    return path


def test_a_cpu_target(edgeonnx, tmp_path):
    ran = edgeonnx("targets", "check", linear(tmp_path / "m.onnx"), "--target", "x86-64", "--strict")
    assert (ran.code, ran.err) == (0, "")
    assert "onnxruntime's CPU provider" in ran.out
    assert f"{CPU} 2" in ran.out


def test_a_fallback_with_its_rewrite(edgeonnx, broken_up, narrow):
    ran = edgeonnx("targets", "check", broken_up, "--target", narrow)
    assert (ran.code, ran.err) == (0, "")
    for said in (
        "operator table tensorrt: nothing ran",
        f"{TENSORRT} 2, {CPU} 1",
        "3 partitions, 2 results copied between providers: expected at most 1 partitions",
        f"{TENSORRT} has no Hardmax",
        "replace it by operators that the provider takes",
    ):
        assert said in ran.out


def test_strict_makes_warnings_an_error(edgeonnx, broken_up, narrow):
    ran = edgeonnx("targets", "check", broken_up, "--target", narrow, "--strict")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "narrow: 3 partitions" in ran.err
    assert f"{TENSORRT} 2" in ran.out


def test_json(edgeonnx, broken_up, narrow):
    ran = edgeonnx("targets", "check", broken_up, "--target", narrow, "--json")
    report = json.loads(ran.out)
    assert (report["asked"], report["nodes"], report["share"]) == (False, {TENSORRT: 2, CPU: 1}, 1.0)
    assert [run["provider"] for run in report["partitions"]] == [TENSORRT, CPU, TENSORRT]
    assert report["fallbacks"][0]["op_type"] == "Hardmax"


def test_what_the_target_refuses_is_an_error_with_and_without_strict(edgeonnx, tmp_path):
    free = write_model(tmp_path / "m.onnx", "(float[1,N] x) => (float[1,N] y) { y = Relu(x) }")
    ran = edgeonnx("targets", "check", free, "--target", "qualcomm-hexagon")
    assert ran.code == 1
    assert "expected numbers in every dimension" in ran.err
    assert "make_dynamic_shape_fixed" in ran.out


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("no.onnx", "--target", "x86-64"), "no such file"),
        (("{model}", "--target", "rasberrypi"), "Near: raspberrypi"),
        (("{junk}", "--target", "x86-64"), "not an ONNX model"),
        (("{model}", "--target", "intel-openvino-npu"), "is not known here"),
        (("{model}", "--target", "intel-openvino", "--provider-python", "/no/python"), "can't be started"),
    ],
)
def test_bad_input_is_one_line(edgeonnx, tmp_path, arguments, said):
    (tmp_path / "junk.onnx").write_bytes(b"\x00junk")
    places = {"model": linear(tmp_path / "m.onnx"), "junk": tmp_path / "junk.onnx"}
    ran = edgeonnx("targets", "check", *(str(argument).format(**places) for argument in arguments))
    assert said in ran.complains()


def test_a_target_is_needed(edgeonnx, tmp_path):
    ran = edgeonnx("targets", "check", linear(tmp_path / "m.onnx"))
    assert ran.code == 2
    assert "--target" in ran.err
