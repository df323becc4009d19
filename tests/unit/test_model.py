"""A model comes back as it was saved, and whatever is no whole model is a ModelError, told in one line."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, convnet, noise, proto, run, run_proto, weight

import edgeonnx.model
from edgeonnx.errors import ModelError, OutputError
from edgeonnx.model import Model, TensorSpec

BRANCHES = """(float[2,4] x, bool c) => (float[2,4] y) {
    h = MatMul(x, w)
    y = If(c) <then_branch = t () => (float[2,4] a) { a = MatMul(h, w) }, else_branch = e () => (float[2,4] b) { b = Neg(h) }>
}"""  # noqa: E501
LOOP = """(float[2] x, int64 n) => (float[2] y) {
    k = Constant<value = bool {1}>()
    y = Loop(n, k, x) <body = b (int64 i, bool k1, float[2] s) => (bool k2, float[2] s2) {
        k2 = Identity(k1)
        s2 = Add(s, x)
    }>
}"""
TWICE = '<domain: "my", opset_import: ["" : 17]> twice (a) => (b) { t = Relu(a) b = Add(t, t) }'


def function_model():
    text = "(float[2,4] x) => (float[2,4] y) { h = MatMul(x, w) y = my.twice(h) }"
    return proto(text, domains=["my"], functions=[TWICE], w=weight(4, 4))


def refused(match, path):
    with pytest.raises(ModelError, match=match) as caught:
        Model.load(path)
    assert "\n" not in str(caught.value)
    assert str(path.parent) in str(caught.value)


@pytest.fixture
def saved(tmp_path):
    onnx.save(convnet(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def external(tmp_path):
    onnx.save(convnet(), tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0)
    return tmp_path / "e.onnx"


# Round trips


@pytest.mark.parametrize(
    ("model", "feeds"),
    [
        (convnet(), {"x": noise(2, 8, 12, 12)}),
        (proto(BRANCHES, w=weight(4, 4)), {"x": noise(2, 4), "c": np.array(False)}),
        (proto(LOOP), {"x": noise(2), "n": np.array(3)}),
        (function_model(), {"x": noise(2, 4)}),
    ],
    ids=["convnet", "If", "Loop", "function"],
)
def test_saved_and_loaded_it_gives_the_same_outputs(tmp_path, model, feeds):
    onnx.save(model, tmp_path / "a.onnx")
    loaded = Model.load(tmp_path / "a.onnx")
    again = Model.load(loaded.save(tmp_path / "b.onnx"))
    made = Model(again.ir)  # without a file: the session is given bytes
    expected = run_proto(model, feeds)
    for one in (loaded, again, made):
        assert (one.inputs, one.outputs) == (loaded.inputs, loaded.outputs)
        np.testing.assert_array_equal(run(one, feeds)["y"], expected["y"])


def test_sha256_is_that_of_the_file_and_stable(saved, tmp_path):
    model = Model.load(saved)
    assert model.sha256 == edgeonnx.files.sha256(saved)
    first, second = Model.from_proto(convnet()), Model.from_proto(convnet())
    assert first.sha256 == second.sha256 == Model.load(first.save(tmp_path / "n.onnx")).sha256


def test_a_copy_is_not_what_stands_in_the_file(saved):
    model = Model.load(saved)
    copy = model.copy()
    copy.ir.graph.outputs.append(next(iter(copy.ir.graph)).outputs[0])
    copy.ir.graph.outputs[-1].shape = None
    assert len(model.outputs) == 1
    assert len(run(copy, {"x": noise(1, 8, 12, 12)})) == 2


def test_the_record_travels_with_the_file(saved, tmp_path):
    record = {"recipe": "balanced", "score": 0.5, "ranges": {"x": [0.0, 1.0]}, "none": None}
    model = Model.load(saved)
    assert model.record is None
    marked = model.with_record(record)
    assert model.record is None
    assert Model.load(marked.save(tmp_path / "r.onnx")).record == record
    assert marked.sha256 != model.sha256


@pytest.mark.parametrize("text", ["{", "7", "[1]", ""])
def test_a_record_of_someone_else_is_none(text):
    model = convnet()
    model.metadata_props.add(key="edgeonnx", value=text)
    assert Model.from_proto(model).record is None


def test_nodes_in_any_order_load_sorted(tmp_path):
    model = convnet()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    onnx.save(model, tmp_path / "m.onnx")
    assert [node.op_type for node in Model.load(tmp_path / "m.onnx").ir.graph] == [node.op_type for node in nodes]


# What a caller must feed


@pytest.mark.parametrize(
    ("onnx_type", "dtype"),
    [
        ("float", "float32"),
        ("double", "float64"),
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("float8e4m3fn", "float8_e4m3fn"),
        ("int64", "int64"),
        ("uint8", "uint8"),
        ("int4", "int4"),
        ("bool", "bool"),
        ("string", "str"),
    ],
)
def test_dtypes_have_numpys_names(onnx_type, dtype):
    model = build(f"({onnx_type}[N,?,3] x) => ({onnx_type}[] y) {{ y = Identity(x) }}", opset=23, ir_version=11)
    assert model.inputs == (TensorSpec("x", dtype, ("N", None, 3)),)
    assert model.outputs == (TensorSpec("y", dtype, ()),) or model.outputs[0].shape is None
    assert str(model.inputs[0]) == f"x: {dtype}[N,?,3]"


@pytest.mark.parametrize(("onnx_type", "kind"), [("seq(float[N])", "sequence"), ("optional(float[N])", "optional")])
def test_what_is_no_tensor_does_not_pass_for_one(onnx_type, kind):
    model = build(f"({onnx_type} x) => ({onnx_type} y) {{ y = Identity(x) }}")
    assert model.inputs == (TensorSpec("x", kind, None),)


def test_inputs_with_a_default_are_not_asked_for():
    text = "(float[2,4] x, float[4,3] w) => (float[2,3] y) { y = MatMul(x, w) }"
    assert [tensor.name for tensor in build(text, w=weight(4, 3)).inputs] == ["x"]


def test_fixed_and_free():
    assert TensorSpec("x", "float32", (1, 2)).fixed
    assert TensorSpec("x", "float32", ()).fixed
    assert not TensorSpec("x", "float32", (None, 2)).fixed
    assert not TensorSpec("x", "float32", ("N", 2)).fixed
    assert not TensorSpec("x", "float32", None).fixed


def test_versions_and_sizes(saved):
    model = Model.load(saved)
    assert (model.opset, model.ir_version) == (17, 8)
    weights = sum(len(tensor.raw_data) for tensor in convnet().graph.initializer)
    assert model.weight_bytes == weights
    assert model.file_bytes == saved.stat().st_size


# External data


def test_external_data_counts_loads_and_is_taken_inside(external, tmp_path):
    model = Model.load(external)
    assert model.has_external_data
    assert model.file_bytes == external.stat().st_size + model.weight_bytes
    x = {"x": noise(1, 8, 12, 12)}
    expected = run_proto(convnet(), x)["y"]
    np.testing.assert_array_equal(run(model, x)["y"], expected)
    inside = Model.load(model.save(tmp_path / "elsewhere.onnx"))
    assert not inside.has_external_data
    np.testing.assert_array_equal(run(inside, x)["y"], expected)
    assert model.has_external_data  # saving changed nothing in the model itself


def test_external_data_missing(external):
    (external.parent / "e.bin").unlink()
    refused(r"keeps weights in .*e\.bin, which does not exist", external)


def test_external_data_too_short(external):
    data = (external.parent / "e.bin").read_bytes()
    (external.parent / "e.bin").write_bytes(data[:-1])
    refused(f"cut short: expected {len(data)} bytes, got {len(data) - 1}", external)


def test_weights_beyond_protobufs_limit_go_beside_the_model(monkeypatch, saved, tmp_path):
    monkeypatch.setattr(edgeonnx.model, "_INLINE_LIMIT", 1000)  # 2 GiB would take minutes
    x = {"x": noise(1, 8, 12, 12)}
    model = Model.load(saved)
    with pytest.raises(ModelError, match=r"5,\d+ bytes; this step takes less than 2 GiB"):
        model.to_proto()
    path = model.save(tmp_path / "big.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["big.onnx", "big.onnx.data", "m.onnx"]
    again = Model.load(path)
    assert again.has_external_data
    for one in (again, Model(again.ir), model.copy()):
        np.testing.assert_array_equal(run(one, x)["y"], run_proto(convnet(), x)["y"])


def test_weights_get_their_name_before_the_model_that_reads_them(monkeypatch, saved, tmp_path):
    """Ended between the two, there is no model without its weights."""
    monkeypatch.setattr(edgeonnx.model, "_INLINE_LIMIT", 1000)
    renamed, rename = [], Path.replace

    def noted(path, target):
        renamed.append(Path(target).name)
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    Model.load(saved).save(tmp_path / "big.onnx")
    assert renamed[-2:] == ["big.onnx.data", "big.onnx"]


# Files that are no model


def test_no_file_and_a_folder(tmp_path):
    refused("no such file", tmp_path / "none.onnx")
    refused("is a folder", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"PK\x03\x04" + b"x" * 99, b'{"a": 1}', b"\x08\x08"])
def test_foreign_files(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    refused("not an ONNX model", path)


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300))
def test_random_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        Model.load(path)


@pytest.mark.parametrize(
    "model",
    [
        proto("(float[2] x) => (float[2] y) { y = Relu(x) }"),
        proto("(float[2,4] x) => (float[2,4] y) { y = com.microsoft.Gelu(x) }", domains=["com.microsoft"]),
        proto(BRANCHES, w=weight(4, 4)),
    ],
    ids=["one node", "two operator sets", "subgraphs"],
)
def test_cut_short_anywhere(tmp_path, model):
    whole = model.SerializeToString()
    path = tmp_path / "cut.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            Model.load(path)
    path.write_bytes(whole)
    Model.load(path)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_one_byte_wrong_is_a_model_or_a_model_error(tmp_path_factory, place, value):
    content = bytearray(
        proto("(float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", w=weight(4, 3)).SerializeToString()
    )
    content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "wrong.onnx"
    path.write_bytes(content)
    try:
        model = Model.load(path)
        assert all(isinstance(str(tensor), str) for tensor in (*model.inputs, *model.outputs))
        model.session()
    except ModelError as error:
        assert "\n" not in str(error)


def test_a_line_break_in_a_name_is_written_as_its_escape(tmp_path):
    model = proto("(float[2] x) => (float[2] y) { y = Relu(z) }")
    model.graph.node[0].input[0] = "z\n\x1b[2Jz"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"z\\n\\x1b\[2Jz, which nothing defines"):
        Model.load(tmp_path / "m.onnx").session()


def test_a_map_says_how_to_do_without(tmp_path):
    kind = onnx.TypeProto()
    kind.sequence_type.elem_type.map_type.key_type = onnx.TensorProto.INT64
    kind.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    text = "(float[1,2] x) => (float y) { y = ai.onnx.ml.ZipMap<classlabels_int64s = [0, 1]>(x) }"
    model = proto(text, domains=["ai.onnx.ml"])
    model.graph.output[0].type.CopyFrom(kind)
    onnx.save(model, tmp_path / "m.onnx")
    refused("y is a map.*zipmap", tmp_path / "m.onnx")


def test_onnxruntimes_refusal_is_one_line_with_the_files_name(tmp_path):
    path = build("(float[2] x) => (float[3] y) { y = NoSuchOperator(x) }").save(tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match=r"onnxruntime does not accept .*odd\.onnx: .*NoSuchOperator") as caught:
        Model.load(path).session()
    assert "\n" not in str(caught.value)


# Saving


def test_saving_is_whole_or_not_at_all(saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    model = Model.load(saved)
    (tmp_path / "data.bin").write_bytes(b"")
    monkeypatch.setattr(Model, "to_proto", lambda self: json.loads("{"))  # a failure while the file is open
    with pytest.raises(ValueError, match="Expecting"):
        model.save(saved)
    assert saved.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data.bin", "m.onnx"]


def test_saving_where_nothing_can_be_written(saved, tmp_path):
    for path, match in ((tmp_path, "is a folder"), (tmp_path / "no" / "m.onnx", "does not exist; create it")):
        with pytest.raises(OutputError, match=re.escape(str(path if path == tmp_path else path.parent)) + f".*{match}"):
            Model.load(saved).save(path)
