"""How the engine inc talks with its interpreter, which here is a shell script: neural-compressor itself is not run."""

import numpy as np
import pytest

from edgeonnx.engines import Failure, Proposal
from edgeonnx.engines.inc import VARIABLE, IncEngine, interpreter
from edgeonnx.errors import EngineError
from tests.unit.models import build

WEIGHT = np.eye(4, 3, dtype=np.float32)
VERSION = 'case "$*" in *version*) echo 3.7.1; exit;; esac'


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Makes a stand-in for the interpreter: a script that is run in the engine's folder."""

    def make(*lines):
        path = tmp_path / f"python{len(list(tmp_path.iterdir()))}"
        path.write_text("\n".join(["#!/bin/sh", *lines]))
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))
        return path

    return make


def propose(folder, ways=("static", "dynamic"), seconds=20.0, samples=2):
    model = build("(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", w=WEIGHT)
    (folder / "work").mkdir()
    feeds = [{"x": np.full((1, 4), index, np.float32)} for index in range(samples)]
    return list(IncEngine(ways).propose(model, lambda: feeds, folder / "work", seconds))


def test_without_its_package_it_names_the_fix():
    with pytest.raises(EngineError, match=r"pip install 'edgeonnx\[inc\]' in Python 3.11 or 3.12") as caught:
        interpreter({VARIABLE: "/no/such/python"})
    assert "/no/such/python can't run the engine inc: No such file" in str(caught.value)
    assert VARIABLE in str(caught.value)


def test_a_release_without_onnx_is_told_apart(python):
    made = python("echo 3.10")
    with pytest.raises(EngineError, match=r"neural-compressor 3.10, which has no ONNX side; expected 3.7.1"):
        interpreter({VARIABLE: str(made)})


def test_an_interpreter_that_has_it_is_taken(python):
    made = python("echo 3.7.1")
    assert interpreter({VARIABLE: str(made)}) == made


def test_it_is_told_its_ways():
    with pytest.raises(EngineError, match="got gptq"):
        IncEngine(ways=["gptq"])


def test_results_and_failures_by_name(python, tmp_path):
    """The float model stands in for a result: it is refused, as whatever is not quantized."""
    python(
        VERSION,
        """echo '{"way": "static", "file": "model.onnx"}'""",
        """echo '{"way": "dynamic", "error": "too hard"}'""",
    )
    assert propose(tmp_path) == [
        Failure("inc: static", "nothing in it is quantized"),
        Failure("inc: dynamic", "too hard"),
    ]


def test_samples_travel_by_number(python, tmp_path):
    python(VERSION, "exit 0")
    propose(tmp_path, samples=150)
    with np.load(tmp_path / "work" / "samples.npz") as arrays:
        assert arrays["names"].tolist() == ["x"]
        assert len(arrays.files) == 101
        np.testing.assert_array_equal(arrays["7.0"], np.full((1, 4), 7))


def test_no_samples(python, tmp_path):
    python(VERSION)
    with pytest.raises(EngineError, match="expected calibration samples, got none"):
        propose(tmp_path, samples=0)


def test_a_breakdown_is_an_error_with_its_last_words(python, tmp_path):
    python(VERSION, "echo first >&2", "echo MemoryError >&2", "exit 1")
    with pytest.raises(EngineError, match="neural-compressor broke down: MemoryError"):
        propose(tmp_path)


def test_it_is_ended_when_its_time_is_over(python, tmp_path, monkeypatch):
    monkeypatch.setattr("edgeonnx.engines.inc._GRACE", 0.0)
    python(VERSION, """echo '{"way": "static", "error": "no"}'""", "exec sleep 60")
    assert [p.reason for p in propose(tmp_path, seconds=0.3)] == ["no", "not done within 0 s"]


def test_nobody_wants_the_rest(python, tmp_path):
    python(VERSION, """echo '{"way": "static", "error": "no"}'""", "exec sleep 60")
    model = build("(float[N,4] x) => (float[N,3] y) { y = MatMul(x, w) }", w=WEIGHT)
    results = IncEngine(["static", "kl"]).propose(model, lambda: [{"x": np.ones((1, 4), np.float32)}], tmp_path, 20)
    assert not isinstance(next(results), Proposal)
    results.close()  # ends the process, or this test would take a minute
