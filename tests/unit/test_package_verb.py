"""Packages of every kind of model, opened and self-tested by the runtime as a device would."""

import json
import zipfile

import numpy as np
import pytest
from models import build, convnet, noise, operators, proto, run
from quantized import quantize

from edgeonnx import Model, load, load_target, package
from edgeonnx.errors import DataError, InputError, ModelError, OutputError, PipelineError, TargetError
from edgeonnx.pipeline.graph import join
from edgeonnx.pipeline.spec import load_pipeline
from edgeonnx.runtime._manifest import InputSpec, Media
from edgeonnx.runtime._selftest import compare_golden
from edgeonnx.runtime._version import OLDEST_ONNXRUNTIME
from edgeonnx.verbs import variants

TARGET = "raspberrypi"
LABELS = ["ankle boot", "bag", "coat", "dress", "größe"]


@pytest.fixture
def packed(tmp_path):
    """Package a model and open it; its golden samples agree."""

    def packed(model, **more):
        result = package(model, TARGET, tmp_path / "b.edge", **more)
        opened = load(result.path)
        assert opened.manifest.to_dict() == result.manifest.to_dict()
        if opened.manifest.golden.samples:
            assert compare_golden(opened).ok
        return opened

    return packed


def test_a_float_model_without_anything(packed, tmp_path):
    opened = packed(Model.from_proto(convnet()))
    manifest = opened.manifest
    profile = load_target(TARGET)
    assert (manifest.name, manifest.version, manifest.target) == ("b", "1", TARGET)
    (variant,) = manifest.variants
    assert variant[:6] == ("float32", "model.onnx", "float32", 17, 8, OLDEST_ONNXRUNTIME)
    assert (variant.features, variant.graph_optimization, variant.weights) == ((), "all", ())
    assert manifest.inputs == (InputSpec("x", "float32", ("N", 8, 12, 12)),)
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
    assert (manifest.name, manifest.version, manifest.variants[0].precision) == ("net", "7 beta", "int8")
    assert manifest.provenance == ("ab", "fast", None, None, 0.5, 7, None)
    assert manifest.golden == (2, "generated")
    assert manifest.variants[0].tolerance["y"].atol > 0
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
    assert opened.manifest.result == ("classification", {"scores": "y"}, "labels.txt", 5, None)
    x = noise(1, 8, 12, 12)
    assert opened(x).label == LABELS[int(opened.run({"x": x})["y"].argmax())]


def test_the_example_with_its_pipeline(fashion_int8, fashion_bundle, examples, shirt_png):
    opened = load(fashion_bundle)
    manifest = opened.manifest
    assert manifest.inputs == (InputSpec("input", "uint8", (28, 28, 1), Media("image", "grey")),)
    assert [spec.name for spec in manifest.outputs] == ["probabilities"]
    assert manifest.result == ("classification", {"scores": "probabilities"}, "labels.txt", 3, None)
    assert manifest.golden.origin == "data"
    assert manifest.provenance.recipe == "balanced"
    assert manifest.variants[0].ir_version <= load_target(TARGET).caps.ir_version
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
    (tmp_path / "p.toml").write_text('[input.x]\ntype = "image"\n')
    opened = packed(model, pipeline=tmp_path / "p.toml")
    assert opened.manifest.variants[0].opset == 13
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
    assert opened.manifest.variants[0].tolerance["t"] == (0, 0)


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
    assert packed(model).manifest.variants[0].precision == "float16"


def test_no_golden_samples(packed):
    assert packed(Model.from_proto(convnet()), golden_samples=0).manifest.golden.samples == 0


# What is refused


TWO = "(float[1,4] x) => (float[1,4] a, float[1,4] b) { a = Relu(x) b = Neg(x) }"


