"""What is wrong with data is said, and nothing is said of data that is right."""

import numpy as np
import pytest
from fashion import fashion_model, pictures
from models import build, convnet, noise, weight

from edgeonnx.calibration.extremes import MinMax
from edgeonnx.calibration.health import DataHealth
from edgeonnx.calibration.stream import calibrate
from edgeonnx.errors import DataError
from edgeonnx.model import Model

IMAGENET = np.array([123.675, 116.28, 103.53], np.float32).reshape(1, 3, 1, 1)


def warnings(model, feeds):
    health = DataHealth(model)
    for feed in feeds:
        health.observe(feed)
    return {warning.kind: warning.message for warning in health.warnings()}


def colour_model(mean=None, size="H,W"):
    """A Conv over three colours, trained on values around 1; with `mean`, it normalizes raw pixels itself."""
    first = "" if mean is None else "s = Sub(x, mean) n = Mul(s, scale)"
    constants = {} if mean is None else {"mean": mean, "scale": np.float32(1 / 58)}
    return build(
        f"(float[N,3,{size}] x) => (float[N,8,A,B] y) {{ {first} y = Conv({'x' if mean is None else 'n'}, w, b) }}",
        w=weight(8, 3, 3, 3),
        b=noise(8, seed=9),
        **constants,
    )


