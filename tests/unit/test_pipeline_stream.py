"""What a pipeline says of streams: windows in samples of the device, and state that fits."""

import pytest
from models import build

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.graph import check
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.pipeline.stream import stream_of
from edgeonnx.runtime._manifest import Stream

GRU = """(float[1,T] x, float[N,8] h, int64[1] n) => (float[N,8] h_next, float16[N,8] half, float[1,T] y) {
    h_next = Neg(h) half = Cast<to = 10>(h) z = Cast<to = 1>(n) y = Add(x, z)
}"""


def spec(state=None, **audio):
    sources = {"audio": {"rate": 16000, "to": "x", **audio}} if audio else {}
    return PipelineSpec.model_validate({"input": sources, "state": state or {}})


def test_windows_in_samples_of_the_device():
    model = build(GRU)
    found = stream_of(spec(stream={"window": 1, "hop": 0.25}), model)
    assert found == Stream("audio", 16000, 4000, 16000, {})
    found = stream_of(spec({"h": "h_next"}, source_rate=44100, stream={"window": 0.5}), model)
    assert found == Stream("audio", 22050, 22050, 44100, {"h": "h_next"})


def test_state_alone_and_neither():
    assert stream_of(spec({"h": "h_next"}), build(GRU)) == Stream(state={"h": "h_next"})
    assert stream_of(spec(gain=2), build(GRU)) is None
    assert stream_of(None, build(GRU)) is None


def test_one_stream_at_most():
    two = build("(float[1,T] a, float[1,T] b) => (float[1,T] y) { y = Add(a, b) }")
    sources = {name: {"type": "audio", "rate": 8000, "stream": {"window": 1}} for name in "ab"}
    with pytest.raises(PipelineError, match=r"input.b.stream: one input can be a stream, input.a is"):
        stream_of(PipelineSpec.model_validate({"input": sources}), two)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"z": "h_next"}, "state.z: expected one of the model's inputs, x, h, n"),
        ({"h": "z"}, "state.h: expected one of the model's outputs, h_next, half, y, got 'z'"),
        ({"h": "half"}, r"state.h: expected an output like h: float32\[N,8\], got half: float16\[N,8\]"),
        ({"h": "y"}, r"expected an output like h: float32\[N,8\], got y: float32\[1,T\]"),
        ({"x": "y"}, "state.x: input.audio becomes this input"),
    ],
)
def test_state_that_does_not_fit(state, message):
    text = GRU.replace("T]", "3]") if "y" in state.values() and "h" in state else GRU
    message = message.replace("T", "3") if text is not GRU else message
    for look in (lambda s, m: check(m, s), stream_of):
        with pytest.raises(PipelineError, match=message):
            look(spec(state, gain=2), build(text))


def test_state_is_not_for_the_output():
    made = {"type": "classification", "scores": "h_next"}
    both = PipelineSpec.model_validate({"state": {"h": "h_next"}, "output": made})
    with pytest.raises(PipelineError, match=r"state.h: \[output\] consumes h_next"):
        check(build(GRU), both)