@pytest.mark.parametrize(
    ("model", "more", "error", "match"),
    [
        (Model.from_proto(convnet()), {"labels": ["a"]}, InputError, r"expected 5, one for each class of y: .*; got 1"),
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
    (tmp_path / "p.toml").write_text(
        '[output]\ntype = "classification"\nscores = "b"\nactivation = "softmax"\ntop_k = 2\n'
    )
    opened = packed(build(TWO), pipeline=tmp_path / "p.toml", labels=list("abcd"))
    assert [spec.name for spec in opened.manifest.outputs] == ["probabilities", "a"]
    best = opened(np.array([[0, 1, -2, 3]], np.float32))
    assert best.label == "c"
    assert len(best.top) == 2
    json.dumps(opened.manifest.to_dict())


# Several variants, and what is done to each


VNNI = "x86-64-vnni"


@pytest.fixture(scope="module")
def int8():
    return quantize(convnet(), [{"x": noise(2, 8, 12, 12, seed=seed)} for seed in range(4)]).model


def test_variants_in_order_with_what_they_need(int8, tmp_path):
    float32 = Model.from_proto(convnet())
    made = package(int8, VNNI, tmp_path / "b.edge", variants=[float32], data={"x": noise(4, 8, 12, 12)})
    one, other = made.manifest.variants
    assert (one.name, one.file, one.features) == ("int8", "model.int8.onnx", ("vnni",))
    assert (other.name, other.file, other.features) == ("float32", "model.float32.onnx", ())
    assert made.notes == ()
    x = noise(1, 8, 12, 12, seed=9)
    for name, model in (("int8", int8), ("float32", float32)):
        opened = load(made.path, variant=name)
        got, expected = opened.run({"x": x})["y"], run(model, {"x": x})["y"]
        np.testing.assert_allclose(got, expected, atol=opened.variant.tolerance["y"].atol)
        with np.load(made.path) as entries:
            np.testing.assert_array_equal(
                opened.run({"x": entries["golden/0/input0"]})["y"], entries[f"golden/0/{name}/output0"]
            )


def test_what_does_not_saturate_needs_nothing(int8, tmp_path):
    made_for_avx2 = int8.with_record({"target": "x86-64"})
    for model, target in ((int8, TARGET), (made_for_avx2, "x86-64"), (Model.from_proto(convnet()), VNNI)):
        assert package(model, target, tmp_path / "b.edge").manifest.variants[0].features == ()


def test_variants_of_one_precision_have_names_of_their_own(int8, tmp_path):
    made = package(int8, VNNI, tmp_path / "b.edge", variants=[int8.with_record({"target": "x86-64"}), int8])
    assert [variant.name for variant in made.manifest.variants] == ["int8-vnni", "int8", "int8-vnni-2"]
    load(made.path, variant="int8-vnni-2")


def test_weights_that_variants_share_are_stored_once(tmp_path):
    table = noise(300, 64)
    text = "(int64[N] i) => (float[N,8] y) {{ t = Gather(table, i) m = MatMul(t, w) y = {}(m) }}"
    models = [build(text.format(op), table=table, w=noise(64, 8, seed=seed)) for seed, op in enumerate(("Relu", "Neg"))]
    made = package(models[0], TARGET, tmp_path / "b.edge", variants=models[1:])
    one, other = made.manifest.variants
    assert (one.weights, other.weights) == (("weights/0.bin",), ("weights/0.bin",))
    assert made.manifest.files["weights/0.bin"].bytes == table.nbytes
    for variant, model in zip(made.manifest.variants, models, strict=True):
        feeds = {"i": np.array([3, 299, 0])}
        np.testing.assert_allclose(
            load(made.path, variant=variant.name).run(feeds)["y"], run(model, feeds)["y"], rtol=1e-5
        )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "(float[N,8,12,13] x) => (float[N,5] y) { y = Op(x) }",
            r"variant 2: expected the first one's inputs, x: float32",
        ),
        (
            "(float[N,8,12,12] x) => (float[N,8,12,12] y) { y = Neg(x) }",
            "variant 2: expected the first one's outputs, y",
        ),
    ],
)
def test_variants_of_another_model(tmp_path, text, match):
    other = build(text.replace("Op", "Identity"))
    with pytest.raises(ModelError, match=match):
        package(Model.from_proto(convnet()), TARGET, tmp_path / "b.edge", variants=[other])
    assert list(tmp_path.iterdir()) == []