def scenes(count=40, means=(124, 116, 104), size=48):
    """Smooth pictures of three colours, 0 to 255, float32 (1, 3, size, size)."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        rough = rng.standard_normal((3, 6, 6)) * 40 + np.array(means)[:, None, None] + rng.standard_normal() * 10
        smooth = np.stack([np.kron(colour, np.ones((size // 6, size // 6))) for colour in rough])
        gradient = np.linspace(-20, 20, size)
        yield np.clip(np.rint(smooth + gradient + gradient[:, None]), 0, 255)[None].astype(np.float32)


def fashion(count=60):
    return [picture[None] for picture in pictures("calibration", count)[0]]


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv3"])
def test_nothing_is_said_of_good_data(name):
    assert warnings(fashion_model(name), ({"input": picture} for picture in fashion())) == {}


@pytest.mark.parametrize("scale", [1 / 255, 1 / 127])
def test_nothing_is_said_of_good_colour_pictures(scale):
    feeds = [{"x": (picture - (0 if scale < 1 / 200 else 127)) * np.float32(scale)} for picture in scenes()]
    assert warnings(colour_model(), feeds) == {}


def test_nothing_is_said_of_raw_pixels_to_a_model_that_normalizes_them():
    assert warnings(colour_model(IMAGENET), ({"x": picture} for picture in scenes())) == {}


def test_nothing_is_said_of_token_numbers_and_masks():
    model = build(
        "(int64[N,L] ids, float[N,L] mask, float scale) => (float[N,L] y) { f = Cast<to = 1>(ids) y = Mul(f, mask) }"
    )
    rng = np.random.default_rng(0)
    feeds = [
        {
            "ids": rng.integers(0, 1000, (1, 12)),
            "mask": np.ones((1, 12), np.float32),
            "scale": np.array(3, np.float32),
        }
        for _ in range(40)
    ]
    assert warnings(model, feeds) == {}


def test_nothing_is_said_of_features_that_vary_a_lot():
    """Heavy tails are not outliers, nor are features that rarely differ from 0 dead."""
    rng = np.random.default_rng(0)
    model = build("(float[N,20] x) => (float[N,3] y) { y = MatMul(x, w) }", w=weight(20, 3))
    feeds = [{"x": (rng.laplace(size=(1, 20)) * (rng.random((1, 20)) < 0.3)).astype(np.float32)} for _ in range(200)]
    assert warnings(model, feeds) == {}


def test_too_few():
    assert "few" in warnings(fashion_model("resnet8"), ({"input": picture} for picture in fashion(10)))


def test_duplicates():
    found = warnings(fashion_model("resnet8"), ({"input": picture} for picture in fashion(50) + fashion(30)))
    assert found == {"duplicates": "30 of 80 samples (38%) repeat another one"}


def test_large_samples_that_differ_in_one_value_are_no_duplicates():
    model = build("(float[N,300000] x) => (float[N,300000] y) { y = Neg(x) }")
    base = noise(1, 300000)
    feeds = []
    for index in range(40):
        feeds.append({"x": base.copy()})
        feeds[-1]["x"][0, 7 * index + 1] += 1 + index
    assert "duplicates" not in warnings(model, feeds)


@pytest.mark.parametrize("name", ["resnet8", "mobilenetv3"])
def test_raw_pixels(name):
    found = warnings(fashion_model(name), ({"input": np.rint(picture * 255)} for picture in fashion()))
    assert list(found) == ["scale"]
    assert "look like raw pixels" in found["scale"]


def test_raw_pixels_of_colour_pictures():
    assert list(warnings(colour_model(), ({"x": picture} for picture in scenes()))) == ["scale"]


def test_pixels_divided_for_a_model_that_takes_them_raw():
    model = build(
        "(float[N,3,H,W] x) => (float[N,8,A,B] y) { y = Conv(x, w, b) }",
        w=weight(8, 3, 3, 3) / np.float32(200),
        b=noise(8, seed=9),
    )
    found = warnings(model, ({"x": picture / np.float32(255)} for picture in scenes()))
    assert list(found) == ["scale"]
    assert "trained on larger ones" in found["scale"]
    assert warnings(model, ({"x": picture} for picture in scenes())) == {}


def test_a_picture_reshaped_where_it_should_have_been_transposed():
    feeds = [{"x": (picture.transpose(0, 2, 3, 1).reshape(picture.shape)) / np.float32(255)} for picture in scenes()]
    found = warnings(colour_model(), feeds)
    assert list(found) == ["layout"]
    assert "reshaped, not transposed" in found["layout"]


def test_a_layout_that_the_model_refuses_is_named_in_the_error():
    model = colour_model()
    feeds = [{"x": picture.transpose(0, 2, 3, 1).copy()} for picture in scenes(3)]
    with pytest.raises(DataError, match=r"sample 0: .*; x: 1,48,48,3 looks like NHWC, the model takes NCHW"):
        calibrate(model, ["y"], lambda start: feeds[start:], MinMax(), 3, health=DataHealth(model))


def test_the_other_layout_for_a_model_that_takes_nhwc():
    model = build(
        "(float[N,H,W,C] x) => (float[N,8,A,B] y) { t = Transpose<perm = [0,3,1,2]>(x) y = Conv(t, w) }",
        w=weight(8, 3, 3, 3),
    )
    assert list(warnings(model, ({"x": picture / np.float32(255)} for picture in scenes()))) == ["layout"]
    good = ({"x": picture.transpose(0, 2, 3, 1) / np.float32(255)} for picture in scenes())
    assert warnings(model, good) == {}


def test_colours_in_reverse_order():
    model = colour_model(IMAGENET)
    found = warnings(model, ({"x": np.ascontiguousarray(picture[:, ::-1])} for picture in scenes()))
    assert list(found) == ["colour"]


def test_a_dead_channel():
    feeds = [{"x": picture / np.float32(255)} for picture in scenes()]
    for feed in feeds:
        feed["x"][:, 1] = 0.5
    found = warnings(colour_model(), feeds)
    assert found == {"dead-channel": "x: channel 1 never changes in 40 samples: is it filled in?"}


def test_a_constant_input():
    found = warnings(Model.from_proto(convnet()), [{"x": np.zeros((1, 8, 12, 12), np.float32)}] * 40)
    assert set(found) == {"constant", "duplicates"}
    assert "x is 0 throughout" in found["constant"]


@pytest.mark.parametrize("factor", [255, -1000])
def test_samples_far_outside_are_named(factor):
    feeds = [{"input": picture} for picture in fashion()]
    for index in (7, 31):
        feeds[index] = {"input": feeds[index]["input"] * np.float32(factor)}
    found = warnings(fashion_model("resnet8"), feeds)
    assert list(found) == ["outliers"]
    assert "sample 7, 31 lies far outside" in found["outliers"]


def test_memory_is_bounded():
    """What is remembered of 12,000 samples is no more than of 10,000."""
    model = build("(float[N,1] x) => (float[N,1] y) { y = Neg(x) }")
    health = DataHealth(model)
    for index in range(12_000):
        health.observe({"x": np.array([[index]], np.float32)})
    state = health.state()
    assert state["samples"] == 12_000
    assert len(state["digests"]) == len(state["means"]["x"]) == 10_000
