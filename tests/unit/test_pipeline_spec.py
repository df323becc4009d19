"""A pipeline's file: known by its meaning, and what is wrong with it is told by field, expected and got."""

import pytest

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "p.toml").write_text(text)
        return load_pipeline(tmp_path / "p.toml")

    return read


FULL = """
[input.x]
color = "rgb"
layout = "NCHW"
normalize = {scale = 255, mean = [0.5], std = [0.25]}
resize = {height = 8, width = 6}

[output]
type = "classification"
activation = "softmax"
top_k = 3
"""


def test_a_full_one(read):
    spec = read(FULL)
    image = spec.input["x"]
    assert (image.color, image.channels, image.layout) == ("rgb", 3, "NCHW")
    assert (image.resize.height, image.resize.width, image.resize.interpolation) == (8, 6, "bilinear")
    assert (image.normalize.scale, image.normalize.mean, image.normalize.std) == (255, (0.5,), (0.25,))
    assert (spec.output.activation, spec.output.scores, spec.output.top_k) == ("softmax", None, 3)


@pytest.mark.parametrize(
    "text",
    [
        '[output]\ntop_k = 3\nactivation = "softmax"\n[input.x.resize]\nwidth = 6\nheight = 8\n'
        "[input.x.normalize]\nstd = [0.25]\nscale = 255.0\nmean = [5e-1]",
        FULL.replace('color = "rgb"\n', "").replace('type = "classification"\n', "# nothing\n"),
        FULL.replace("width = 6", 'width = 6, interpolation = "bilinear"'),
    ],
)
def test_the_fingerprint_is_that_of_the_meaning(read, text):
    assert read(text).fingerprint == read(FULL).fingerprint


CHANGES = [
    ('"rgb"', '"bgr"'),
    ('"NCHW"', '"NHWC"'),
    ("255", "256"),
    ("[0.5]", "[0.5, 0.5, 0.6]"),
    ("[0.25]", "[0.26]"),
    ("height = 8", "height = 9"),
    ("width = 6", 'width = 6, interpolation = "nearest"'),
    ('"softmax"', '"none"'),
    ("top_k = 3", "top_k = 4"),
    ("top_k = 3", 'scores = "y"\ntop_k = 3'),
    ("input.x", "input.z"),
]


def test_another_meaning_has_another_fingerprint(read):
    texts = [FULL, *(FULL.replace(*change) for change in CHANGES), "", "[input.x]", "[output]"]
    assert len({read(text).fingerprint for text in texts}) == len(texts)
    assert PipelineSpec().fingerprint == read("").fingerprint


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[input.x]\ncolor = "red"', r"input.x.color: Input should be 'grey', 'rgb' or 'bgr', got 'red'"),
        ('[input.x]\ncolour = "rgb"', "input.x.colour is not a known field"),
        ('[input.x]\nlayout = "HWC"', r"input.x.layout: Input should be 'NCHW' or 'NHWC', got 'HWC'"),
        ("[input.x]\nresize = {height = 8}", "input.x.resize.width is missing"),
        ("[input.x]\nresize = {height = 0, width = 1}", r"input.x.resize.height: .*equal to 1, got 0"),
        ("[input.x]\nnormalize = {scale = 0}", r"input.x.normalize.scale: .*greater than 0, got 0"),
        ("[input.x]\nnormalize = {mean = [1, 2]}", r"normalize.mean: expected 1 or 3 numbers for rgb"),
        ('[input.x]\ncolor = "grey"\nnormalize = {std = [1, 2, 3]}', r"normalize.std: expected 1 or 1 numbers"),
        ("[input.x]\nnormalize = {std = [1, 0, 1]}", r"normalize.std: expected numbers other than 0"),
        ("[input.x]\nnormalize = {std = []}", r"normalize.std: expected 1 or 3 numbers for rgb"),
        ('[output]\ntype = "detection"', r"output.type: Input should be 'classification', got 'detection'"),
        ('[output]\nactivation = "relu"', r"output.activation: Input should be 'softmax' or 'none', got 'relu'"),
        ("[output]\ntop_k = 0", r"output.top_k: .*equal to 1, got 0"),
        ("[outputs]", "outputs is not a known field"),
        ("[input.x", "is not TOML"),
    ],
)
def test_a_broken_file(read, tmp_path, text, match):
    with pytest.raises(PipelineError, match=match) as caught:
        read(text)
    assert str(caught.value).startswith(str(tmp_path / "p.toml"))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match="no such file; expected a pipeline spec in TOML"):
        load_pipeline(tmp_path / "none.toml")
