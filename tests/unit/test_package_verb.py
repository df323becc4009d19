"""Packages of every kind of model, opened and self-tested by the runtime as a device would."""

import json

import numpy as np
import pytest
from models import build, convnet, noise, proto, run
from quantized import quantize

from edgeonnx import Model, load, load_target, package
from edgeonnx.errors import DataError, InputError, ModelError, OutputError, PipelineError, TargetError
from edgeonnx.runtime._selftest import compare_golden
from edgeonnx.runtime._version import OLDEST_ONNXRUNTIME

TARGET = "raspberrypi"
LABELS = ["ankle boot", "bag", "coat", "dress", "größe"]


@pytest.fixture
def packed(tmp_path):
    """Package a model and open it; its golden samples agree."""

    def packed(model, **more):
        result = package(model, TARGET, tmp_path / "b.edge", **more)
        opened = load(result.path)
        assert opened.manifest._replace(files={}) == result.manifest._replace(files={})
        assert dict(opened.manifest.files) == dict(result.manifest.files)
        if opened.manifest.golden.samples:
            assert compare_golden(opened).ok
        return opened

    return packed


def test_a_float_model_without_anything(packed, tmp_path):
    opened = packed(Model.from_proto(convnet()))
    manifest = opened.manifest
    profile = load_target(TARGET)
    assert (manifest.name, manifest.version, manifest.target) == ("b", "1", TARGET)
    assert manifest.model == ("model.onnx", "float32", 17, 8)
    assert manifest.inputs == (("x", "float32", ("N", 8, 12, 12), None),)
    assert [spec[:3] for spec in manifest.outputs] == [("y", "float32", ("N", 5))]
    assert (manifest.result, manifest.provenance, opened.labels) == (None, None, None)
    assert manifest.golden == (3, "generated")
    assert manifest.session.intra_op_threads == profile.session.intra_op_threads
    assert [provider.name for provider in manifest.session.providers] == ["CPUExecutionProvider"]
    assert set(manifest.created_with) == {"edgeonnx", "numpy", "onnx", "onnxruntime"}
    x = {"x": noise(2, 8, 12, 12)}
    np.testing.assert_allclose(opened.run(x)["y"], run(Model.from_proto(convnet()), x)["y"], rtol=1e-5, atol=1e-5)


def test_the_oldest_onnxruntime_follows_from_the_opset(packed):
    text = "(float[2] x) => (float[2] y) { y = Relu(x) }"
    assert packed(build(text, opset=22, ir_version=10)).manifest.onnxruntime.minimum == "1.21"
    assert packed(build(text, opset=13)).manifest.onnxruntime.minimum == OLDEST_ONNXRUNTIME


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        package(Model.from_proto(convnet()), TARGET, tmp_path / name / "m.edge", labels=LABELS)
    assert (tmp_path / "a" / "m.edge").read_bytes() == (tmp_path / "b" / "m.edge").read_bytes()


def test_a_quantized_model_carries_its_record(packed):
    made = quantize(convnet(), [{"x": noise(2, 8, 12, 12)}])
    low, high = made.ranges.by_tensor["x"]
    record = {
        "source_sha256": "ab",
        "recipe": "fast",
        "score": 0.5,
        "evaluation_samples": 7,
        "ranges": {"x": [low, high]},
    }
    opened = packed(made.model.with_record(record), golden_samples=2, name="net", version="7 beta")
    manifest = opened.manifest
    assert (manifest.name, manifest.version, manifest.model.precision) == ("net", "7 beta", "int8")
    assert manifest.provenance == ("ab", "fast", None, None, 0.5, 7, None)
    assert manifest.golden == (2, "generated")
    assert manifest.outputs[0].atol > 0
    with np.load(opened.path) as entries:
        x = entries["golden/0/input0"]
    assert low <= x.min() < x.max() <= high


def test_golden_samples_of_the_users_own(packed):
    x = noise(5, 8, 12, 12)
    opened = packed(Model.from_proto(convnet()), data={"x": x})
    assert opened.manifest.golden == (3, "data")
    with np.load(opened.path) as entries:
        for index in range(3):
            np.testing.assert_array_equal(entries[f"golden/{index}/input0"], x[index : index + 1])


