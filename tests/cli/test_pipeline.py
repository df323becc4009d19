"""`edgeonnx pipeline`, as a person types it."""

import json

import pytest

TRAIN = """
import numpy as np

def same(sample):
    return sample["input"].transpose(2, 0, 1) / 255.0

def undivided(sample):
    return sample["input"].transpose(2, 0, 1)
"""


@pytest.fixture
def given(examples, tmp_path):
    """What `check` and `show` are given, for the Fashion-MNIST example."""
    (tmp_path / "train.py").write_text(TRAIN)
    return [examples / "pipeline.toml", "--model", examples / "mobilenetv1.onnx"]


@pytest.fixture
def check(edgeonnx, examples, tmp_path, given):
    def check(function, *more):
        data = ["--data", examples / "test.npz", "--limit", 5]
        return edgeonnx("pipeline", "check", *given, "--against", f"{tmp_path / 'train.py'}:{function}", *data, *more)

    return check


def test_the_same_is_told_and_exits_0(check):
    ran = check("same")
    assert (ran.code, ran.err) == (0, "")
    assert "grey levels" in ran.out
    assert "0 of 5 samples, tolerance 1" in ran.out
    assert ran.out.endswith("\nThe same, on 5 samples\n")


def test_a_difference_is_told_with_its_cause_and_exits_1(check, tmp_path):
    ran = check("undivided", "--save", tmp_path / "worst.png")
    assert (ran.code, ran.err) == (1, "")
    assert "5 of 5 samples" in ran.out
    assert "test.npz, sample " in ran.out
    assert "normalization: yours is normalize = {scale = 1, mean = [0], std = [1]}" in ran.out
    assert f"{tmp_path / 'worst.png'}: the spec's, yours, and the difference x 1" in ran.out
    assert ran.out.endswith("\nNOT the same, on 5 samples\n")
    assert (tmp_path / "worst.png").read_bytes().startswith(b"\x89PNG")


def test_check_as_json(check):
    found = json.loads(check("undivided", "--tolerance", 1e6, "--json").out)
    assert (found["same"], found["samples"], found["picture"]) == (True, 5, None)
    (one,) = found["inputs"]
    assert (one["name"], one["source"], one["tolerance"], one["causes"]) == ("input", "input", 1e6, [])
    assert one["levels"]["largest"] > one["difference"]["largest"] > 200


def test_show(edgeonnx, given):
    ran = edgeonnx("pipeline", "show", *given)
    assert (ran.code, ran.err) == (0, "")
    assert "input: uint8[28,28,1]" in ran.out
    assert "Softmax" in ran.out
    assert "extensions   none needed" in ran.out
    view = json.loads(edgeonnx("pipeline", "show", *given, "--json").out)
    assert [step["part"] for step in view["after"]] == ["output"]
    assert view["gives"] == [{"name": "probabilities", "dtype": "float32", "shape": ["N", 10]}]


def test_schema(edgeonnx):
    schema = json.loads(edgeonnx("pipeline", "schema").out)
    assert set(schema["properties"]) >= {"input", "output"}


def test_bad_input_is_one_line(edgeonnx, check, given, tmp_path):
    assert "none does not exist. Known: same, undivided" in check("none").complains()
    misspelt = given[0].read_text().replace("normalize", "normalise")
    (tmp_path / "p.toml").write_text(misspelt)
    ran = edgeonnx("pipeline", "show", tmp_path / "p.toml", *given[1:])
    assert "input.input.normalise is not a known field. Near: normalize" in ran.complains()
    assert edgeonnx("pipeline", "show", *given[:1]).code == 2
