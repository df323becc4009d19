"""neural-compressor as an engine, in the environment that `make inc` builds."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeonnx.engines import Failure, Proposal
from edgeonnx.engines.base import integer_nodes
from edgeonnx.engines.inc import VARIABLE, WAYS, IncEngine
from edgeonnx.errors import EngineError
from edgeonnx.model import Model
from tests.unit.fashion import calibration, fashion_model, top1
from tests.unit.models import proto

pytestmark = pytest.mark.slow

PYTHON = Path(__file__).parents[2] / ".venv-inc" / "bin" / "python"


@pytest.fixture(autouse=True)
def python(monkeypatch):
    """The interpreter with neural-compressor; skips where there is none, unless it is required."""
    named = Path(os.environ.get(VARIABLE, PYTHON))
    if not named.exists():
        if os.environ.get("EDGEONNX_REQUIRE_INC") == "1":
            pytest.fail(f"{named} does not exist; run make inc")
        pytest.skip(f"{named} does not exist; make test-inc builds it")
    monkeypatch.setenv(VARIABLE, str(named))
    return named


def feeds():
    return calibration(40)


def test_every_way_on_a_real_model(tmp_path):
    model = fashion_model("resnet8")
    made = {p.name.removeprefix("inc: "): p for p in IncEngine().propose(model, feeds, tmp_path, 300)}
    assert tuple(made) == WAYS
    good = {name: p for name, p in made.items() if isinstance(p, Proposal)}
    assert {"static", "dynamic"} <= set(good)
    assert all(integer_nodes(p.model) for p in good.values())
    assert top1(good["static"].model, 500) > top1(model, 500) - 0.02
    assert all("same model as" in p.reason for p in made.values() if isinstance(p, Failure)), made


def test_tuning_rescues_a_model_that_plain_int8_ruins(tmp_path):
    model = fashion_model("hostile_resnet8")
    engine = IncEngine(ways=["static", "mse_v2"], samples=20)
    static, tuned = engine.propose(model, feeds, tmp_path, 300)
    assert top1(static.model, 500) < top1(model, 500) - 0.2
    assert isinstance(tuned, Failure) or top1(tuned.model, 500) > top1(static.model, 500)


def test_an_all_float_result_is_no_proposal(tmp_path):
    """Nothing in it can be quantized, and neural-compressor hands it back as a success."""
    model = Model.from_proto(proto("(float[N,4] x) => (float[N,4] y) { y = Sin(x) }"))
    samples = [{"x": np.ones((1, 4), np.float32)}]
    made = list(IncEngine(ways=["static", "dynamic"]).propose(model, lambda: samples, tmp_path, 60))
    assert {type(p) for p in made} == {Failure}


def test_samples_of_several_shapes(tmp_path):
    weight = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    model = Model.from_proto(proto("(float[N,4] x) => (float[N,8] y) { y = MatMul(x, w) }", w=weight))
    samples = [{"x": np.ones((rows, 4), np.float32)} for rows in (1, 2, 3)]
    (made,) = IncEngine(ways=["static"]).propose(model, lambda: samples, tmp_path, 60)
    assert isinstance(made, Proposal), made


def test_it_leaves_nothing_where_it_is_called_from(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    list(IncEngine(ways=["dynamic"]).propose(fashion_model("resnet8"), feeds, tmp_path / "work", 60))
    assert [*(tmp_path / "here").iterdir()] == []


def test_it_is_ended_when_its_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeonnx.engines.inc._GRACE", 0.0)
    made = list(IncEngine().propose(fashion_model("resnet8"), feeds, tmp_path, 0.2))
    assert [p.reason for p in made] == ["not done within 0 s"] * len(WAYS)


def test_an_interpreter_without_it_names_the_fix(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, sys.executable)
    if "inc" in sys.executable:
        pytest.skip("this interpreter has neural-compressor")
    with pytest.raises(EngineError, match=r"edgeonnx\[inc\]"):
        list(IncEngine().propose(fashion_model("resnet8"), feeds, tmp_path, 60))
