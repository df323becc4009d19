"""What calibration saw, the graph that measures inputs on the device, and what both say of real pictures."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edgeonnx.baseline import Baselines, watched
from edgeonnx.bundle.health import FILE, health_entries, health_graph
from edgeonnx.calibration.health import DataHealth
from edgeonnx.model import Model, TensorSpec
from edgeonnx.pipeline.graph import preprocessing
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline
from edgeonnx.runtime._health import InputHealthWarning, Monitor
from edgeonnx.runtime._manifest import Baseline
from tests.unit.models import build

EXAMPLE = Path(__file__).parents[2] / "examples" / "fashion_mnist"


def specs(*shapes, dtype="float32"):
    return tuple(TensorSpec(f"x{i}", dtype, shape) for i, shape in enumerate(shapes))


def measured(graph, feeds):
    session = graph.session()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


# What calibration saw


def test_a_baseline_is_of_samples():
    rng = np.random.default_rng(0)
    samples = rng.normal(3, 2, (40, 1, 50)).astype(np.float32) * rng.uniform(0.5, 2, (40, 1, 1)).astype(np.float32)
    seen = Baselines(specs((1, 50)))
    for sample in samples:
        seen.observe({"x0": sample})
    means, stds = samples.mean((1, 2), np.float64), samples.std((1, 2), np.float64)
    (baseline,) = seen.found().values()
    expected = (samples.min(), samples.max(), means.mean(), means.std(), stds.mean(), stds.std(), 40)
    np.testing.assert_allclose(baseline, expected, rtol=1e-6)


def test_a_free_first_axis_counts_samples():
    rows = np.random.default_rng(1).normal(size=(30, 7)).astype(np.float32)
    stacked, single = Baselines(specs(("n", 7))), Baselines(specs((1, 7)))
    stacked.observe({"x0": rows})
    for row in rows:
        single.observe({"x0": row[None]})
    np.testing.assert_allclose(stacked.found()["x0"], single.found()["x0"], rtol=1e-6)


def test_codes_and_words_are_not_watched():
    inputs = (
        TensorSpec("ids", "int64", (1, "n")),
        TensorSpec("words", "str", ("n",)),
        TensorSpec("flags", "bool", (2,)),
        TensorSpec("picture", "uint8", (28, 28, 1)),
        TensorSpec("sound", "float16", ("n",)),
        TensorSpec("open", "float32", None),
    )
    assert watched(inputs) == {"picture": False, "sound": False, "open": False}


def test_what_it_has_seen_can_be_kept_and_gone_on_from():
    samples = np.random.default_rng(2).normal(size=(20, 1, 5)).astype(np.float32)
    whole, first = Baselines(specs((1, 5))), Baselines(specs((1, 5)))
    for sample in samples:
        whole.observe({"x0": sample})
    for sample in samples[:10]:
        first.observe({"x0": sample})
    second = Baselines(specs((1, 5)))
    second.restore(json.loads(json.dumps(first.state())))
    for sample in samples[10:]:
        second.observe({"x0": sample})
    assert second.found() == whole.found()


def test_calibration_takes_note_and_remembers():
    model = build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
    health = DataHealth(model)
    for sample in np.random.default_rng(3).normal(size=(9, 1, 4)).astype(np.float32):
        health.observe({"x": sample})
    again = DataHealth(model)
    again.restore(json.loads(json.dumps(health.state())))
    assert again.baselines.found() == health.baselines.found()
    assert health.baselines.found()["x"].samples == 9


def test_samples_that_are_no_numbers_make_no_baseline():
    seen = Baselines(specs((1, 2), (0,)))
    seen.observe({"x0": np.array([[1, np.nan]], np.float32), "x1": np.zeros(0, np.float32)})
    assert seen.found() == {}


# The graph


BASELINE = Baseline(-1.0, 1.0, 0.0, 0.2, 0.5, 0.1, 100)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), ("n", 3, 4), ("n",), (1, "h", "w"), None])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8", "int8"])
def test_the_graph_measures_what_numpy_does(shape, dtype):
    rng = np.random.default_rng(4)
    inputs = specs(shape, dtype=dtype)
    sizes = [size if isinstance(size, int) else 6 for size in shape or (2, 2)]
    x = np.asarray(rng.normal(0, 1.2 if "float" in dtype else 30, sizes)).astype(dtype)
    (found,) = measured(health_graph(inputs, None, {"x0": BASELINE}), {"x0": x}).values()
    rows = x.astype(np.float64).reshape(len(x) if watched(inputs)["x0"] else 1, -1)
    outside = (abs(rows) > 1 + 2e-3 + 1e-6).mean(1)
    expected = [rows.min(1), rows.max(1), rows.mean(1), rows.std(1), outside]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_only_what_is_measured_is_kept():
    inputs = (*specs((1, 3), (1, 4)), TensorSpec("words", "str", ("n",)))
    graph = health_graph(inputs, None, {"x1": BASELINE})
    assert [tensor.name for tensor in graph.inputs] == ["x1"]
    assert [tensor.name for tensor in graph.outputs] == ["x1.health"]
    assert health_entries(Model(graph.ir), None, {}) == (None, {})


def test_few_samples_are_no_baseline():
    core = build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
    assert health_entries(core, None, {"x": BASELINE._replace(samples=7)}) == (None, {})
    health, files = health_entries(core, None, {"x": BASELINE, "gone": BASELINE})
    assert list(health.inputs) == ["x"]
    assert list(files) == [health.file] == [FILE]
    assert health_entries(core, None, {"x": BASELINE}) == (health, files)  # to the byte


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_through_the_preprocessing_at_any_opset(opset):
    core = build("(float[1,1,4,4] x) => (float[1,1,4,4] y) { y = Relu(x) }", opset=opset)
    part = {"type": "image", "color": "grey", "normalize": {"scale": 255}, "layout": "NCHW"}
    spec = PipelineSpec.parse({"input": {"x": part}}, "spec")
    graph = health_graph(core.inputs, preprocessing(core, spec), {"x": BASELINE})
    picture = np.random.default_rng(5).integers(0, 256, (4, 4, 1)).astype(np.uint8)
    (found,) = measured(graph, {"x": picture}).values()
    prepared = picture / 255
    expected = [prepared.min(), prepared.max(), prepared.mean(), prepared.std(), 0]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)
    assert graph.ir_version == 8


@pytest.mark.parametrize("limit", [3e38, 0.0, 1e-40])
def test_extreme_ranges_make_a_graph_that_runs(limit):
    baseline = BASELINE._replace(low=-limit, high=limit)
    (found,) = measured(
        health_graph(specs((1, 2)), None, {"x0": baseline}), {"x0": np.zeros((1, 2), np.float32)}
    ).values()
    assert found[4] == 0


# Real pictures


@cache
def parts():
    """What fashion_mnist's first 200 calibration pictures give, and its 3000 test pictures."""
    core, spec = Model.load(EXAMPLE / "mobilenetv1.onnx"), load_pipeline(EXAMPLE / "pipeline.toml")
    prepare = preprocessing(core, spec)
    session, seen = prepare.session(), Baselines(core.inputs)
    with np.load(EXAMPLE / "calibration.npz") as data:
        for picture in data["input"][:200]:
            seen.observe({"input": session.run(["input.prepared"], {"input": picture})[0]})
    with np.load(EXAMPLE / "test.npz") as data:
        return *health_entries(core, prepare, seen.found()), data["input"]


