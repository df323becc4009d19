"""The joined model is preprocessing, then the model, then postprocessing: exactly, and as numpy would do it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise, run, weight
from pictures import expected, picture

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.graph import join, picture_specs, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

CHANNELS = {"grey": 1, "rgb": 3, "bgr": 3}
IMAGENET = {"scale": 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def spec(output=None, **image):
    return PipelineSpec.model_validate({"input": {"x": image}, "output": output})


def network(channels=3, layout="NCHW", size=(8, 6), dtype="float", opset=17, batch=1):
    """A model whose answer hangs on every element of its input."""
    shape = (batch, channels, *size) if layout == "NCHW" else (batch, *size, channels)
    count = channels * size[0] * size[1]
    cast = "c = Cast<to = 1>(x)" if dtype != "float" else "c = Identity(x)"
    text = f"({dtype}{list(shape)} x) => (float[{batch},4] y) {{ {cast} f = Flatten(c) y = MatMul(f, w) }}"
    return build(text.replace("'", ""), opset=opset, w=weight(count, 4))


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
        image["resize"] = {"height": size[0], "width": size[1]}
        return image, size, picture(draw(sizes), draw(sizes), channels, draw(st.integers(0, 9)))
    return image, size, picture(*size, channels, draw(st.integers(0, 9)))


@settings(max_examples=60, deadline=None)
@given(case=images())
def test_joined_is_preprocessing_then_the_model_and_as_numpy_does_it(case):
    image, size, pixels = case
    pipeline = spec(**image)
    model = network(CHANNELS[image["color"]], image["layout"], size)
    (prepared,) = run(preprocessing(model, pipeline), {"x": pixels}).values()
    np.testing.assert_array_equal(run(join(model, pipeline), {"x": pixels})["y"], run(model, {"x": prepared})["y"])
    reference = expected(pixels, pipeline.input["x"])
    assert prepared.shape == reference.shape
    # float32 against float64: the resize weighs values up to 255, the rest is one multiplication and one addition.
    np.testing.assert_allclose(prepared, reference, rtol=1e-5, atol=2e-3 if "resize" in image else 1e-4)


def test_normalize_is_exact_to_float32():
    pipeline = spec(normalize=IMAGENET)
    pixels = picture()
    (prepared,) = run(preprocessing(network(), pipeline), {"x": pixels}).values()
    np.testing.assert_allclose(prepared, expected(pixels, pipeline.input["x"]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 12), (5, 3), (4, 3), (7, 20)])
def test_enlarging_agrees_with_pillow_and_shrinking_has_no_antialias(size):
    image_module = pytest.importorskip("PIL.Image")
    height, width = size
    pixels = picture(8, 6, 1)
    pipeline = spec(color="grey", resize={"height": height, "width": width})
    (prepared,) = run(preprocessing(network(1, size=size), pipeline), {"x": pixels}).values()
    pillow = image_module.fromarray(pixels[:, :, 0].astype(np.float32)).resize((width, height), 2)
    difference = np.abs(prepared[0, 0] - np.asarray(pillow))
    if height >= 8 and width >= 6:
        assert difference.max() < 1e-2
    else:
        assert difference.max() > 1  # Pillow averages when it shrinks


def test_nearest_takes_pixels_as_they_are():
    pixels = picture(4, 3)
    pipeline = spec(resize={"height": 8, "width": 6, "interpolation": "nearest"})
    (prepared,) = run(preprocessing(network(), pipeline), {"x": pixels}).values()
    np.testing.assert_array_equal(prepared[0], pixels.repeat(2, 0).repeat(2, 1).transpose(2, 0, 1))


def test_float16_inputs():
    pipeline = spec(normalize=IMAGENET)
    pixels = picture()
    (prepared,) = run(preprocessing(network(dtype="float16"), pipeline), {"x": pixels}).values()
    assert prepared.dtype == np.float16
    np.testing.assert_allclose(prepared, expected(pixels, pipeline.input["x"]), rtol=1e-3, atol=1e-3)
    assert np.isfinite(run(join(network(dtype="float16"), pipeline), {"x": pixels})["y"]).all()


def test_uint8_inputs_get_pixels_rounded_not_cut_off():
    model = network(dtype="uint8")
    (same,) = run(preprocessing(model, spec()), {"x": picture()}).values()
    np.testing.assert_array_equal(same[0], picture().transpose(2, 0, 1))
    resized = spec(resize={"height": 8, "width": 6})
    pixels = picture(5, 7)
    (prepared,) = run(preprocessing(model, resized), {"x": pixels}).values()
    assert prepared.dtype == np.uint8
    assert np.abs(prepared - expected(pixels, resized.input["x"])).max() <= 0.5 + 1e-3
    grey = np.full((5, 7, 3), 201, np.uint8)
    assert (run(preprocessing(model, resized), {"x": grey})["x.prepared"] == 201).all()
    (clipped,) = run(preprocessing(model, spec(normalize={"mean": [100], "std": [0.5]})), {"x": picture()}).values()
    np.testing.assert_array_equal(clipped[0], np.clip((picture() - 100.0) * 2, 0, 255).transpose(2, 0, 1))


@pytest.mark.parametrize("opset", [9, 11, 12, 13, 18, 21])
def test_models_of_any_opset(opset):
    pipeline = spec({"activation": "softmax"}, resize={"height": 8, "width": 6}, normalize=IMAGENET)
    model = network(opset=opset)
    pixels = picture(9, 9)
    (prepared,) = run(preprocessing(model, pipeline), {"x": pixels}).values()
    joined = run(join(raise_opset(model), pipeline), {"x": pixels})
    np.testing.assert_allclose(joined["y"], run(model, {"x": prepared})["y"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(joined["probabilities"].sum(), 1, rtol=1e-6)


def test_softmax_gains_an_output_and_keeps_the_scores():
    joined = join(network(), spec({"activation": "softmax"}))
    assert [str(tensor) for tensor in joined.outputs] == ["y: float32[1,4]", "probabilities: float32[1,4]"]
    outputs = run(joined, {"x": picture()})
    scores = outputs["y"].astype(np.float64)
    np.testing.assert_allclose(outputs["probabilities"], np.exp(scores) / np.exp(scores).sum(), rtol=1e-4, atol=1e-7)
    assert [tensor.name for tensor in join(network(), spec({"activation": "none"})).outputs] == ["y"]


def test_the_joined_model_takes_pictures_one_at_a_time():
    joined = join(network(batch="N"), spec())
    assert joined.inputs == (TensorSpec("x", "uint8", (8, 6, 3)),)
    assert joined.outputs == (TensorSpec("y", "float32", (1, 4)),)
    resizing = spec(resize={"height": 8, "width": 6})
    assert join(network(), resizing).inputs == (TensorSpec("x", "uint8", ("x_height", "x_width", 3)),)
    assert picture_specs(network(), resizing) == join(network(), resizing).inputs
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
    assert list(prepared) == ["n.prepared", "x.prepared", "z.prepared"]
    by_hand = run(model, {name.removesuffix(".prepared"): array for name, array in prepared.items()})
    got = run(joined, feeds)
    np.testing.assert_array_equal(got["y"], by_hand["y"])
    np.testing.assert_array_equal(got["m"], [-7])


def test_two_pictures():
    text = "(float[1,3,8,6] a, float[1,6,8,1] b) => (float[1,192] y) {" + (
        " f = Flatten(a) g = Flatten(b) y = Concat<axis = 1>(f, g) }"
    )
    pair = {"a": {"color": "rgb"}, "b": {"color": "grey", "layout": "NHWC", "normalize": {"scale": 2}}}
    joined = join(build(text), PipelineSpec.model_validate({"input": pair}))
    a, b = picture(), picture(6, 8, 1)
    y = run(joined, {"a": a, "b": b})["y"]
    np.testing.assert_array_equal(y, [[*a.transpose(2, 0, 1).ravel(), *(b.ravel() / 2)]])


def test_strings_pass_through():
    model = build("(float[1,3,8,6] x, string[N] s) => (float[1,144] y, string[N] t) { y = Flatten(x) t = Identity(s) }")
    (_, text) = run(preprocessing(model, spec()), {"x": picture(), "s": np.array(["a", "b"], object)}).values()
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
MISFITS = [
    (network(), {"input": {"z": {}}}, "input.z: the model has no such input; it has x"),
    (build("(float[1,3] x) => (float[1,3] y) { y = Neg(x) }"), {"input": {"x": {}}}, r"4 axes, .* x: float32\[1,3\]"),
    (network(dtype="int64"), {"input": {"x": {}}}, r"float32, float16 or uint8, .* x: int64"),
    (network(batch=2), {"input": {"x": {}}}, r"one at a time, .* x: float32\[2,3,8,6\]"),
    (network(), {"input": {"x": {"color": "grey"}}}, r"color = grey, layout NCHW: expected 3 channels, got 1"),
    (network(), {"input": {"x": {"layout": "NHWC"}}}, r"layout NHWC: expected 6 channels, got 3"),
    (network(), {"input": {"x": {"resize": {"height": 9, "width": 6}}}}, r"resize.height, .*expected 8 height, got 9"),
    (network(), {"input": {"x": {"resize": {"height": 8, "width": 7}}}}, r"resize.width, .*expected 6 width, got 7"),
    (network(), {"output": {"scores": "z"}}, r"output.scores: expected one of y, got 'z'"),
    (build(TWO), {"output": {}}, r"output.scores: expected one of a, b, got None"),
    (
        build("(float[1,3,8,6] x) => (float[1,144] probabilities) { probabilities = Flatten(x) }"),
        {"output": {"activation": "softmax"}},
        "the model already has an output named probabilities",
    ),
]


@pytest.mark.parametrize(("model", "given", "match"), MISFITS, ids=range(len(MISFITS)))
@pytest.mark.parametrize("step", [join, preprocessing])
def test_a_spec_that_does_not_fit(step, model, given, match):
    with pytest.raises(PipelineError, match=match) as caught:
        step(model, PipelineSpec.model_validate(given))
    assert "\n" not in str(caught.value)
