"""A spec against the preprocessing of training: the same is the same, and each common mistake is called by its name."""

import io
import re

import numpy as np
import pytest
from models import build, noise
from pictures import encoded, picture

from edgeonnx.errors import OutputError, PipelineError
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.verbs.pipeline import check_pipeline, show_pipeline

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
MODEL = build("(float[1,3,H,W] x) => (float[1,C,1,1] y) { y = GlobalAveragePool(x) }")
IMAGE = {"type": "image", "normalize": {"scale": 255, "mean": MEAN, "std": STD}}


def smooth(height=48, width=48, seed=0):
    """A picture with broad features, as photos have them."""
    pixels = noise(height + 16, width + 16, 3, seed=seed)
    for axis in (0, 1):
        pixels = np.apply_along_axis(lambda line: np.convolve(line, np.hanning(13), "same"), axis, pixels)
    inside = pixels[8:-8, 8:-8]
    return np.round((inside - inside.min()) / np.ptp(inside) * 255).astype(np.uint8)


def spec(**parts):
    return PipelineSpec.model_validate({"input": parts})


def trained(sample):
    return ((sample["x"] / 255 - MEAN) / STD).transpose(2, 0, 1)


def check(against, pixels=None, part=IMAGE, model=MODEL, **more):
    samples = [{"x": smooth(seed=seed) if pixels is None else pixels} for seed in range(3)]
    return check_pipeline(spec(x=part), model, against, samples, **more)


def test_the_same_is_the_same():
    found = check(trained)
    (one,) = found.inputs
    assert (found.same, found.samples, one.beyond, one.causes, one.tolerance) == (True, 3, 0, (), 1.0)
    assert 0 < one.levels.mean <= one.levels.p99 <= one.levels.largest < 0.01
    assert one.levels.largest == pytest.approx(one.difference.largest * 255 * 0.2247, rel=0.05)


@pytest.mark.parametrize("kind", ["float", "float16"])
def test_one_grey_level_is_within_tolerance_and_two_are_not_whatever_rounding_makes_of_them(kind):
    model = build(f"({kind}[1,3,H,W] x) => ({kind}[1,C,1,1] y) {{ y = GlobalAveragePool(x) }}")
    dtype = np.dtype("float32" if kind == "float" else kind)
    pixels = np.clip(smooth(), 2, 253)
    change = np.random.default_rng(0).integers(-1, 2, pixels.shape)

    def changed(levels):
        return lambda sample: trained({"x": sample["x"] + levels * change}).astype(dtype)

    (one,) = check(changed(1), pixels, model=model).inputs
    assert (one.beyond, one.causes) == (0, ())
    assert one.levels.largest == pytest.approx(1, abs=0.3)
    (two,) = check(changed(2), pixels, model=model).inputs
    assert two.beyond == 3
    assert not any(told.startswith("normalization") for told in two.causes)  # there is none that explains it


def pixelwise(change):
    return lambda sample: trained({"x": change(sample["x"])})


def shifted(pixels):
    """Half a pixel to the right and down, bilinear."""
    edged = np.pad(pixels.astype(float), ((1, 0), (1, 0), (0, 0)), "edge")
    return (edged[1:, 1:] + edged[:-1, 1:] + edged[1:, :-1] + edged[:-1, :-1]) / 4


def blurred(pixels):
    kernel = [0.25, 0.5, 0.25]
    for axis in (0, 1):
        pixels = np.apply_along_axis(lambda line: np.convolve(np.pad(line, 1, "edge"), kernel, "valid"), axis, pixels)
    return pixels