@pytest.mark.parametrize("as_file", [True, False])
def test_labels_alone_make_a_classifier(packed, tmp_path, as_file):
    labels = LABELS
    if as_file:
        labels = tmp_path / "l.txt"
        labels.write_text("\n".join(LABELS), "utf-8")
    opened = packed(Model.from_proto(convnet()), labels=labels)
    assert opened.labels == tuple(LABELS)
    assert opened.manifest.result == ("classification", "y", "labels.txt", 5)
    x = noise(1, 8, 12, 12)
    assert opened(x).label == LABELS[int(opened.run({"x": x})["y"].argmax())]


def test_the_example_with_its_pipeline(fashion_int8, fashion_bundle, examples, shirt_png):
    opened = load(fashion_bundle)
    manifest = opened.manifest
    assert manifest.inputs == (("input", "uint8", (28, 28, 1), "grey"),)
    assert [spec.name for spec in manifest.outputs][-1] == "probabilities"
    assert manifest.result == ("classification", "probabilities", "labels.txt", 3)
    assert manifest.golden.origin == "data"
    assert manifest.provenance.recipe == "balanced"
    assert manifest.model.ir_version <= load_target(TARGET).caps.ir_version
    assert compare_golden(opened).ok
    assert opened(str(shirt_png)).label in opened.labels


def test_another_pipeline_than_it_was_quantized_through(fashion_int8, examples, tmp_path):
    other = tmp_path / "p.toml"
    other.write_text((examples / "pipeline.toml").read_text().replace("255", "256"))
    with pytest.raises(PipelineError, match=r"quantized through the pipeline [0-9a-f]{12}, got [0-9a-f]{12}; "):
        package(fashion_int8, TARGET, tmp_path / "b.edge", pipeline=other)
    assert not (tmp_path / "b.edge").exists()
    same = tmp_path / "same.toml"
    same.write_text("# spelled otherwise\n" + (examples / "pipeline.toml").read_text().replace("255", "255.0"))
    package(fashion_int8, TARGET, tmp_path / "b.edge", pipeline=same)


def test_an_older_opset_with_a_pipeline(packed, tmp_path):
    model = build("(float[1,3,4,4] x) => (float[1,48] y) { y = Flatten(x) }", opset=11)
    (tmp_path / "p.toml").write_text('[input.x]\n[output]\nactivation = "softmax"\n')
    opened = packed(model, pipeline=tmp_path / "p.toml")
    assert opened.manifest.model.opset == 13
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(opened.run({"x": pixels})["y"][0], pixels.transpose(2, 0, 1).ravel())


# Inputs and outputs of other kinds: model, and data where noise will not do


def test_an_embedding_gets_indices_that_are_in_range(packed):
    text = "(int64[N,6] ids, int64[N,6] mask) => (float[N,6,4] y) { y = Gather(table, ids) }"
    opened = packed(build(text, table=noise(3, 4)))
    with np.load(opened.path) as entries:
        assert all(
            0 <= entries[f"golden/{i}/input0"].min() <= entries[f"golden/{i}/input0"].max() < 3 for i in range(3)
        )


def test_an_embedding_of_one_row_says_what_to_do(tmp_path):
    text = "(int64[8,6] ids) => (float[8,6,4] y) { y = Gather(table, ids) }"
    with pytest.raises(DataError, match=r"golden sample 0: the model does not run: .*indices.*; give --data that fits"):
        package(build(text, table=noise(1, 4)), TARGET, tmp_path / "b.edge")
    package(build(text, table=noise(1, 4)), TARGET, tmp_path / "b.edge", data={"ids": np.zeros((8, 6), np.int64)[None]})


@pytest.mark.parametrize("data", [None, {"s": np.array([["größe", ""], ["b", "c"]])}])
def test_strings(packed, data):
    opened = packed(build("(string[N,2] s) => (string[N,2] t) { t = Identity(s) }"), data=data, golden_samples=2)
    assert opened.manifest.inputs[0].dtype == "str"
    assert opened.manifest.outputs[0][3:] == (0, 0)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int32", "double", "float16"])
def test_dtypes(packed, kind):
    dtype = {"double": "float64"}.get(kind, kind)
    opened = packed(build(f"({kind}[2,3] x) => ({kind}[2,3] y) {{ y = Identity(x) }}"))
    assert (opened.manifest.inputs[0].dtype, opened.manifest.outputs[0].dtype) == (dtype, dtype)


