"""`doctor` as a person types it."""

import io
import json
import subprocess
import sys

import pytest


def test_a_model_for_a_target(edgeonnx, examples):
    ran = edgeonnx("doctor", examples / "mobilenetv1.onnx", "--target", "raspberrypi-5")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[-1].startswith("0 errors, 0 warnings, ")
    assert any(line.startswith("ok       opset: 17") for line in lines)


def test_an_error_ends_with_1_and_says_what_mends_it(edgeonnx, examples):
    ran = edgeonnx("doctor", examples / "mobilenetv1.onnx", "--target", "raspberrypi-5", "--python", "3.9")
    assert ran.code == 1
    lines = ran.out.splitlines()
    broken = next(number for number, line in enumerate(lines) if line.startswith("error    onnxruntime wheel: "))
    assert lines[broken + 1].strip() == "-> install Python 3.11 to 3.14 there"


def test_a_warning_ends_with_0(edgeonnx):
    ran = edgeonnx("doctor", "--target", "raspberrypi-32")
    assert ran.code == 0
    assert "-> apt install python3-numpy; or install the 64-bit system" in ran.out


def test_a_bundle_with_the_facts_of_a_device(edgeonnx, fashion_bundle, out):
    """The whole way: the bundle tells what this machine has, and the doctor reads it."""
    command = [sys.executable, fashion_bundle, "facts", "--json"]
    path = out / "facts.json"
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    ran = edgeonnx("doctor", fashion_bundle, "--device", path, "--json")
    found = json.loads(ran.out)
    subjects = {finding["subject"]: finding["level"] for finding in found["findings"]}
    assert found["level"] == "error"  # this machine is no Raspberry Pi
    assert subjects["platform"] == "error"
    assert subjects["hashes"] == "ok"
    assert ran.code == 1


def test_this_installation(edgeonnx):
    ran = edgeonnx("doctor")
    assert (ran.code, ran.err) == (0, "")
    assert "packages: " in ran.out


def test_an_error_is_explained(edgeonnx, monkeypatch):
    message = "Unsupported model IR version: 14, max supported IR version: 10"
    ran = edgeonnx("doctor", "--error", message)
    assert (ran.code, ran.err) == (0, "")
    assert "the file is in IR version 14" in ran.out
    assert json.loads(edgeonnx("doctor", "--error", message, "--json").out)["name"] == "ir-version-too-new"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Traceback:\n  File\nFail: {message}\n"))
    assert "the file is in IR version 14" in edgeonnx("doctor", "--error", "-").out


def test_an_error_that_is_not_known(edgeonnx):
    ran = edgeonnx("doctor", "--error", "it is broken")
    assert ran.code == 1
    assert "not a known one" in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.onnx", "--target", "raspberrypi-5"], "no such file"),
        (["{model}"], "say --target"),
        (["{model}", "--target", "raspberry"], "no such target"),
        (["{model}", "--target", "raspberrypi-5", "--libc", "2.31"], "expected 'glibc 2.36'"),
        (["{model}", "--target", "raspberrypi-5", "--device", "nowhere.json"], "facts --json"),
        (["{model}", "--error", "text"], "expected to stand alone"),
        (["nowhere.edge"], "nowhere.edge"),
    ],
)
def test_bad_input_is_one_line(edgeonnx, examples, words, said):
    ran = edgeonnx("doctor", *[word.format(model=examples / "mobilenetv1.onnx") for word in words])
    assert said in ran.complains()
