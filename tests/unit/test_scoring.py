"""Metrics: top-1, agreement with the float model, and the user's own."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeonnx.errors import MetricError
from edgeonnx.scoring import Agreement, Top1, load_metric

WEIGHTS = np.random.default_rng(0).standard_normal((8, 5)).astype("float32")


def linear(feeds):
    return {"scores": feeds["x"] @ WEIGHTS}


def samples(count=20, seed=1):
    x = np.random.default_rng(seed).standard_normal((count, 8)).astype("float32")
    return [{"x": x[i : i + 1]} for i in range(count)]


def labelled(wrong=0):
    """Samples whose labels are the linear model's own answers, the first few turned by one class."""
    answers = [int(linear(feeds)["scores"].argmax()) for feeds in samples()]
    return [(feeds, (a + (i < wrong)) % 5) for i, (feeds, a) in enumerate(zip(samples(), answers, strict=True))]


# Top-1


@pytest.mark.parametrize("wrong", [0, 3, 20])
def test_top1_is_the_share_of_right_answers(wrong):
    assert Top1(lambda: labelled(wrong)).score(linear) == (20 - wrong) / 20


def test_top1_takes_samples_without_a_batch_axis():
    flat = [({"x": feeds["x"][0]}, label) for feeds, label in labelled(5)]
    assert Top1(lambda: flat).score(linear) == 0.75


def test_top1_finds_the_scores_among_other_outputs():
    def model(feeds):
        scores = linear(feeds)["scores"]
        return {"label": scores.argmax(-1), "scores": scores, "confidence": scores.max(-1, keepdims=True)}

    assert Top1(lambda: labelled(4)).score(model) == 0.8

    def two_heads(feeds):
        return {"good": linear(feeds)["scores"], "other": -linear(feeds)["scores"]}

    with pytest.raises(MetricError, match=r"several could among 'good' float32 \(1, 5\).*--metric FILE.py:FUNC"):
        Top1(labelled).score(two_heads)
    assert Top1(labelled, output="good").score(two_heads) == 1.0
    assert Top1(labelled, output="other").score(two_heads) == 0.0
    with pytest.raises(MetricError, match="no output 'logits', it has 'good'"):
        Top1(labelled, output="logits").score(two_heads)


def test_top1_counts_nan_as_wrong():
    def broken(feeds):
        scores = linear(feeds)["scores"].copy()
        scores[0, scores.argmax()] = np.nan  # where numpy's argmax would find it
        return {"scores": scores}

    assert Top1(labelled).score(broken) == 0.0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda feeds: {"y": np.ones((1, 1), "float32")}, r"none does among 'y' float32 \(1, 1\)"),
        (lambda feeds: {"y": np.ones((1, 5), "int64")}, "none does"),
        (lambda feeds: {"y": np.ones((1, 5, 7), "float32")}, r"one row of scores per sample, got \(1, 5, 7\) from 'y'"),
        (lambda feeds: {"y": np.ones((1, 2), "float32")}, r"expected a class of the model, 0 to 1"),
    ],
)
def test_top1_says_what_it_cannot_score(model, message):
    with pytest.raises(MetricError, match=message):
        Top1(labelled).score(model)


def test_no_samples_is_no_score():
    with pytest.raises(MetricError, match="got none"):
        Top1(list).score(linear)
    with pytest.raises(MetricError, match="got none"):
        Agreement(list, linear).score(linear)


# Agreement


def signal(feeds):
    return {"wave": np.sin(feeds["x"])[:, np.newaxis]}


def with_noise(model, name, decibel):
    """The model with noise of exactly that signal-to-noise ratio on one output."""

    def noisy(feeds):
        outputs = model(feeds)
        y = outputs[name]
        noise = np.random.default_rng(int(abs(y.sum()) * 1000)).standard_normal(y.shape)
        noise *= np.sqrt((y**2).sum() / (noise**2).sum()) * 10 ** (-decibel / 20)
        return outputs | {name: (y + noise).astype(y.dtype)}

    return noisy


