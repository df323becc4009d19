"""examples/semantic_search: the package's model, its tokenizer and its vectors; INT8 keeps the ranking."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgeonnx

EXAMPLE = Path(__file__).parents[2] / "examples" / "semantic_search"


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        for name in ("fetch", "metric"):  # other examples have scripts of the same names
            patch.delitem(sys.modules, name, raising=False)
        import fetch
        import metric

        yield fetch, metric


def test_each_query_has_its_answer_in_the_corpus(scripts):
    _, metric = scripts
    answers = [answer for _, answer in metric.queries()]
    assert len(answers) == len(set(answers)) > 20
    assert set(answers) <= set(metric.corpus())


@pytest.mark.slow
def test_the_whole_path(scripts, tmp_path):
    fetch, metric = scripts
    model, pipeline = fetch.fetch(), EXAMPLE / "pipeline.toml"  # build/ is where the pipeline looks for the vocabulary
    result = edgeonnx.quantize(
        model,
        EXAMPLE / "corpus.txt",
        target="raspberrypi-5",
        metric=metric.found_first,
        pipeline=pipeline,
        recipe="fast",
        max_drop=0.05,
        force=True,
    )
    assert result.float_score > 0.9
    assert result.score >= result.float_score - 0.05
    bundle = edgeonnx.package(result.model, "raspberrypi-5", tmp_path / "s.edge", pipeline=pipeline).path
    words = [sys.executable, EXAMPLE / "search.py", bundle, "baking bread"]
    environment = {**os.environ, "PYTHONPATH": str(bundle)}
    ran = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert "Knead the dough" in ran.stdout.splitlines()[1]
