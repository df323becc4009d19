"""SmoothQuant: the float function stays, outliers leave the activations, INT8 gains."""

import numpy as np
import pytest
from fashion import int8
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise, operators, run, sqnr, weight

from edgeonnx.optimize.normalize import normalize
from edgeonnx.quantize.algorithms.observe import channel_maxima
from edgeonnx.quantize.algorithms.smooth import sample_rows, smooth, smoothable

# What makes the activation `a` of 16 channels from h, and whether it can take the division in.
MAKERS = {
    "norm": ("a = LayerNormalization<axis = -1>(h, g, b)", True),
    "norm without bias": ("a = LayerNormalization<axis = 2>(h, g)", True),
    "written out": ("m = Mul(g, h)\n a = Add(m, b)", True),
    "matmul": ("m = MatMul(h, v)\n n = Add(b, m)\n a = Relu(n)", True),
    "relu": ("m = MatMul(h, v)\n a = LeakyRelu(m)", True),
    "quotient": ("a = Div(h, d)", True),
    "residual": ("r = Relu(h)\n a = Add(h, r)", False),
    "softmax": ("a = Softmax(h)", False),
    "shared": ("a = LayerNormalization<axis = -1>(h, g, b)\n s = Sigmoid(a)", False),
}


def block(maker, readers=3, seed=0):
    """Three layers that read one activation with outliers in channels 3 and 11."""
    random = np.random.default_rng(seed)
    size = np.ones(16, np.float32)
    size[[3, 11]] = 60
    lines = [f"y{index} = MatMul(a, w{index})" for index in range(readers)]
    total = ["y = Sum(" + ", ".join(f"y{index}" for index in range(readers)) + ")"]
    if maker == "shared":
        lines.append("z0 = MatMul(s, w0)")
        total = ["q = Sum(" + ", ".join(f"y{index}" for index in range(readers)) + ")", "y = Add(q, z0)"]
    text = "(float[N,5,16] x) => (float[N,5,6] y) {\n h = Mul(x, size)\n %s \n}"
    weights = {
        "size": size,
        "g": np.abs(noise(16, seed=seed + 1)) + 0.5,
        "b": noise(16, seed=seed + 2),
        "d": np.abs(noise(16, seed=seed + 3)) + 0.5,
        "v": weight(16, 16, seed=seed + 4) * size,
        **{f"w{index}": random.standard_normal((16, 6)).astype(np.float32) for index in range(readers)},
    }
    if maker.startswith("norm") or maker == "shared":
        weights["g"] *= size
    body = "\n".join([MAKERS[maker][0], *lines, *total])
    used = {name: array for name, array in weights.items() if any(f"{name}{end}" in text + body for end in ",)")}
    return normalize(build(text.replace("%s", body), **used))


def samples(seed=0, count=6):
    return [{"x": noise(2, 5, 16, seed=seed + index)} for index in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(MAKERS)), st.sampled_from([0.0, 0.3, 0.5, 0.8, 1.0, "auto"]), st.integers(0, 50))
def test_the_float_function_is_kept(maker, alpha, seed):
    model, feeds = block(maker, seed=seed), samples(seed)
    names = smoothable(model)
    made, _ = smooth(model, channel_maxima(model, names, feeds), alpha, sample_rows(model, names, feeds))
    before, after = run(model, feeds[0])["y"], run(made, feeds[0])["y"]
    assert np.abs(before - after).max() <= 1e-4 * np.abs(before).max()


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_the_division_goes_where_there_is_a_place_for_it(maker):
    model, feeds = block(maker), samples()
    maxima = channel_maxima(model, smoothable(model), feeds)
    made, changed = smooth(model, {"a": maxima["a"]})
    foldable = MAKERS[maker][1]
    assert len(changed) == (2 if maker == "shared" else 3)  # weights read elsewhere too stay as they are
    added = len(operators(made)) - len(operators(model))
    assert added == (0 if foldable else 1)  # one for all readers
    kept, untouched = smooth(model, {"a": maxima["a"]}, insert=False)
    assert (kept is model) == (not foldable)
    assert (untouched == ()) == (not foldable)


@pytest.mark.parametrize("alpha", [0.5, "auto"])
def test_outliers_survive_int8(alpha):
    model, feeds = block("norm"), samples(count=24)
    names = smoothable(model)
    maxima = channel_maxima(model, names, feeds)
    made, _ = smooth(model, maxima, alpha, sample_rows(model, names, feeds))
    spread = [np.log(channel_maxima(m, {"a": -1}, feeds)["a"]).std() for m in (model, made)]
    assert spread[1] < spread[0] * 0.75
    quiet = [index for index in range(16) if index not in (3, 11)]
    assert quiet  # what INT8 loses is in the small channels
    plain, smoothed = (int8(m, feeds, only="MatMul") for m in (model, made))
    expected = run(model, feeds[0])["y"]
    assert sqnr(expected, run(smoothed, feeds[0])["y"]) > sqnr(expected, run(plain, feeds[0])["y"])


def test_auto_leaves_alone_what_needs_nothing():
    text = "(float[N,16] x) => (float[N,6] y) { a = Relu(x)\n y = MatMul(a, w) }"
    model = normalize(build(text, w=np.ones((16, 6), np.float32)))
    feeds = [{"x": np.ones((1, 16), np.float32)}]
    names = smoothable(model)
    maxima = channel_maxima(model, names, feeds)
    assert smooth(model, maxima, "auto", sample_rows(model, names, feeds)) == (model, ())


def test_a_dead_channel_is_left_alone():
    text = "(float[N,16] x) => (float[N,6] y) { a = Relu(x)\n y = Gemm<transB = 1>(a, w) }"
    w = weight(6, 16)
    w[:, 2] = 0
    model = normalize(build(text, w=w))
    feeds = [{"x": np.where(np.arange(16) == 5, 0, noise(3, 16)).astype(np.float32)}]
    made, changed = smooth(model, channel_maxima(model, smoothable(model), feeds))
    assert len(changed) == 1
    np.testing.assert_allclose(run(made, feeds[0])["y"], run(model, feeds[0])["y"], rtol=1e-4, atol=1e-6)


def test_settings_are_checked():
    model = block("norm")
    with pytest.raises(ValueError, match="sample_rows"):
        smooth(model, {}, "auto")
    with pytest.raises(ValueError, match="from 0 to 1"):
        smooth(model, {}, 1.5)


def test_rows_are_bounded_and_drawn_from_all_samples():
    model, feeds = block("norm"), samples(count=30)
    rows = sample_rows(model, {"a": -1}, feeds, count=40)["a"]
    assert rows.shape == (40, 16)
    everything = np.concatenate([run_a(model, feed) for feed in feeds])
    places = [int(np.flatnonzero((everything == row).all(axis=1))[0]) for row in rows]
    assert min(places) < 60
    assert max(places) > 240


def run_a(model, feed):
    from edgeonnx.graph import with_outputs

    return with_outputs(model, ["a"]).session().run(["a"], feed)[0].reshape(-1, 16)