@pytest.mark.parametrize("model", [linear, signal])
@pytest.mark.parametrize("cache", [0, 100, 1 << 20])
def test_the_float_model_agrees_with_itself(model, cache):
    metric = Agreement(samples, model, cache_bytes=cache)
    assert metric.score(model) == 1.0
    assert metric.score(model) == 1.0


@pytest.mark.parametrize("decibel", [10, 20, 30])
def test_a_drop_of_a_hundredth_is_20_decibels(decibel):
    score = Agreement(samples, signal).score(with_noise(signal, "wave", decibel))
    assert score == pytest.approx(1 - 10 ** (-decibel / 10), abs=1e-5)


def test_classifiers_agree_where_their_answers_do():
    answers = iter(range(20))

    def sometimes(feeds):
        sign = -1 if next(answers) < 5 else 3  # a scale changes no answer
        return {"scores": sign * linear(feeds)["scores"]}

    assert Agreement(samples, linear).score(sometimes) == 0.75


def test_rows_of_a_batch_count_by_themselves():
    batch = [{"x": np.concatenate([feeds["x"] for feeds in samples()])}]

    def half(feeds):
        scores = linear(feeds)["scores"].copy()
        scores[:10] *= -1
        return {"scores": scores}

    assert Agreement(lambda: batch, linear).score(half) == 0.5


def test_integers_and_text_agree_where_equal():
    def reference(feeds):
        return {"ids": np.array([1, 2, 3, 4]), "names": np.array(["a", "b"])}

    def other(feeds):
        return {"ids": np.array([1, 2, 3, 5]), "names": np.array(["a", "c"])}

    assert Agreement(samples, reference).score(other) == pytest.approx((0.75 + 0.5) / 2)


def test_values_that_are_not_finite():
    def masked(feeds):
        y = signal(feeds)["wave"].copy()
        y[..., 0] = -np.inf
        return {"wave": y}

    assert Agreement(samples, masked).score(signal) == 1.0
    assert Agreement(samples, signal).score(masked) == 0.0

    first = samples()[0]["x"]

    def nan_once(feeds):
        y = signal(feeds)["wave"].copy()
        if np.array_equal(feeds["x"], first):
            y[..., 0] = np.nan
        return {"wave": y}

    assert Agreement(samples, signal).score(nan_once) == pytest.approx(0.95)
    with pytest.raises(MetricError, match="'wave' holds no finite value for sample 0"):
        Agreement(samples, lambda feeds: {"wave": np.full(3, np.nan)}).score(signal)


def test_shapes_zeros_and_half_precision():
    zeros = lambda feeds: {"y": np.zeros((1, 1, 3), "float32")}  # noqa: E731
    ones = lambda feeds: {"y": np.ones((1, 1, 3), "float32")}  # noqa: E731
    longer = lambda feeds: {"y": np.ones((1, 1, 4), "float32")}  # noqa: E731
    half = lambda feeds: {"y": np.full((1, 1, 3), 60000, "float16")}  # noqa: E731
    assert Agreement(samples, zeros).score(zeros) == 1.0
    assert Agreement(samples, zeros).score(ones) == 0.0
    assert Agreement(samples, ones).score(longer) == 0.0
    assert Agreement(samples, ones).score(zeros) == 0.0
    assert Agreement(samples, half).score(half) == 1.0


def test_models_of_other_outputs_are_not_compared():
    with pytest.raises(MetricError, match="expected the float model's outputs scores, got wave"):
        Agreement(samples, linear).score(signal)


@pytest.mark.parametrize(("cache", "runs"), [(1 << 20, 20), (10 * 5 * 4, 30), (0, 40)])
def test_the_float_model_runs_again_only_for_what_was_not_kept(cache, runs):
    count = 0

    def counted(feeds):
        nonlocal count
        count += 1
        return linear(feeds)

    metric = Agreement(samples, counted, cache_bytes=cache)
    assert metric.score(linear) == metric.score(linear) == 1.0
    assert count == runs


