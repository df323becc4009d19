"""Input health on the device: what is looked at, what it costs, and when the alarm is raised."""

import hashlib
import threading
import warnings

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_bundles import identity_model, model, write_bundle

from edgeonnx.runtime import BundleError, InputError, InputHealthWarning, load
from edgeonnx.runtime import _health as health_module
from edgeonnx.runtime.__main__ import main
from edgeonnx.runtime._health import Monitor, _noise
from edgeonnx.runtime._manifest import Baseline, Health

FLOAT = TensorProto.FLOAT
BASELINE = Baseline(low=-4.0, high=4.0, mean=0.0, mean_std=0.3, spread=1.0, spread_std=0.2, samples=100)


def health_model(low=-4.0, high=4.0):
    """The measures of x, shape [n, 16], as docs/bundle.md asks for them."""

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], **attributes)

    nodes = [
        node("ReduceMin", ["x"], "least", axes=[1]),
        node("ReduceMax", ["x"], "most", axes=[1]),
        node("ReduceMean", ["x"], "mean", axes=[1]),
        node("Sub", ["x", "mean"], "away"),
        node("Mul", ["away", "away"], "squared"),
        node("ReduceMean", ["squared"], "variance", axes=[1]),
        node("Sqrt", ["variance"], "std"),
        node("Less", ["x", "low"], "below"),
        node("Greater", ["x", "high"], "above"),
        node("Or", ["below", "above"], "beyond"),
        node("Cast", ["beyond"], "ones", to=FLOAT),
        node("ReduceMean", ["ones"], "outside", axes=[1]),
        node("Concat", ["least", "most", "mean", "std", "outside"], "rows", axis=1),
        node("Transpose", ["rows"], "x.health", perm=[1, 0]),
    ]
    ends = {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    return model(nodes, [("x", FLOAT, ["n", 16])], [("x.health", FLOAT, [5, "n"])], ends)


def watched(path, graph=None, baseline=BASELINE):
    """y = x, with a baseline."""
    data = graph or health_model().SerializeToString()

    def change(manifest, entries):
        entries["health.onnx"] = data
        manifest["files"]["health.onnx"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["health"] = {"file": "health.onnx", "inputs": {"x": baseline._asdict()}}

    return write_bundle(path, identity_model(FLOAT, ["n", 16]), change=change)


@pytest.fixture
def bundle(tmp_path):
    return watched(tmp_path / "a.edge")


class Clock:
    """Seconds in inference, as a test says."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def monitor(clock=float, baseline=BASELINE, graph=None):
    data = (graph or health_model()).SerializeToString()
    return Monitor(Health("health.onnx", {"x": baseline}), data, "a.edge", False, clock)


def usual(count=1, seed=0):
    """Samples as calibration saw them, shape (count, 16)."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 16)) + rng.normal(scale=0.2, size=(count, 1))).clip(-4, 4).astype(np.float32)


def test_the_report():
    watch = monitor()
    rows = usual(500)
    for part in np.split(rows, [1, 7, 300]):
        watch.look({"x": part})
    (report,) = watch.report().inputs
    assert (report.name, report.samples, report.alarm, report.why) == ("x", 500, False, "")
    assert (report.low, report.high) == (rows.min(), rows.max())
    means = rows.mean(1, np.float64)
    np.testing.assert_allclose([report.mean, report.std], [means.mean(), means.std()], rtol=1e-5)
    assert report.spread == pytest.approx(rows.std(1).mean(), rel=1e-5)
    assert report.shift == pytest.approx(means.mean() / (0.3 * _noise(500, BASELINE)), rel=1e-4)
    assert report.outside == 0


def test_nothing_seen_yet():
    report = monitor().report()
    assert (report.alarm, report.why, report.cost) == (False, "", 0)
    assert report.inputs[0].samples == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda x: x + 2, "the mean of the last 8 samples is"),
        (lambda x: x * 0, "the spread of the last 8 samples is 0, calibration saw 1"),
        (lambda x: x * 100, "outside the calibrated range, -4 to 4"),
    ],
)
def test_the_alarm_says_why(change, why):
    watch, raised = monitor(), []
    watch.on_alarm = raised.append
    for row in usual(8):
        watch.look({"x": change(row[None])})
    (report,) = raised  # once
    assert report.alarm
    assert why in report.why
    for row in usual(50):
        watch.look({"x": change(row[None])})
    assert len(raised) == 1
    watch.reset()
    assert not watch.report().alarm
    watch.look({"x": change(usual(8))})
    assert len(raised) == 2


def test_seven_samples_are_too_few_for_an_alarm():
    watch = monitor()
    watch.look({"x": usual(7) + 1000})
    assert not watch.report().alarm


