"""Observers on distributions whose best ranges are known, and on those that have none."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from models import build, noise, run, sqnr, weight

from edgeonnx.calibration.histogram import Histograms
from edgeonnx.calibration.methods import METHODS, make_observer
from edgeonnx.calibration.mse import squared_error
from edgeonnx.calibration.observer import Seen
from edgeonnx.calibration.probes import Probes
from edgeonnx.calibration.shapes import shapes_for, with_shapes
from edgeonnx.calibration.stream import calibrate

DISTRIBUTIONS = [name for name in METHODS if name not in ("min-max", "moving-average")]
RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal(100_000).astype(np.float32)
OUTLIER = np.append(NORMAL, np.float32(300))


def seen(*values):
    """One run, of a tensor for each argument."""
    arrays = [np.asarray(each, np.float32).ravel() for each in values]
    low = np.array([each.min(initial=np.inf) for each in arrays], np.float32)
    high = np.array([each.max(initial=-np.inf) for each in arrays], np.float32)
    return Seen(low, high, arrays)


def found(method, *runs, **settings):
    """The range that a method gives a tensor that holds these values, run by run."""
    observer = make_observer(method, **settings)
    observer.begin(1)
    for values in runs:
        observer.update(seen(values))
    low, high = observer.ranges()
    assert low.dtype == high.dtype == np.float32
    return float(low[0]), float(high[0])


def rounded(values, low, high, levels=256):
    """Values as integers of the range have them."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / (levels - 1)
    zero = round(-low / step)
    return (np.clip(np.rint(values / step) + zero, 0, levels - 1) - zero) * step


def test_min_max_is_all_that_was_seen():
    assert found("min-max", [1, -2], [5], []) == (-2, 5)


def test_moving_average_by_hand():
    assert found("moving-average", [0, 1], [-1, 2], [], [-3, 2], momentum=0.75) == (
        -0.75 * 0.25 - 3 * 0.25,
        0.75 * 1.25 + 2 * 0.25,
    )


def test_moving_average_does_not_let_one_sample_decide():
    low, high = found("moving-average", *np.split(NORMAL, 100), [100.0], *np.split(NORMAL, 100))
    assert -6 < low < -2
    assert 2 < high < 6


@pytest.mark.parametrize("percent", [75.0, 99.0, 99.9])
def test_percentiles_are_numpys_but_for_the_width_of_a_bin(percent):
    values = np.where(NORMAL > 0, NORMAL * 9, NORMAL)
    low, high = found("percentile", *np.array_split(values, 7), percent=percent)
    expected = np.percentile(values, [100 - percent, percent])
    np.testing.assert_allclose((low, high), expected, rtol=0.01)


def test_percentile_100_is_min_max():
    assert found("percentile", OUTLIER, percent=100) == found("min-max", OUTLIER)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("values", ["normal", "relu", "laplace", "outlier", "skewed"])
def test_mse_has_the_least_error_of_a_search_on_the_values_themselves(values, symmetric):
    normal = NORMAL[:20_000]
    data = {
        "normal": normal,
        "relu": np.maximum(normal, 0),
        "laplace": np.random.default_rng(1).laplace(size=20_000).astype(np.float32),
        "outlier": np.append(normal, np.float32(30)),
        "skewed": np.where(normal > 0, normal * 20, normal),
    }[values]
    levels = 256 - symmetric
    error = np.mean((data - rounded(data, *found("mse", data, symmetric=symmetric), levels)) ** 2)
    low, high = float(data.min()), float(data.max())
    low, high = (-max(-low, high), max(-low, high)) if symmetric else (min(low, 0.0), high)
    shares = np.linspace(0.4, 1, 13)
    others = [(low * one, high * other) for one in shares for other in shares if one == other or not symmetric]
    best = min(np.mean((data - rounded(data, *each, levels)) ** 2) for each in others)
    assert error < 1.05 * best


