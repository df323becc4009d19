"""The search: mixed precision, placement by time, the journal; on a model whose channels were made hostile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fashion import pictures

import edgeonnx
from edgeonnx.bench.profile import profile
from edgeonnx.errors import BudgetError
from edgeonnx.model import Model
from edgeonnx.optimize.normalize import normalize
from edgeonnx.verbs.measure import Yardstick

DATA = Path(__file__).parents[1] / "data"
HOSTILE = DATA / "hostile_resnet8.onnx"
ELSEWHERE = "raspberrypi"
PLAIN = """
title = "no algorithm, so that only mixed precision can help"
[algorithms]
equalize = false
smooth = false
correct_bias = false
[calibration]
samples = 32
"""


def calibration(count):
    return {"input": pictures("calibration", count)[0]}


def evaluation(count):
    images, labels = pictures("test", count)
    return {"input": images, "labels": labels}


@pytest.fixture
def plain(tmp_path):
    recipe = tmp_path / "plain.toml"
    recipe.write_text(PLAIN)
    return str(recipe)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEONNX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def hostile(plain, **options):
    options = {"eval_data": evaluation(400), "target": ELSEWHERE, "recipe": plain, **options}
    return edgeonnx.quantize(HOSTILE, calibration(64), **options)


def test_layers_return_to_float_until_the_budget_is_met(plain):
    result = hostile(plain)
    assert result.candidates[0].score < result.float_score - 0.3
    assert result.score >= result.float_score - 0.01
    returned = [row for row in result.layers if row.why.endswith("disturbs the result")]
    assert 0 < len(returned) < len(result.layers) / 2
    assert all(row.precision == "float" for row in returned)
    kept = [row.sqnr for row in result.layers if row.precision == "int8" and row.sqnr is not None]
    assert max(row.sqnr for row in returned) <= min(kept)  # the most disturbing went first


def test_the_search_runs_side_by_side(plain):
    with ThreadPoolExecutor(2) as executor:
        result = hostile(plain, executor=executor)
    assert result.score >= result.float_score - 0.01


def test_a_budget_of_one_evaluation_is_kept(plain, tmp_path):
    recipe = tmp_path / "one.toml"
    recipe.write_text(PLAIN + "[search]\nevaluations = 1\n")
    with pytest.raises(BudgetError) as caught:
        hostile(str(recipe))
    assert len(caught.value.result.candidates) == 1


def test_equalization_spares_the_search():
    result = edgeonnx.quantize(HOSTILE, calibration(64), eval_data=evaluation(400), target=ELSEWHERE)
    assert "cross-layer equalization" in result.steps
    assert [candidate.scope for candidate in result.candidates] == ["all"]
    assert result.score >= result.float_score - 0.01


def test_scores_are_paid_for_once(plain, cache, tmp_path, monkeypatch):
    files = {"data": tmp_path / "c.npz", "eval_data": tmp_path / "e.npz"}
    np.savez(files["data"], **calibration(64))
    np.savez(files["eval_data"], **evaluation(400))
    first = edgeonnx.quantize(HOSTILE, **files, target=ELSEWHERE, recipe=plain)
    (journal,) = (cache / "search").iterdir()
    journal.write_text(journal.read_text() + '{"placement": "cut sho')
    scored = []
    score = Yardstick.score
    monkeypatch.setattr(Yardstick, "score", lambda *a, **k: scored.append(1) or score(*a, **k))
    second = edgeonnx.quantize(HOSTILE, **files, target=ELSEWHERE, recipe=plain)
    assert scored == []
    assert second.model.sha256 == first.model.sha256
    np.savez(files["eval_data"], **evaluation(300))
    edgeonnx.quantize(HOSTILE, **files, target=ELSEWHERE, recipe=plain)
    assert scored


def test_on_this_machine_what_is_kept_is_the_fastest_within_budget():
    result = edgeonnx.quantize(DATA / "resnet8.onnx", calibration(64), eval_data=evaluation(200), force=True)
    timed = [candidate for candidate in result.candidates if candidate.speed is not None]
    floor = result.float_score - 0.01
    assert len(timed) > 1
    assert result.speed.ratio == max(c.speed.ratio for c in timed if c.score >= floor)
    measured = [row for row in result.layers if row.op_type == "Conv" and row.int8_us is not None]
    assert measured
    assert all(row.int8_us > 0 for row in measured)


def test_a_profile_knows_the_nodes_it_came_from():
    model = normalize(Model.load(DATA / "resnet8.onnx"))
    names = {node.name for node in model.ir.graph} | {o.name for node in model.ir.graph for o in node.outputs}
    kernels = profile(model, {"input": np.zeros((1, 1, 28, 28), np.float32)}, runs=10)
    convolutions = [kernel for kernel in kernels if kernel.op_type == "Conv"]
    assert len(convolutions) == 9
    assert all(kernel.name in names and kernel.microseconds > 0 and kernel.bytes > 0 for kernel in convolutions)


def test_a_float_model_that_only_guesses_is_warned_of():
    wrong = evaluation(200)
    wrong["labels"] = (wrong["labels"] + 1) % 10
    result = edgeonnx.quantize(DATA / "resnet8.onnx", calibration(64), eval_data=wrong, target=ELSEWHERE, force=True)
    assert any("little more than chance" in warning for warning in result.warnings)


def test_what_saturating_cpus_will_score_is_foretold():
    result = edgeonnx.quantize(DATA / "resnet8.onnx", calibration(64), eval_data=evaluation(200), target="x86-64")
    assert result.saturating_score == result.score
    assert result.score >= result.float_score - 0.01