def packaged_graph(path, name="model.onnx"):
    import onnx

    with zipfile.ZipFile(path) as archive:
        return onnx.ModelProto.FromString(archive.read(name))


def test_the_graph_is_optimized_for_the_target(int8, tmp_path):
    package(int8, TARGET, tmp_path / "b.edge")
    found = {node.op_type for node in packaged_graph(tmp_path / "b.edge").graph.node}
    assert "QLinearConv" in found
    assert {entry.domain for entry in packaged_graph(tmp_path / "b.edge").opset_import} <= {"", "com.microsoft"}


def test_quantize_and_dequantize_are_kept_where_asked_or_needed(int8, tmp_path):
    for target, more in ((TARGET, {"keep_qdq": True}), ("qualcomm-hexagon", {})):
        model = int8 if target == TARGET else fixed(int8)
        made = package(model, target, tmp_path / "b.edge", **more)
        kept = [node.op_type for node in packaged_graph(made.path).graph.node]
        assert kept == operators(model)
        assert made.manifest.variants[0].graph_optimization == load_target(target).session.graph_optimization


def fixed(model):
    """The model for one picture a run."""
    import onnx_ir as ir

    copy = model.copy()
    for value in (*copy.ir.graph.inputs, *copy.ir.graph.outputs):
        value.shape = ir.Shape([1, *value.shape[1:]])
    return Model(copy.ir)


def test_float16_is_left_to_the_device(tmp_path):
    model = build("(float16[1,2] x) => (float16[1,2] y) { y = Add(x, w) }", w=noise(2).astype(np.float16))
    made = package(model, TARGET, tmp_path / "b.edge")
    left, warned = made.notes
    assert left == (
        "float16: the graph is left to the device to optimize: float16, which some CPUs have kernels for and others "
        "compute in float32"
    )
    assert warned.startswith("float16: the CPU provider has few float16 kernels")


def test_what_grows_when_folded_is_left_as_it_is(tmp_path):
    model = build(
        "(float[1000,1000] x) => (float[1000,1000] y) { c = Expand(w, s) y = Add(x, c) }",
        w=noise(1000),
        s=np.array([1000, 1000]),
    )
    made = package(model, TARGET, tmp_path / "b.edge", golden_samples=1)
    assert "constants, once folded, take" in made.notes[0]
    assert made.bytes < 10 << 20


def test_the_joined_graph_is_held_against_its_parts(fashion_int8, examples, tmp_path, monkeypatch):
    """A join that writes other steps than the spec's is found out."""
    (tmp_path / "p.toml").write_text((examples / "pipeline.toml").read_text().replace("255", "200"))
    other = load_pipeline(tmp_path / "p.toml")
    monkeypatch.setattr(variants, "join", lambda model, spec: join(model, other))
    words = {"pipeline": examples / "pipeline.toml", "data": examples / "test.npz"}
    with pytest.raises(
        PipelineError, match=r"probabilities of sample 0: joined to its pipeline the model gives another"
    ):
        package(fashion_int8, TARGET, tmp_path / "b.edge", **words)
    assert not (tmp_path / "b.edge").exists()


def test_the_spec_travels_with_the_bundle(fashion_bundle, examples):
    manifest = load(fashion_bundle).manifest
    spec = load_pipeline(examples / "pipeline.toml")
    with zipfile.ZipFile(fashion_bundle) as archive:
        text = archive.read(manifest.pipeline.file).decode()
    assert text == spec.text
    assert manifest.pipeline.fingerprint == spec.fingerprint