def test_a_change_is_seen_after_any_time_and_an_alarm_ends():
    watch, raised = monitor(), []
    watch.on_alarm = raised.append
    for i in range(20):
        watch.look({"x": usual(100, seed=i)})
    assert not raised
    watch.look({"x": usual(16) + 2})
    assert raised
    for i in range(3):
        watch.look({"x": usual(100, seed=i)})
    assert not watch.report().alarm


def test_nan_is_outside():
    watch = monitor()
    watch.on_alarm = lambda _: None
    watch.look({"x": np.full((10, 16), np.nan, np.float32)})
    assert watch.report().alarm


def test_the_first_run_is_not_looked_at(bundle):
    opened = load(bundle)
    for seen in (0, 8):
        opened.run({"x": usual(8)})
        assert opened.health().inputs[0].samples == seen


def test_a_warning_where_nothing_else_is_asked_for(bundle):
    opened = load(bundle)
    opened.run({"x": usual(8)})  # cold, not looked at
    with pytest.warns(InputHealthWarning, match="input health: x: the mean of the last 8 samples is") as caught:
        opened.run({"x": usual(8) + 3})
    assert caught[0].filename == __file__
    assert opened.health().alarm


def test_looks_wait_until_they_are_paid_for():
    clock = Clock()
    watch = monitor(clock)
    watch.on_alarm = lambda _: None
    samples = []
    for _ in range(20_000):
        clock.seconds += 0.001
        if clock.seconds >= watch.next:
            spent = watch.report().cost * clock.seconds
            assert len(samples) < 2 or spent <= 0.01 * clock.seconds
            watch.look({"x": usual()})
        samples.append(watch.report().inputs[0].samples)
    assert samples[0] == 1  # whatever it costs
    assert samples[-1] > 10


def test_many_threads_and_one_monitor():
    watch = monitor()
    watch.on_alarm = lambda _: None

    def work(seed):
        for i in range(100):
            watch.look({"x": usual(3)})
            watch.look({"x": usual(3, seed=seed * 100 + i)})
            watch.report()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (report,) = watch.report().inputs
    assert report.samples % 3 == 0
    assert 3 <= report.samples <= 4800
    assert np.isfinite([report.mean, report.std, report.spread]).all()


def test_without_a_baseline_or_with_watch_off(bundle, add_bundle):
    with pytest.raises(BundleError, match=r"add\.edge does not say what calibration saw; quantize .* or package with"):
        load(add_bundle).health()
    with pytest.raises(InputError, match="not watched, the model was loaded with watch=False"):
        load(bundle, watch=False).health()
    opened = load(bundle, watch=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            opened.run({"x": usual() + 1000})


def test_a_graph_that_does_not_load(tmp_path):
    opened = load(watched(tmp_path / "a.edge", graph=b"junk"))
    opened.run({"x": usual()})
    with pytest.raises(BundleError, match=r"a\.edge: its health graph does not load: .*; package it again"):
        opened.run({"x": usual()})


def test_memory_does_not_grow():
    watch = monitor()
    watch.look({"x": usual(1000)})
    size = watch._seen["x"]._last.nbytes
    for i in range(20):
        watch.look({"x": usual(1000, seed=i)})
    assert watch._seen["x"]._last.nbytes == size == health_module._WINDOWS[-1] * 5 * 8


def test_what_never_varied_may_not_either():
    """A control input: constant in calibration. Rounding is no alarm, another value is."""
    constant = Baseline(0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 100)
    watch = monitor(baseline=constant, graph=health_model(0.499999, 0.500001))
    watch.on_alarm = lambda _: None
    watch.look({"x": np.full((20, 16), 0.5, np.float32)})
    assert not watch.report().alarm
    assert np.isnan(watch.report().inputs[0].spread)
    watch.look({"x": np.full((20, 16), 0.6, np.float32)})
    assert watch.report().alarm


def test_the_shell(bundle, tmp_path, capsys):
    for i, row in enumerate(usual(20)):
        np.save(tmp_path / f"good{i}.npy", row[None])
        np.save(tmp_path / f"bad{i}.npy", row[None] + 5)
    good, bad = ([str(tmp_path / f"{kind}{i}.npy") for i in range(20)] for kind in ("good", "bad"))
    assert main([str(bundle), "health", *good]) == 0
    out = capsys.readouterr().out
    assert "x  20 samples, from " in out
    assert out.endswith("\nok\n")
    assert main([str(bundle), "health", *bad]) == 1
    assert "\nalarm: x: the mean of the last 8 samples" in capsys.readouterr().out.replace("last 16", "last 8")
    assert main([str(bundle), "health", *bad, "--json"]) == 1
    assert '"alarm": true' in capsys.readouterr().out
    assert main([str(bundle), "info"]) == 0
    assert "health              x from -4 to 4, mean 0, over 100 calibration samples" in capsys.readouterr().out