def test_samples_that_change_from_pass_to_pass_are_not_mixed_up():
    seeds = iter((1, 2))
    metric = Agreement(lambda: samples(seed=next(seeds)), signal)
    assert metric.score(signal) == 1.0
    assert metric.score(signal) == 1.0


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=2))
@settings(deadline=None, max_examples=30)
def test_agreement_is_between_0_and_1(affine):
    scale, shift = affine
    score = Agreement(samples, signal).score(lambda feeds: {"wave": signal(feeds)["wave"] * scale + shift})
    assert 0.0 <= score <= 1.0
    assert (score > 1 - 1e-9) == (abs(scale - 1) + abs(shift) < 1e-4)


# The user's own

METRICS = """
import numpy as np
from helper import FEEDS

CALLS = []

def good(predict):
    return predict(FEEDS)["scores"].mean()

def raises(predict):
    outputs = predict(FEEDS)
    return outputs["logits"]

def pair(predict):
    return 0.5, 0.6

def nothing(predict):
    0.5

def nan(predict):
    return np.float32("nan")

def truth(predict):
    return True

def vector(predict):
    return np.ones(3)

def scalar(predict):
    return np.array(0.25)

def random(predict):
    CALLS.append(1)
    return len(CALLS) / 100

def argless():
    return 1.0

def leaves(predict):
    raise SystemExit(3)
"""


@pytest.fixture
def user(tmp_path):
    (tmp_path / "helper.py").write_text('import numpy as np\nFEEDS = {"x": np.ones((1, 8), "float32")}\n')
    (tmp_path / "metric.py").write_text(METRICS)
    return f"{tmp_path / 'metric.py'}"


def test_a_metric_from_a_file(user):
    metric = load_metric(f"{user}:good")
    expected = pytest.approx(WEIGHTS.sum(0).mean(), rel=1e-5)
    assert metric.name == f"{user}:good"
    assert metric.score(linear) == expected
    assert metric.check_deterministic(linear) == expected
    assert load_metric(f"{user}:scalar").score(linear) == 0.25


def test_a_metric_from_python():
    def mine(predict):
        return predict(samples()[0])["nope"]

    metric = load_metric(mine)
    assert metric.name == "mine"
    with pytest.raises(MetricError, match=r"test_scoring\.py: .*mine\(\), line \d+, raised KeyError: 'nope'"):
        metric.score(linear)
    assert load_metric(lambda predict: 1).score(linear) == 1.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", r"metric\.py: raises\(\), line 12, raised KeyError: 'logits'"),
        ("pair", "returned a tuple, expected one number"),
        ("nothing", "returned None"),
        ("nan", r"returned nan, expected a finite number"),
        ("truth", "returned a bool"),
        ("vector", r"returned an array of shape \(3,\)"),
        ("argless", r"raised TypeError: argless\(\) takes 0 positional arguments"),
        ("leaves", r"line \d+, raised SystemExit: 3"),
    ],
)
def test_what_a_metric_gets_wrong(user, function, message):
    with pytest.raises(MetricError, match=message) as caught:
        load_metric(f"{user}:{function}").score(linear)
    assert "\n" not in str(caught.value)


def test_metrics_that_are_not_there(user):
    with pytest.raises(MetricError, match=r"raise does not exist\. Near: raises"):
        load_metric(f"{user}:raise")
    with pytest.raises(MetricError, match=r"gone\.py does not exist"):
        load_metric("gone.py:score")


def test_a_metric_that_wavers(user):
    metric = load_metric(f"{user}:random")
    with pytest.raises(MetricError, match=r"gave 0\.01 and then 0\.02 for the same float model"):
        metric.check_deterministic(linear)


def test_files_of_the_same_name_beside_two_metrics_are_not_mixed_up(tmp_path):
    metrics = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "shared.py").write_text(f"VALUE = {number}\nCALLS = []\n")
        (folder / "metric.py").write_text(
            "def score(predict):\n    import shared\n    shared.CALLS.append(1)\n"
            "    return shared.VALUE * len(shared.CALLS)\n"
        )
        metrics.append(load_metric(f"{folder / 'metric.py'}:score"))
    assert [metric.score(linear) for metric in (*metrics, *metrics)] == [1, 2, 2, 4]
    assert "shared" not in sys.modules
    assert not any(str(tmp_path) in entry for entry in sys.path)