def looks_until_alarm(pictures):
    """How many pictures it takes; None where none of them raises it."""
    health, files, _ = parts()
    monitor = Monitor(health, files[FILE], "fashion.edge", extensions=False, elapsed=float)
    raised = []
    monitor.on_alarm = raised.append
    for count, picture in enumerate(pictures, 1):
        monitor.look({"input": picture})
        if raised:
            assert monitor.report().alarm
            assert "input: the" in raised[0].why
            return count
    return None


def test_unseen_pictures_raise_no_alarm_at_any_point():
    assert looks_until_alarm(parts()[2]) is None


def test_unseen_pictures_raise_no_alarm_in_any_order():
    rng, pictures = np.random.default_rng(6), parts()[2]
    raised = [looks_until_alarm(pictures[rng.choice(len(pictures), 200, replace=False)]) for _ in range(100)]
    assert raised == [None] * 100


CHANGES = {
    "inverted": (lambda x: 255 - x, 8),
    "blank": (np.zeros_like, 8),
    "divided twice": (lambda x: x // 255, 8),
    "dark": (lambda x: (x * 0.3).astype(np.uint8), 8),
    "half as bright": (lambda x: (x * 0.5).astype(np.uint8), 16),
    "noise": (lambda x: np.random.default_rng(int(x.sum())).integers(0, 256, x.shape).astype(np.uint8), 24),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_pictures_raise_the_alarm_soon(change):
    """From the first picture on, and after 300 good ones."""
    changed, most = CHANGES[change]
    pictures = parts()[2]
    assert looks_until_alarm(map(changed, pictures[:100])) <= most
    after = looks_until_alarm([*pictures[:300], *map(changed, pictures[300:500])])
    assert 300 < after <= 364


def test_a_wrong_scale_without_a_pipeline():
    """The caller prepares, and forgets to divide by 255."""
    core, rng = Model.load(EXAMPLE / "mobilenetv1.onnx"), np.random.default_rng(7)
    pictures = parts()[2].astype(np.float32).transpose(0, 3, 1, 2)
    seen = Baselines(core.inputs)
    for picture in pictures[:200]:
        seen.observe({"input": picture[None] / 255})
    health, files = health_entries(core, None, seen.found())
    monitor = Monitor(health, files[FILE], "fashion.edge", extensions=False, elapsed=float)
    monitor.look({"input": pictures[rng.choice(3000, 100)] / 255})
    assert not monitor.report().alarm
    with pytest.warns(InputHealthWarning, match=r"health: input: the mean .* outside the calibrated range, 0 to 1"):
        monitor.look({"input": pictures[200:220]})