def test_the_expected_error_is_that_of_values_spread_evenly():
    edges, counts = np.array([-2.0, -0.5, 0.0, 0.0, 1.0, 3.0]), np.array([3.0, 1, 7, 5, 2])
    spread = [np.linspace(a, b, 200_001)[:-1] for a, b in pairwise(edges)]
    for low, high, levels in ((-1.0, 2.0, 16), (-2.0, 3.0, 256), (-0.25, 0.5, 4)):
        step = (high - low) / (levels - 1)
        kept = [np.rint(np.clip(x, low, high) / step) * step for x in spread]
        # What lies outside is cut to the end itself, which here is not always a multiple of the step.
        kept = [np.where((x < low) | (x > high), np.clip(x, low, high), k) for x, k in zip(spread, kept, strict=True)]
        expected = sum(n * np.mean((x - k) ** 2) for n, x, k in zip(counts, spread, kept, strict=True))
        assert squared_error(edges, counts, levels, low, high) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_an_outlier_is_cut_off(method):
    low, high = found(method, OUTLIER)
    assert -5 < low < -3
    assert 3 < high < 150


def test_entropy_keeps_a_distribution_without_tails():
    """At as many bins as levels, which is how it is often written, it would cut into this one."""
    low, high = found("entropy", RNG.uniform(-1, 3, 100_000))
    assert low == pytest.approx(-1, rel=0.02)
    assert high == pytest.approx(3, rel=0.02)


def test_entropy_of_what_a_relu_leaves_does_not_depend_on_the_share_of_zeros():
    positive = np.abs(NORMAL)
    some, many = (found("entropy", np.append(positive, np.zeros(zeros))) for zeros in (1000, 10**6))
    assert some == many
    assert some[0] == 0
    assert 3 < some[1] < 5


@pytest.mark.parametrize("method", ["entropy", "mse"])
def test_a_symmetric_range_covers_the_larger_side(method):
    low, high = found(method, np.where(NORMAL > 0, NORMAL * 10, NORMAL), symmetric=True)
    assert high > 25
    assert low >= NORMAL.min()  # within what was seen; the writer makes it symmetric


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0] * 100, (0, 0)),
        ([0.75] * 100, (0.75, 0.75)),
        ([-3.0] * 100, (-3, -3)),
        ([0.0] * 99_999 + [1.0], (0, 1)),
        ([1e-12, -1e-12, 0], (-1e-12, 1e-12)),
    ],
)
def test_degenerate_distributions(method, values, expected):
    """Constants, zeros alone, all but zeros alone, values that no bin tells from 0."""
    np.testing.assert_allclose(found(method, values), expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_finite_is_told_and_does_not_spoil_other_tensors(method):
    observer = make_observer(method)
    observer.begin(4)
    infinite, mask = np.append(NORMAL, -np.inf), np.append(NORMAL, np.finfo(np.float32).min)
    observer.update(seen(infinite, mask, NORMAL, []))
    low, high = observer.ranges()
    assert low[0] == -np.inf
    assert low[1] == np.finfo(np.float32).min
    assert (low[2], high[2]) == found(method, NORMAL)
    assert low[3] > high[3]


@pytest.mark.parametrize("method", METHODS)
def test_an_observer_goes_on_from_its_state(method):
    parts = [np.array(part) for part in np.split(OUTLIER[:100_000], 10)]
    first = make_observer(method)
    first.begin(1)
    for part in parts[:4]:
        first.update(seen(part))
    second = make_observer(method)
    second.begin(1)
    second.restore({name: array.copy() for name, array in first.state().items()})
    for part in parts[4:]:
        first.update(seen(part))
        second.update(seen(part))
    one, other = (tuple(float(end[0]) for end in observer.ranges()) for observer in (first, second))
    assert one == other == found(method, *parts)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(allow_nan=False, width=32)),
        min_size=1,
        max_size=4,
    ),
    method=st.sampled_from(METHODS),
)
def test_any_values_give_a_range_within_what_was_seen(values, method):
    low, high = found(method, *values)
    everything = np.concatenate(values)
    if not everything.size:
        assert low > high
    elif np.isfinite(everything).all():
        assert everything.min() <= low <= high <= everything.max()


def test_a_histogram_counts_everything_in_bins_narrow_enough():
    histograms = Histograms(1)
    for part in np.array_split(OUTLIER, 9):
        histograms.update(seen(part))
    edges, counts = histograms.density(0)
    assert counts.sum() == OUTLIER.size
    assert (edges[0], edges[-1]) == (OUTLIER.min(), OUTLIER.max())
    assert (np.diff(edges) >= 0).all()
    assert np.diff(edges).max() <= OUTLIER.max() / 128
    for place in (-2.0, -0.01, 0.3, 1.0, 4.0):
        below = np.interp(place, edges, np.concatenate([[0], np.cumsum(counts)]))
        assert below == pytest.approx((place > OUTLIER).sum(), rel=0.01)


