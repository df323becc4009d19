"""The joined model is preprocessing, then the model, then postprocessing: exactly, and as numpy would do it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise, operators, run, weight
from pictures import expected, picture

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.graph import entries, join, needed_opset, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}
IMAGENET = {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def spec(output=None, **image):
    result = None if output is None else {"type": "classification", **output}
    return PipelineSpec.model_validate({"input": {"x": {"type": "image", **image}}, "output": result})


def network(channels=3, layout="NCHW", size=(8, 6), dtype="float", opset=18, batch=1):
    """A model whose answer hangs on every element of its input."""
    shape = (batch, channels, *size) if layout == "NCHW" else (batch, *size, channels)
    count = channels * size[0] * size[1]
    cast = "c = Cast<to = 1>(x)" if dtype != "float" else "c = Identity(x)"
    text = f"({dtype}{list(shape)} x) => (float[{batch},4] y) {{ {cast} f = Flatten(c) y = MatMul(f, w) }}"
    return build(text.replace("'", ""), opset=opset, w=weight(count, 4))


def prepare(model, pipeline, pixels):
    """What the model gets."""
    return run(preprocessing(model, pipeline), {"x": pixels})["x.prepared"]


def softmax(scores):
    powers = np.exp(scores.astype(np.float64))
    return powers / powers.sum()


@st.composite
def images(draw):
    """Any spec, and a picture that goes with it."""
    color = draw(st.sampled_from(sorted(CHANNELS)))
    channels = CHANNELS[color]
    numbers = st.lists(st.floats(0.1, 3), min_size=channels, max_size=channels) | st.lists(
        st.floats(0.1, 3), min_size=1, max_size=1
    )
    sizes = st.integers(1, 12)
    image = {
        "color": color,
        "layout": draw(st.sampled_from(["NCHW", "NHWC"])),
        "normalize": {"scale": draw(st.sampled_from([1, 127.5, 255])), "mean": draw(numbers), "std": draw(numbers)},
    }
    size = draw(sizes), draw(sizes)
    if draw(st.booleans()):
        image["resize"] = {"height": size[0], "width": size[1], "antialias": draw(st.booleans())}
        return image, size, picture(draw(sizes), draw(sizes), channels, draw(st.integers(0, 9)))
    return image, size, picture(*size, channels, draw(st.integers(0, 9)))


@settings(max_examples=60, deadline=None)
@given(case=images())
def test_joined_is_preprocessing_then_the_model_and_as_numpy_does_it(case):
    image, size, pixels = case
    pipeline = spec(**image)
    model = network(CHANNELS[image["color"]], image["layout"], size)
    prepared = prepare(model, pipeline, pixels)
    np.testing.assert_array_equal(run(join(model, pipeline), {"x": pixels})["y"], run(model, {"x": prepared})["y"])
    reference = expected(pixels, pipeline.input["x"])
    assert prepared.shape == reference.shape
    # A resize may round the other way: one grey level. The rest is one multiplication and one addition in float32.
    level = 1 / (pipeline.input["x"].normalize.scale * min(pipeline.input["x"].normalize.std))
    np.testing.assert_allclose(prepared, reference, rtol=1e-5, atol=1e-4 + (level if "resize" in image else 0))


def test_normalize_is_exact_to_float32():
    pipeline = spec(normalize=IMAGENET)
    pixels = picture()
    prepared = prepare(network(), pipeline, pixels)
    np.testing.assert_allclose(prepared, expected(pixels, pipeline.input["x"]), rtol=1e-6, atol=1e-6)


def test_float16_inputs():
    pipeline = spec(normalize=IMAGENET)
    pixels = picture()
    prepared = prepare(network(dtype="float16"), pipeline, pixels)
    assert prepared.dtype == np.float16
    np.testing.assert_allclose(prepared, expected(pixels, pipeline.input["x"]), rtol=1e-3, atol=1e-3)
    assert np.isfinite(run(join(network(dtype="float16"), pipeline), {"x": pixels})["y"]).all()


@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 0), ("int8", -128)])
def test_integer_inputs_get_numbers_rounded_not_cut_off(dtype, zero):
    model = network(dtype=dtype)
    same = prepare(model, spec(normalize={"mean": [-zero]}), picture())
    assert same.dtype == dtype
    np.testing.assert_array_equal(same[0], picture().astype(int).transpose(2, 0, 1) + zero)
    scaled = prepare(model, spec(normalize={"scale": 4}), picture())
    least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    np.testing.assert_array_equal(scaled[0], np.clip(np.round(picture() / 4), least, most).transpose(2, 0, 1))
    clipped = prepare(model, spec(normalize={"mean": [100], "std": [0.5]}), picture())
    np.testing.assert_array_equal(clipped[0], np.clip((picture() - 100.0) * 2, least, most).transpose(2, 0, 1))


def test_plain_pixels_stay_what_they_are():
    joined = join(network(dtype="uint8"), spec())
    assert not {"Mul", "Round", "Resize"} & set(operators(joined))
    np.testing.assert_array_equal(prepare(network(dtype="uint8"), spec(), picture())[0], picture().transpose(2, 0, 1))


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 18, 21])
def test_models_of_any_opset(opset):
    pipeline = spec({"activation": "softmax"}, resize={"height": 8, "width": 6}, normalize=IMAGENET)
    model = network(opset=opset)
    pixels = picture(9, 9)
    prepared = prepare(model, pipeline, pixels)
    joined = run(join(raise_opset(model, needed_opset(model, pipeline)), pipeline), {"x": pixels})
    np.testing.assert_allclose(joined["probabilities"], softmax(run(model, {"x": prepared})["y"]), rtol=1e-5, atol=1e-6)


def test_softmax_takes_the_place_of_the_scores():
    joined = join(network(), spec({"activation": "softmax"}))
    assert [str(tensor) for tensor in joined.outputs] == ["probabilities: float32[1,4]"]
    scores = run(join(network(), spec()), {"x": picture()})["y"]
    got = run(joined, {"x": picture()})["probabilities"]
    np.testing.assert_allclose(got, softmax(scores), rtol=1e-4, atol=1e-7)
    assert [tensor.name for tensor in join(network(), spec({"activation": "none"})).outputs] == ["y"]


def test_the_joined_model_takes_pictures_one_at_a_time():
    joined = join(network(batch="N"), spec())
    assert joined.inputs == (TensorSpec("x", "uint8", (8, 6, 3)),)
    assert joined.outputs == (TensorSpec("y", "float32", (1, 4)),)
    resizing = spec(resize={"height": 8, "width": 6})
    assert join(network(), resizing).inputs == (TensorSpec("x", "uint8", ("x_height", "x_width", 3)),)
    assert tuple(entry.spec for entry in entries(network(), resizing)) == join(network(), resizing).inputs
    for size in ((1, 1), (30, 2)):
        assert run(join(network(), resizing), {"x": picture(*size)})["y"].shape == (1, 4)


def test_free_sizes_stay_free():
    model = build("(float[N,3,H,W] x) => (float[N,3,1,1] y) { y = GlobalAveragePool(x) }")
    joined = join(model, spec())
    assert joined.inputs == (TensorSpec("x", "uint8", ("x_height", "x_width", 3)),)
    assert run(joined, {"x": picture(3, 9)})["y"].shape == (1, 3, 1, 1)


def test_two_inputs_of_which_one_is_a_picture():
    text = "(int64[1] n, float[1,3,8,6] x, float[1,4] z) => (float[1,4] y, int64[1] m) {" + (
        "f = Flatten(x) h = MatMul(f, w) y = Add(h, z) m = Neg(n) }"
    )
    model = build(text, w=weight(144, 4))
    joined = join(model, spec(normalize=IMAGENET))
    assert [str(tensor) for tensor in joined.inputs] == ["n: int64[1]", "x: uint8[8,6,3]", "z: float32[1,4]"]
    feeds = {"n": np.array([7]), "x": picture(), "z": noise(1, 4)}
    prepared = run(preprocessing(model, spec(normalize=IMAGENET)), feeds)
    assert list(prepared) == ["n.prepared", "x.prepared", "z.prepared", "x.geometry.note"]
    by_hand = run(model, {name.removesuffix(".prepared"): array for name, array in prepared.items() if name[-1] == "d"})
    got = run(joined, feeds)
    np.testing.assert_array_equal(got["y"], by_hand["y"])
    np.testing.assert_array_equal(got["m"], [-7])


def test_two_pictures():
    text = "(float[1,3,8,6] a, float[1,6,8,1] b) => (float[1,192] y) {" + (
        " f = Flatten(a) g = Flatten(b) y = Concat<axis = 1>(f, g) }"
    )
    pair = {
        "a": {"type": "image", "color": "rgb"},
        "b": {"type": "image", "color": "grey", "layout": "NHWC", "normalize": {"scale": 2}},
    }
    joined = join(build(text), PipelineSpec.model_validate({"input": pair}))
    a, b = picture(), picture(6, 8, 1)
    y = run(joined, {"a": a, "b": b})["y"]
    np.testing.assert_array_equal(y, [[*a.transpose(2, 0, 1).ravel(), *(b.ravel() / 2)]])


def test_strings_pass_through():
    model = build("(float[1,3,8,6] x, string[N] s) => (float[1,144] y, string[N] t) { y = Flatten(x) t = Identity(s) }")
    text = run(preprocessing(model, spec()), {"x": picture(), "s": np.array(["a", "b"], object)})["s.prepared"]
    assert text.tolist() == ["a", "b"]


def test_a_picture_read_inside_a_subgraph():
    text = """(float[1,3,8,6] x, bool c) => (float[1,3,8,6] y) {
        y = If(c) <
            then_branch = t () => (float[1,3,8,6] a) { a = Neg(x) },
            else_branch = e () => (float[1,3,8,6] b) { b = Abs(x) }
        >
    }"""
    joined = join(build(text), spec())
    y = run(joined, {"x": picture(), "c": np.array(True)})["y"]
    np.testing.assert_array_equal(y[0], -picture().transpose(2, 0, 1).astype(np.float32))


def test_the_model_given_is_not_changed():
    model = network()
    before = model.to_proto().SerializeToString(deterministic=True)
    join(model, spec({"activation": "softmax"}))
    assert model.to_proto().SerializeToString(deterministic=True) == before


TWO = "(float[1,3,8,6] x) => (float[1,144] a, float[1,144] b) { a = Flatten(x) b = Neg(a) }"
FLAT = build("(float[1,3] x) => (float[1,3] y) { y = Neg(x) }")


def image(**fields):
    return {"input": {"x": {"type": "image", **fields}}}


MISFITS = [
    (network(), {"input": {"z": {"type": "image", "to": "z"}}}, "input.z.to: the model has no input 'z'; it has x"),
    (FLAT, image(), r"4 axes, .* x: float32\[1,3\]"),
    (network(dtype="int64"), image(), r"one of float32, float16, uint8, int8, .* x: int64"),
    (network(batch=2), image(), r"one at a time, .* x: float32\[2,3,8,6\]"),
    (network(), image(color="grey"), r"x.color: grey with layout NCHW: expected 3 channels, got 1"),
    (network(), image(layout="NHWC"), r"x.color: rgb with layout NHWC: expected 6 channels, got 3"),
    (network(), {"output": {"type": "classification", "scores": "z"}}, r"output.scores: expected one of y, got 'z'"),
    (build(TWO), {"output": {"type": "classification"}}, r"output.scores: expected one of a, b, got None"),
    (
        build(TWO.replace(" b", " probabilities")),
        {"output": {"type": "classification", "scores": "a", "activation": "softmax"}},
        "the model already has an output named probabilities",
    ),
]


@pytest.mark.parametrize(("model", "given", "match"), MISFITS, ids=range(len(MISFITS)))
@pytest.mark.parametrize("step", [join, preprocessing])
def test_a_spec_that_does_not_fit(step, model, given, match):
    with pytest.raises(PipelineError, match=match) as caught:
        step(model, PipelineSpec.model_validate(given))
    assert "\n" not in str(caught.value)
