"""A stream in chunks of any size gives what windows cut by hand give; state goes from run to run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from runtime_bundles import model, write_bundle

from edgeonnx.runtime import InputError, load
from edgeonnx.runtime._listen import Listener

FLOAT, INT16 = TensorProto.FLOAT, TensorProto.INT16


def bundle(folder, proto, stream, media=None):
    def change(manifest, entries):
        manifest["stream"] = stream

    return load(write_bundle(folder / f"{len(list(folder.iterdir()))}.edge", proto, media=media, change=change))


def summing(shape=("samples",)):
    """y = the sum of the samples times their place in the window, so that order and place show."""
    nodes = [
        helper.make_node("Cast", ["sound"], ["wave"], to=FLOAT),
        helper.make_node("CumSum", ["wave", "axis"], ["sums"]),
        helper.make_node("ReduceSum", ["sums"], ["y"], keepdims=0),
    ]
    weights = {"axis": np.int64(0)}
    return model(nodes, [("sound", INT16, list(shape))], [("y", FLOAT, [])], weights)


def gru():
    """y = last sample + h / 2, and h for the next run is y; `offset` is a further input."""
    nodes = [
        helper.make_node("Cast", ["sound"], ["wave"], to=FLOAT),
        helper.make_node("ReduceSum", ["wave"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["h", "half"], ["decayed"]),
        helper.make_node("Add", ["sum", "decayed"], ["grown"]),
        helper.make_node("Add", ["grown", "offset"], ["h_next"]),
        helper.make_node("Identity", ["h_next"], ["y"]),
    ]
    inputs = [("sound", INT16, ["samples"]), ("h", FLOAT, ["batch", 1]), ("offset", FLOAT, [1])]
    outputs = [("h_next", FLOAT, ["batch", 1]), ("y", FLOAT, ["batch", 1])]
    return model(nodes, inputs, outputs, {"half": np.float32(0.5)})


def table(window=40, hop=10, state=None, name="sound"):
    return {"input": name, "window": window, "hop": hop, "rate": 100, "state": state or {}}


MEDIA = {"type": "audio", "rate": 100, "channels": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    sizes = [(40, 10), (40, 40), (7, 3), (10, 25), (1, 1)]
    return {size: bundle(folder, summing(), table(*size), MEDIA) for size in sizes}


def noise(count, *channels):
    return np.random.default_rng(count).integers(-9, 10, (count, *channels)).astype(np.int16)


def chunked(sound, sizes):
    """`sound` in chunks of these sizes, over and over."""
    chunks, start, turn = [], 0, 0
    while start < len(sound):
        chunks.append(sound[start : start + sizes[turn % len(sizes)]])
        start += sizes[turn % len(sizes)]
        turn += 1
    return chunks


def by_hand(opened, sound):
    stream = opened.manifest.stream
    ends = range(stream.window, len(sound) + 1, stream.hop)
    return [(end / stream.rate, opened.run({"sound": sound[end - stream.window : end]})["y"]) for end in ends]


@settings(max_examples=60, deadline=None)
@given(
    size=st.sampled_from([(40, 10), (40, 40), (7, 3), (10, 25), (1, 1)]),
    length=st.integers(0, 300),
    sizes=st.lists(st.integers(1, 120) | st.just(0), min_size=1, max_size=6).filter(any),
)
def test_chunks_of_any_size_give_the_windows_cut_by_hand(models, size, length, sizes):
    opened, sound = models[size], noise(length)
    heard = [(seconds, result["y"]) for seconds, result in opened.listen(chunked(sound, sizes))]
    assert heard == by_hand(opened, sound)


def test_results_come_as_soon_as_a_window_is_full(models):
    listener = Listener(models[(40, 10)])
    sound = noise(70)
    assert listener.feed(sound[:39]) == []
    (first,) = listener.feed(sound[39:40])
    assert first.seconds == 0.4
    assert [heard.seconds for heard in listener.feed(sound[40:65])] == [0.5, 0.6]
    listener.reset()
    assert listener.feed(sound[:39]) == []
    assert [heard.seconds for heard in listener.feed(sound[39:])] == [0.4, 0.5, 0.6, 0.7]


def test_an_endless_stream_is_read_as_it_is_asked_for(models):
    asked = []

    def microphone():
        while True:
            asked.append(1)
            yield noise(10)

    heard = models[(40, 10)].listen(microphone())
    assert [next(heard).seconds for _ in range(3)] == [0.4, 0.5, 0.6]
    assert len(asked) == 6


def test_a_window_is_the_models_own(models):
    """Chunks may be written over as soon as they were taken."""
    sound, buffer = noise(120), np.zeros(30, np.int16)

    def reused():
        for start in range(0, 120, 30):
            buffer[:] = sound[start : start + 30]
            yield buffer

    heard = [(seconds, result["y"]) for seconds, result in models[(40, 10)].listen(reused())]
    assert heard == by_hand(models[(40, 10)], sound)


def test_several_channels(tmp_path):
    opened = bundle(tmp_path, summing(("samples", 2)), table(), {**MEDIA, "channels": 2})
    sound = noise(100, 2)
    heard = [(seconds, result["y"]) for seconds, result in opened.listen(chunked(sound, [3, 50]))]
    assert heard == by_hand(opened, sound)
    with pytest.raises(InputError, match=r"chunks of int16, shape \(samples, 2\); got int16, shape \(5,\)"):
        list(opened.listen([noise(5)]))


def test_state_goes_from_run_to_run_and_is_not_a_result(tmp_path):
    opened = bundle(tmp_path, gru(), table(10, 5, {"h": "h_next"}), MEDIA)
    offset = {"offset": np.array([0.25], np.float32)}
    listener = Listener(opened, offset)
    sound = noise(60)
    expected, h = [], 0.0
    for end in range(10, 61, 5):
        h = sound[end - 10 : end].sum() + h / 2 + 0.25
        expected.append(np.float32(h))
    for _ in range(2):  # the same again after a reset
        heard = [result for _, result in listener.feed(sound)]
        assert [list(result) for result in heard] == [["y"]] * len(expected)
        np.testing.assert_allclose([result["y"].item() for result in heard], expected, rtol=1e-6)
        listener.reset()


def test_a_recurrent_model_without_audio(tmp_path):
    opened = bundle(tmp_path, gru(), {"state": {"h": "h_next"}})
    listener, h = Listener(opened), 0.0
    for value in (3, 1, 4):
        inputs = {"sound": np.array([value], np.int16), "offset": np.zeros(1, np.float32)}
        h = value + h / 2
        assert listener.step(inputs)["y"] == h
    with pytest.raises(InputError, match=r"expected the inputs sound, offset, each once, in all; got sound"):
        listener.step({"sound": np.array([1], np.int16)})
    with pytest.raises(InputError, match=r"no stream of samples; see step"):
        listener.feed(np.zeros(4, np.int16))


def test_a_failed_run_leaves_the_state(tmp_path):
    listener = Listener(bundle(tmp_path, gru(), {"state": {"h": "h_next"}}))
    good = {"sound": np.array([8], np.int16), "offset": np.zeros(1, np.float32)}
    listener.step(good)
    with pytest.raises(InputError, match="expected int16"):
        listener.step({**good, "sound": np.array([8.0])})
    assert listener.step(good)["y"] == 12


def test_what_does_not_fit(tmp_path, models, add_bundle):
    with pytest.raises(InputError, match=r"test has no stream; package the model with stream"):
        Listener(load(add_bundle))
    opened = models[(40, 10)]
    with pytest.raises(InputError, match=r"expected chunks of int16, shape \(samples\); got bytes, np.frombuffer"):
        list(opened.listen([b"1234"]))
    with pytest.raises(InputError, match=r"got float32, shape \(4,\)"):
        list(opened.listen([np.zeros(4, np.float32)]))
    with pytest.raises(InputError, match=r"expected the inputs sound, each once, in all; got speed, sound"):
        Listener(opened, {"speed": np.zeros(1)})
    recurrent = bundle(tmp_path, gru(), table(10, 5, {"h": "h_next"}), MEDIA)
    with pytest.raises(InputError, match=r"expected the inputs sound, offset, each once, in all; got sound"):
        Listener(recurrent)