CAUSES = {
    "channels": (pixelwise(lambda x: x[..., ::-1]), r"^channel order: yours is the reverse"),
    "channels, after normalizing": (lambda s: trained(s)[::-1], r"^channel order"),
    "no normalization": (lambda s: s["x"].transpose(2, 0, 1), r"scale = 1, mean = \[0, 0, 0\], std = \[1, 1, 1\]"),
    "no mean and std": (lambda s: s["x"].transpose(2, 0, 1) / 255, r"255, mean = \[0, 0, 0\], std = \[1, 1, 1\]"),
    "-1 to 1": (lambda s: s["x"].transpose(2, 0, 1) / 127.5 - 1, r"mean = \[0.5, 0.5, 0.5\], std = \[0.5, 0.5, 0.5\]"),
    "BGR and another mean": (lambda s: s["x"][..., ::-1].transpose(2, 0, 1) - 100.0, r"channel order.*normalization"),
    "layout": (lambda s: trained(s).transpose(1, 2, 0), r"^layout: yours is NHWC, \(1, 48, 48, 3\)"),
    "mirrored": (pixelwise(lambda x: x[:, ::-1]), r"^mirrored"),
    "upside down": (pixelwise(lambda x: x[::-1]), r"^upside down"),
    "turned": (pixelwise(lambda x: x.transpose(1, 0, 2)), r"^rows and columns are swapped"),
    "shifted": (pixelwise(shifted), r"^shift: yours lies \+0\.[45]. pixels to the right and \+0\.[45]. down"),
    "blurred": (pixelwise(blurred), r"^smoother: yours has 0\.\d+ of the spec's detail; antialias on"),
    "another size": (pixelwise(lambda x: x[:-2]), r"^shape: .* \(1, 3, 48, 48\), yours is \(1, 3, 46, 48\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_named(name):
    against, cause = CAUSES[name]
    found = check(against)
    (one,) = found.inputs
    assert not found.same
    assert one.beyond == 3
    assert one.worst.startswith("data, sample ")
    assert any(re.search(cause, told) for told in one.causes), one.causes


def test_noise_has_no_cause():
    rng = np.random.default_rng(0)
    found = check(lambda s: trained(s) + rng.normal(size=(3, 48, 48)) * 0.05)
    (one,) = found.inputs
    assert one.where.startswith("at ") or one.where == "everywhere"
    assert not any(told.startswith(("channel", "norm", "mirrored", "shift", "padding")) for told in one.causes)


def test_padding_of_another_colour():
    part = {**IMAGE, "pad": {"top": 4, "bottom": 4, "fill": 114}}

    def black(sample):
        return trained({"x": np.pad(sample["x"], ((4, 4), (0, 0), (0, 0)))})

    (one,) = check(black, part=part).inputs
    assert one.causes == ("padding: the spec fills with 114, 114, 114, yours with 0, 0, 0",)
    assert one.where == "at the border"
    assert one.levels.largest == pytest.approx(114, abs=0.1)


def test_one_channel():
    def green(sample):
        pixels = sample["x"].astype(float)
        pixels[20:24, 20:24, 1] += 30
        return trained({"x": pixels})

    (one,) = check(green).inputs
    assert one.where == "channel 1, inside, not at the border"
    assert one.levels.largest == pytest.approx(30, abs=0.1)


def test_tolerance_is_in_grey_levels():
    def brighter(sample):
        return trained({"x": sample["x"] + 3.0})

    assert not check(brighter, tolerance=2.9).same
    assert check(brighter, tolerance=3.1).same


def test_files_come_as_paths_and_the_worst_is_drawn(tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.png").write_bytes(encoded(smooth(seed=number), "PNG"))
    seen = []

    def own(path):
        seen.append(path)
        pixels = np.array(Image.open(path), float)
        pixels[:8] += 40 * path.endswith("1.png")
        return {"x": trained({"x": pixels})[None]}

    found = check_pipeline(spec(x=IMAGE), MODEL, own, tmp_path / "photos", limit=2, save=tmp_path / "worst.png")
    assert seen == [str(tmp_path / "photos" / name) for name in ("0.png", "1.png")]
    assert (found.samples, found.inputs[0].beyond, found.picture) == (2, 1, tmp_path / "worst.png")
    assert "1.png" in found.inputs[0].worst
    drawn = np.asarray(Image.open(io.BytesIO((tmp_path / "worst.png").read_bytes())))
    assert drawn.shape == (192, 3 * 192 + 8, 3)
    ours, difference = drawn[:, :192], drawn[:, -192:]
    np.testing.assert_array_equal(ours[::4, ::4], smooth(seed=1))
    assert difference[:32].min() == pytest.approx(40 * found.gain, abs=found.gain)
    assert difference[32:].max() == 0


def test_a_picture_that_the_graph_decodes(tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    (tmp_path / "a.png").write_bytes(encoded(smooth(), "PNG"))

    def own(path):
        from PIL import Image

        return trained({"x": np.array(Image.open(path))})

    found = check_pipeline(spec(x={**IMAGE, "decode": True}), MODEL, own, tmp_path)
    assert found.same
    assert found.inputs[0].levels.largest < 0.01


SOUND = {
    "type": "audio",
    "rate": 8000,
    "pcm": "float32",
    "stft": {"n_fft": 64, "hop": 32, "framing": "fft"},
    "log": {"kind": "ln"},
}
SPECTRUM = build("(float[1,33,T] x) => (float[1,33,T] y) { y = Neg(x) }")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda x: x / np.log(10), "logarithm: yours is log10 of it, not the natural logarithm"),
        (lambda x: x * 10 / np.log(10), r"logarithm: yours is decibels \(10 log10\)"),
        (lambda x: x / 2, "logarithm: yours is the logarithm of amplitude, not of power"),
        (lambda x: x + 0.25, r"offset: yours is \+0.25 higher"),
        (lambda x: 1.7 * x, "gain: yours is 1.7 times the spec's"),
        (lambda x: x.transpose(0, 2, 1), "layout: yours is with the last two axes swapped"),
        (lambda x: x[..., 1:], r"shape: the spec gives \(1, 33, 9\), yours is \(1, 33, 8\)"),
    ],
)
def test_causes_of_sound(change, cause, tmp_path):
    from PIL import Image

    wave = noise(320, scale=0.1)

    def own(sample):
        frames = np.lib.stride_tricks.sliding_window_view(sample["x"], 64)[::32]
        power = np.abs(np.fft.rfft(frames * np.hanning(65)[:64])) ** 2
        return change(np.log(np.maximum(power, 1e-10)).T[None])

    found = check_pipeline(spec(x=SOUND), SPECTRUM, own, [{"x": wave}], save=tmp_path / "worst.png")
    assert not found.same
    assert found.inputs[0].levels is None
    assert re.search(cause, found.inputs[0].causes[0])
    with Image.open(tmp_path / "worst.png") as drawn:
        height = drawn.height
    assert height % 33 == 0, "features are drawn as a picture, rows and columns as they are"


@pytest.mark.parametrize(
    ("tokens", "cause"),
    [
        ([5, 5], "special tokens: yours has none at the beginning and the end"),
        ([2, 5, 5, 3, 0], "length: the spec gives 4 values, yours 5; padding or truncation differs"),
        ([2, 5, 1, 3], "value 2 is the first to differ: the spec gives 5, yours 1"),
        ([2, 5, 5, 0], "padding: the spec pads with 3, yours with 0"),
    ],
)
def test_causes_of_tokens(tokens, cause, tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n")
    (tmp_path / "p.toml").write_text('[input.text]\ntokenizer = {type = "wordpiece", file = "vocab.txt"}')
    (tmp_path / "texts.txt").write_text("hello hello\n\nHello hello\n")
    model = build("(int64[1,T] input_ids) => (int64[1,T] y) { y = Neg(input_ids) }")

    def own(sample):
        assert sample["text"].item().lower() == "hello hello"
        return np.array(tokens)

    found = check_pipeline(tmp_path / "p.toml", model, own, tmp_path / "texts.txt")
    assert (found.samples, found.inputs[0].causes) == (2, (cause,))
    assert check_pipeline(tmp_path / "p.toml", model, lambda sample: [2, 5, 5, 3], tmp_path / "texts.txt").same


def test_causes_of_tables(tmp_path):
    columns = [{"name": "age", "mean": 40.0, "std": 10.0}, {"name": "height", "missing": 1.7}]
    model = build("(float[1,2] x) => (float[1,2] y) { y = Neg(x) }")
    (tmp_path / "people.csv").write_text("age,height,labels\n50,1.8,0\n30,,1\n")
    seen = []

    def own(sample):
        seen.append(sample["x"][0].tolist())
        return np.where(np.isnan(sample["x"]), 1.7, sample["x"])

    found = check_pipeline(spec(x={"type": "table", "columns": columns}), model, own, tmp_path / "people.csv")
    assert [seen[0], seen[1][:1]] == [[50.0, pytest.approx(1.8)], [30.0]]
    assert found.inputs[0].causes == ("columns that differ, from 0: 0 (1 against 50)",)


def test_several_sources():
    model = build("(float[1,3,H,W] a, float[1,1,H,W] b) => (float[1,4,H,W] y) { y = Concat<axis = 1>(a, b) }")
    pipeline = spec(a={"type": "image"}, b={"type": "image", "color": "grey"})
    samples = [{"a": picture(), "b": picture(channels=1)}]

    def own(sample):
        return {name: pixels.transpose(2, 0, 1) + (name == "b") * 7.0 for name, pixels in sample.items()}

    found = check_pipeline(pipeline, model, own, samples)
    assert [(one.name, one.beyond) for one in found.inputs] == [("a", 0), ("b", 1)]
    part = check_pipeline(pipeline, model, lambda sample: {"a": own(sample)["a"]}, samples)
    assert [one.name for one in part.inputs] == ["a"]
    with pytest.raises(PipelineError, match="expected a dict of arrays for a, b, got one value"):
        check_pipeline(pipeline, model, lambda sample: sample["a"], samples)


@pytest.mark.parametrize(
    ("against", "match"),
    [
        (lambda s: {"z": trained(s)}, r"expected arrays for x, got one for 'z'"),
        (lambda s: {}, r"expected arrays for x, got none"),
        (lambda s: "text", r"expected numbers for x, got str"),
        (lambda s: trained(s) * np.nan, r"data, sample 0: .*gave NaN or infinity for x"),
        (lambda s: 1 / 0, r"test_pipeline_check\.py: .*, line \d+, raised ZeroDivisionError"),
        ("none.py:prepare", r"none\.py does not exist"),
    ],
)
def test_a_function_that_does_not_serve(against, match):
    with pytest.raises(PipelineError, match=match):
        check(against)


def test_nothing_to_compare_and_nowhere_to_write(tmp_path):
    with pytest.raises(PipelineError, match="the spec declares no input"):
        check_pipeline(PipelineSpec(), MODEL, trained, [{"x": noise(1, 3, 4, 4)}])
    with pytest.raises(OutputError, match="none"):
        check(trained, save=tmp_path / "none" / "worst.png")


def test_what_a_spec_becomes():
    output = {"type": "classification", "activation": "softmax"}
    pipeline = PipelineSpec.model_validate(
        {"input": {"photo": {**IMAGE, "to": "x", "resize": {"size": 8}}}, "output": output}
    )
    model = build("(float[1,3,8,8] x) => (float[1,192] y) { y = Flatten(x) }")
    view = show_pipeline(pipeline, model)
    assert [str(tensor) for tensor in view.takes] == ["photo: uint8[photo_height,photo_width,3]"]
    assert (view.media, [str(tensor) for tensor in view.gives]) == (("image",), ["probabilities: float32[1,192]"])
    assert "Resize" in [step.operator for step in view.before]
    assert {step.part for step in view.before} == {"input.photo"}
    assert [(step.part, step.operator, step.gives) for step in view.after] == [("output", "Softmax", "float32[1,192]")]
    assert view.opset >= 13
    assert not view.extensions
    assert view.fingerprint == pipeline.fingerprint


def test_a_sample_of_another_shape_is_the_worst():
    first = smooth()

    def own(sample):
        same = np.array_equal(sample["x"], first)
        return trained({"x": sample["x"] + 0.5 if same else sample["x"][:-1]})

    (one,) = check_pipeline(spec(x=IMAGE), MODEL, own, [{"x": first}, {"x": smooth(seed=1)}]).inputs
    assert (one.beyond, one.worst) == (1, "data, sample 1")
    assert one.causes[0].startswith("shape: ")


def test_what_is_missing_in_both_is_the_same():
    model = build("(float[1,2] x) => (float[1,2] y) { y = Neg(x) }")
    pipeline = spec(x={"type": "table", "columns": [{"name": "a"}, {"name": "b"}]})
    samples = [{"x": np.array([[np.nan, 2]], np.float32)}]
    assert check_pipeline(pipeline, model, lambda sample: sample["x"], samples).same
    with pytest.raises(PipelineError, match="the spec gave NaN or infinity for x, and the other not"):
        check_pipeline(pipeline, model, lambda sample: [[0, 2]], samples)