def test_a_scalar_input(packed):
    packed(build("(float[2] x, float s) => (float[2] y) { y = Mul(x, s) }"))


def test_outputs_whose_shape_is_not_known(packed):
    model = proto("(float[N,4] x) => (float y) { y = Relu(x) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    opened = packed(Model.from_proto(model))
    assert opened.manifest.outputs[0].shape == ("y_0", "y_1")
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    assert packed(Model.from_proto(model)).manifest.inputs[0].shape == ("x_0", 4)


def test_an_input_whose_shape_is_not_known(tmp_path):
    model = proto("(float x) => (float[N] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"x has no shape; give --data, whose samples tell its rank"):
        package(Model.from_proto(model), TARGET, tmp_path / "b.edge")
    made = package(Model.from_proto(model), TARGET, tmp_path / "b.edge", data=[{"x": noise(3)}])
    assert made.manifest.inputs[0].shape == ("x_0",)


def test_an_output_that_is_returned_twice(tmp_path):
    model = build("(float[N] x) => (float[N] y, float[N] y) { y = Relu(x) }")
    with pytest.raises(ModelError, match="y is returned twice; give each output a name of its own"):
        package(model, TARGET, tmp_path / "b.edge")


@pytest.mark.parametrize("kind", ["bfloat16[2]", "seq(float[2])", "optional(float[2])"])
def test_what_numpy_has_not(tmp_path, kind):
    model = build(f"({kind} x) => ({kind} y) {{ y = Identity(x) }}", opset=17)
    with pytest.raises(ModelError, match=r"x: \w+\[.*\]: expected a tensor that numpy has, bool.*convert it inside"):
        package(model, TARGET, tmp_path / "b.edge")


def test_float16_and_weights_say_the_precision(packed):
    model = build("(float16[1,2] x) => (float16[1,2] y) { y = Add(x, w) }", w=noise(2).astype(np.float16))
    assert packed(model).manifest.model.precision == "float16"


def test_no_golden_samples(packed):
    assert packed(Model.from_proto(convnet()), golden_samples=0).manifest.golden.samples == 0


# What is refused


TWO = "(float[1,4] x) => (float[1,4] a, float[1,4] b) { a = Relu(x) b = Neg(x) }"


@pytest.mark.parametrize(
    ("model", "more", "error", "match"),
    [
        (Model.from_proto(convnet()), {"labels": ["a"]}, InputError, r"expected 5, one for each class of y: .*, got 1"),
        (Model.from_proto(convnet()), {"labels": "none.txt"}, InputError, r"labels none\.txt can't be read"),
        (build(TWO), {"labels": list("abcd")}, InputError, "several outputs; say which holds the scores"),
        (Model.from_proto(convnet()), {"data": {"z": noise(1)}}, DataError, "missing 'x' and unknown 'z'"),
        (
            build("(float[1] x) => (float[1] y) { y = my.Op(x) }", domains=["my"]),
            {},
            TargetError,
            "raspberrypi refuses the model: operators: .*got my",
        ),
    ],
)
def test_refusals(tmp_path, model, more, error, match):
    with pytest.raises(error, match=match) as caught:
        package(model, TARGET, tmp_path / "b.edge", **more)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_places_and_targets_are_checked_first(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        package("none.onnx", TARGET, tmp_path / "no" / "b.edge")
    with pytest.raises(TargetError, match="raspberrypi"):
        package("none.onnx", "rasberrypi", tmp_path / "b.edge")
    with pytest.raises(ModelError, match="no such file"):
        package("none.onnx", TARGET, tmp_path / "b.edge")


def test_two_outputs_of_which_the_pipeline_names_one(packed, tmp_path):
    (tmp_path / "p.toml").write_text('[output]\nscores = "b"\ntop_k = 2\nactivation = "softmax"\n')
    opened = packed(build(TWO), pipeline=tmp_path / "p.toml", labels=list("abcd"))
    assert [spec.name for spec in opened.manifest.outputs] == ["a", "b", "probabilities"]
    best = opened(np.array([[0, 1, -2, 3]], np.float32))
    assert best.label == "c"
    assert len(best.top) == 2
    json.dumps(opened.manifest.to_dict())
