"""examples/document_orientation: from the package's model to answers on rendered pages."""

import sys
from pathlib import Path

import numpy as np
import pytest

import edgeonnx

EXAMPLE = Path(__file__).parents[2] / "examples" / "document_orientation"


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        for name in ("fetch", "pages"):  # other examples have scripts of the same names
            patch.delitem(sys.modules, name, raising=False)
        import fetch
        import pages

        yield fetch, pages


def test_pages_are_the_same_each_time(scripts):
    _, pages = scripts
    one, other = (np.asarray(pages.page(3, 1)) for _ in range(2))
    assert np.array_equal(one, other)
    assert one.shape[1] > one.shape[0]  # turned by a quarter, it lies


@pytest.mark.slow
def test_the_whole_path(scripts, tmp_path):
    fetch, pages = scripts
    made = [np.asarray(pages.page(seed, seed % 4).crop((0, 0, 480, 480))) for seed in range(60)]
    data = {"image": np.stack(made), "labels": np.arange(60) % 4}
    result = edgeonnx.quantize(
        fetch.fetch(tmp_path),
        {name: array[:20] for name, array in data.items()},
        target="raspberrypi",
        eval_data={name: array[20:] for name, array in data.items()},
        pipeline=EXAMPLE / "pipeline.toml",
        recipe="fast",
        force=True,
    )
    assert result.float_score > 0.95
    assert result.score > 0.9
    options = {"pipeline": EXAMPLE / "pipeline.toml", "labels": EXAMPLE / "labels.txt"}
    model = edgeonnx.load(edgeonnx.package(result.model, "raspberrypi", tmp_path / "o.edge", **options).path)
    pages.page(101, 1).save(tmp_path / "page.png")
    assert model(str(tmp_path / "page.png")).label == "turned right"