def test_the_histograms_memory_does_not_grow_with_values():
    histograms = Histograms(3)
    sizes = set()
    for _ in range(50):
        histograms.update(seen(NORMAL, NORMAL, NORMAL))
        sizes.add(sum(array.nbytes for array in histograms.state().values()))
    assert max(sizes) < 200_000


@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_values_that_leave_the_graph_stand_for_all(method):
    """One in 16 and another one each time: the range is that of an observer that sees them all."""
    model = build("(float[1,16,40,40] x) => (float[1,16,40,40] y) { y = Neg(x) }")
    feeds = [{"x": np.exp(noise(1, 16, 40, 40, seed=seed, scale=0.5))} for seed in range(20)]
    observer = make_observer(method, percent=99.0)
    got = calibrate(model, ["y"], lambda start: feeds[start:], observer, len(feeds)).by_tensor["y"]
    expected = found(method, *(-feed["x"] for feed in feeds), percent=99.0)
    np.testing.assert_allclose(got, expected, rtol=0.15, atol=0.02)


def test_few_values_leave_the_graph_and_others_at_each_turn():
    model = with_shapes(build("(float[1,8,64,64] x) => (float[1,8,64,64] y) { y = Neg(x) }"))
    x = np.arange(8 * 64 * 64, dtype=np.float32).reshape(1, 8, 64, 64)
    probes = Probes(model, ["y"], True, shapes_for(model, {"x": x}))
    taken = [set(probes.run({"x": x}, turn).values[0].tolist()) for turn in range(17)]
    assert all(1800 <= len(each) <= 2100 for each in taken)
    assert len(set.union(*taken)) == x.size
    rows = {int(-value) % 64 for value in taken[0]}
    assert rows == set(range(64))


@pytest.mark.parametrize("method", DISTRIBUTIONS)
def test_shapes_that_are_not_known(method):
    """Nothing is known of what NonZero gives, and it may be empty."""
    model = build(
        """(float[N] x) => (float[M] y) {
            i = NonZero(x)
            t = Transpose(i)
            y = GatherND(x, t)
        }"""
    )
    feeds = [{"x": np.zeros(5000, np.float32)}, {"x": np.abs(NORMAL[:5000])}, {"x": np.zeros(3, np.float32)}]
    ranges = calibrate(model, ["x", "y"], lambda start: feeds[start:], make_observer(method), 3)
    low, high = ranges.by_tensor["y"]
    assert 0 <= low < 0.1
    assert 1 < high <= NORMAL.max()


@pytest.mark.parametrize("method", ["entropy", "mse", "percentile"])
def test_ranges_found_are_better_than_min_max_where_there_is_an_outlier(method):
    """End to end: an outlier in one sample of many costs min-max most of its levels."""
    model = build("(float[1,64] x) => (float[1,8] y) { y = MatMul(x, w) }", w=weight(64, 8))
    feeds = [{"x": noise(1, 64, seed=seed)} for seed in range(100)]
    feeds[50]["x"] = feeds[50]["x"].copy()
    feeds[50]["x"][0, 3] = 400
    plain, better = (
        calibrate(model, ["x"], lambda start: feeds[start:], make_observer(name, percent=99.9), 100).by_tensor["x"]
        for name in ("min-max", method)
    )
    test = noise(1, 64, seed=1000)
    reference = run(model, {"x": test})["y"]
    one, other = (run(model, {"x": rounded(test, *bounds).astype(np.float32)})["y"] for bounds in (plain, better))
    if method == "mse":  # it weighs what one value loses against what all others gain
        assert sqnr(reference, other) >= sqnr(reference, one)
    else:
        assert sqnr(reference, other) > sqnr(reference, one) + 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "average"}, "expected one of min-max, .*, got average"),
        ({"method": "percentile", "percent": 50}, "percentile: expected above 50 and at most 100, got 50"),
        ({"method": "moving-average", "momentum": 1}, "momentum: expected at least 0 and below 1, got 1"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        make_observer(**settings)


def test_names_tell_methods_and_parameters_apart():
    every = [
        *(make_observer(method) for method in METHODS),
        make_observer("percentile", percent=99.9),
        make_observer("moving-average", momentum=0.5),
        *(make_observer(method, symmetric=True) for method in ("entropy", "mse")),
        make_observer("mse", bits=16),
    ]
    assert len({observer.name for observer in every}) == len(every)
