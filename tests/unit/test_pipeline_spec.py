"""A pipeline's file: known by its meaning, and what is wrong with it is told by field, expected and got."""

import re
import tomllib
from pathlib import Path

import pytest

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.inputs import InputKind
from edgeonnx.pipeline.outputs import OutputKind
from edgeonnx.pipeline.spec import PipelineSpec, load_pipeline
from edgeonnx.schema import meanings, parts, summary

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "p.toml").write_text(text)
        return load_pipeline(tmp_path / "p.toml")

    return read


FULL = """
[input.x]
type = "image"
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
        '[output]\ntype = "classification"\ntop_k = 3\nactivation = "softmax"\n'
        "[input.x.resize]\nwidth = 6\nheight = 8\n"
        '[input.x.normalize]\nstd = [0.25]\nscale = 255.0\nmean = [5e-1]\n[input.x]\ntype = "image"',
        FULL.replace('color = "rgb"\n', "").replace("\n[output]", "# a remark\n[output]"),
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
    texts = [FULL, *(FULL.replace(*change) for change in CHANGES), "", "[input.image]"]
    assert len({read(text).fingerprint for text in texts}) == len(texts)
    assert PipelineSpec().fingerprint == read("").fingerprint


def test_a_source_named_as_a_type_is_of_that_type(read):
    assert read("[input.image]").input["image"] == read('[input.image]\ntype = "image"').input["image"]
    assert read('[input.text]\ntype = "image"').input["text"].type == "image"


def test_files_are_looked_for_beside_the_spec_and_count_by_content(tmp_path, monkeypatch):
    text = '[input.text]\ntokenizer = {type = "wordpiece", file = "vocab.txt"}'
    fingerprints = []
    for name, words in (("a", "hello"), ("b", "hello"), ("c", "goodbye")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.txt").write_text(
            "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", words]) + "\n"
        )
        (tmp_path / name / "p.toml").write_text(text)
        fingerprints.append(load_pipeline(tmp_path / name / "p.toml").fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    monkeypatch.chdir(tmp_path / "c")
    assert PipelineSpec.model_validate(tomllib.loads(text)).fingerprint == fingerprints[2]


IMAGE = '[input.x]\ntype = "image"\n'
OUTPUT = '[output]\ntype = "classification"\n'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (IMAGE + 'color = "red"', r"input\.x\.color: expected 'grey', 'rgb' or 'bgr', got 'red'"),
        (IMAGE + 'colour = "rgb"', r"input\.x\.colour is not a known field\. Near: color"),
        (IMAGE + "normalise = {scale = 255}", r"input\.x\.normalise is not a known field\. Near: normalize"),
        (IMAGE + "normalize = {scael = 255}", r"input\.x\.normalize\.scael is not a known field\. Near: scale"),
        ("[input.image]\nnormalise = 1", r"input\.image\.normalise is not a known field\. Near: normalize"),
        (IMAGE + 'layout = "HWC"', r"input\.x\.layout: expected 'NCHW' or 'NHWC', got 'HWC'"),
        (IMAGE + "resize = {height = 0, width = 1}", r"input\.x\.resize\.height: .*equal to 1, got 0"),
        (IMAGE + "resize = 224", r"input\.x\.resize: expected table, got 224"),
        (IMAGE + "normalize = {scale = 0}", r"input\.x\.normalize\.scale: .*greater than 0, got 0"),
        (IMAGE + 'normalize = {mean = ["a"]}', r"input\.x\.normalize\.mean\.0: expected number, got 'a'"),
        (IMAGE + "normalize = {mean = 0.5}", r"input\.x\.normalize\.mean: expected list, got 0\.5"),
        (IMAGE + "normalize = {mean = [1, 2]}", r"normalize\.mean: expected 1 or 3 numbers for rgb"),
        (IMAGE + "normalize = {std = [1, 0, 1]}", r"normalize\.std: expected numbers other than 0"),
        ("[input.x]", r"input\.x\.type is missing\. Known: .*image.*; only a source named as its type"),
        ('[input.x]\ntype = "imag"', r"input\.x\.type: 'imag' is not a known type\. Near: image"),
        ("[input]\nx = 3", r"input\.x: expected table, got 3"),
        (
            '[output]\ntype = "clasification"',
            r"output\.type: 'clasification' is not a known type\. Near: classification",
        ),
        ("[output]\ntop_k = 3", r"output\.type is missing\. Known: classification, "),
        (OUTPUT + 'activation = "relu"', r"output\.activation: expected 'softmax'.*, got 'relu'"),
        (OUTPUT + "top_k = 0", r"output\.top_k: .*equal to 1, got 0"),
        (OUTPUT + 'top_k = "many"', r"output\.top_k: expected integer, got 'many'"),
        ("[outputs]", r"outputs is not a known field\. Near: output"),
        ('[input.x]\ntype = "tensor"\nshape = [1]\nsteps = ["sofmax"]', r"input\.x\.steps\.0: .*sofmax.*Near: softmax"),
        ("[input.audio]\nrate = 16000\nstft = {n_fft = 512}", r"input\.audio\.stft\.hop is missing"),
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


@pytest.mark.parametrize("part", [*parts(InputKind), *parts(OutputKind)], ids=lambda part: part.__name__)
def test_every_field_says_what_it_means(part):
    """The reference and the editors' hints are made of it."""
    assert summary(part)
    assert set(part.model_fields) - set(meanings(part)) == set()


def test_the_json_schema_describes_fields_and_lets_a_named_source_go_without_type():
    schema = PipelineSpec.model_json_schema()
    image = schema["$defs"]["ImageInput"]
    assert image["properties"]["layout"]["description"].startswith("order of the model's axes")
    assert image["additionalProperties"] is False
    sources = schema["properties"]["input"]
    assert sources["properties"]["image"] == {"$ref": "#/$defs/ImageInput"}
    assert sources["additionalProperties"]["required"] == ["type"]


def test_the_documents_examples_are_specs(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\n")
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / "pipeline.md").read_text("utf-8"), re.DOTALL)
    specs = [PipelineSpec.parse(tomllib.loads(example), "docs/pipeline.md", tmp_path) for example in examples]
    assert {part.type for spec in specs for part in spec.input.values()} >= {"image", "audio", "text"}
