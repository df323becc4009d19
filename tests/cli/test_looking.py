"""`inspect`, `targets`, help: commands that only look."""

import json

from edgeonnx.targets import list_targets

PROFILE = """
name = "my-board"
title = "My board"
tier = "described"
proof = "Nothing is tested."
sources = [{fact = "What it is", url = "https://onnxruntime.ai/"}]
[platform]
os = "linux"
machine = "aarch64"
[onnxruntime]
minimum = "1.22"
[[providers]]
name = "CPUExecutionProvider"
[arithmetic]
u8s8 = "exact"
isa = "neon"
"""


def test_help_and_version(typed):
    assert "quantize" in typed("--help").out
    assert ", version " in typed("--version").out


def test_a_command_that_does_not_exist(typed):
    ran = typed("quantise", "model.onnx")
    assert ran.code == 2
    assert "No such command 'quantise'" in ran.err.splitlines()[-1]


def test_inspect(edgeonnx, examples):
    ran = edgeonnx("inspect", examples / "mobilenetv1.onnx")
    assert (ran.code, ran.err) == (0, "")
    assert "input: float32[N,1,28,28]" in ran.out
    assert "922,336" in ran.out
    assert "Conv 11" in ran.out
    for target in list_targets():
        assert target.name in ran.out


def test_inspect_as_json(edgeonnx, examples):
    found = json.loads(edgeonnx("inspect", examples / "mobilenetv1.onnx", "--json").out)
    assert found["opset"] == 17
    assert found["inputs"] == [{"name": "input", "dtype": "float32", "shape": ["N", 1, 28, 28]}]
    assert found["anatomy"]["operators"]["Conv"] == 11
    assert found["anatomy"]["macs"] == 922_336
    assert found["refusals"]["raspberrypi"] == []
    assert found["record"] is None


def test_inspect_tells_how_a_model_was_quantized(edgeonnx, fashion_int8):
    assert "recipe balanced, top-1" in edgeonnx("inspect", fashion_int8).out
    assert json.loads(edgeonnx("inspect", fashion_int8, "--json").out)["record"]["recipe"] == "balanced"


def test_targets(edgeonnx):
    listed = edgeonnx("targets", "list")
    assert (listed.code, listed.err) == (0, "")
    assert edgeonnx("targets") == listed
    for target in list_targets():
        assert target.name in listed.out
        assert target.tier in listed.out


def test_targets_as_json(edgeonnx):
    listed = json.loads(edgeonnx("targets", "list", "--json").out)
    assert [target["name"] for target in listed] == [target.name for target in list_targets()]
    shown = json.loads(edgeonnx("targets", "show", "raspberrypi-5", "--json").out)
    assert shown["hardware"]["cpu"].startswith("Arm Cortex-A76")


def test_every_shipped_target_can_be_shown(edgeonnx):
    for target in list_targets():
        shown = edgeonnx("targets", "show", target.name)
        assert shown.code == 0, shown.err
        assert target.sources[0].url in shown.out


def test_a_target_of_ones_own(edgeonnx, fashion_int8, tmp_path):
    profile = tmp_path / "my-board.toml"
    profile.write_text(PROFILE)
    assert "My board" in edgeonnx("targets", "show", profile).out
    packaged = edgeonnx("package", fashion_int8, "--bare", "--target", profile, "-o", tmp_path / "mine.edge")
    assert packaged.code == 0, packaged.err
    assert "my-board (described)" in packaged.out
