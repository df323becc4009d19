"""Inspection: what a model is, and what targets refuse about it, without running it."""

import onnx
import pytest
from models import build, convnet

from edgeonnx import Model, inspect, list_targets, load_target
from edgeonnx.errors import ModelError
from edgeonnx.verbs.inspect import target_refusals


def test_what_it_is(tmp_path):
    onnx.save(convnet(), tmp_path / "m.onnx")
    found = inspect(tmp_path / "m.onnx")
    assert found.path == tmp_path / "m.onnx"
    assert [str(tensor) for tensor in (*found.inputs, *found.outputs)] == ["x: float32[N,8,12,12]", "y: float32[N,5]"]
    assert (found.opset, found.ir_version) == (17, 8)
    assert found.bytes == (tmp_path / "m.onnx").stat().st_size
    assert (found.external_data, found.record) == (False, None)
    assert found.anatomy.operators["Conv"] == 2
    assert set(found.refusals) == {target.name for target in list_targets()}


def test_external_data_and_record(tmp_path):
    model = Model.from_proto(convnet()).with_record({"recipe": "balanced"})
    onnx.save(model.to_proto(), tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0)
    found = inspect(tmp_path / "m.onnx")
    assert found.external_data
    assert found.bytes == (tmp_path / "m.onnx").stat().st_size + Model.load(tmp_path / "m.onnx").weight_bytes
    assert found.record == {"recipe": "balanced"}


def test_refusals_are_those_of_the_profiles():
    fixed = build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", opset=13)
    free = build("(float[1,N] x) => (float[1,N] y) { y = Relu(x) }", opset=13)
    foreign = build("(float[1,4] x) => (float[1,4] y) { y = my.Relu(x) }", domains=["my"])
    newest = build("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", opset=23, ir_version=11)
    for target in list_targets():
        assert target_refusals(fixed, target) == []
        assert bool(target_refusals(free, target)) == target.requires.fixed_shapes
        assert "got my" in target_refusals(foreign, target)[0]
        assert bool(target_refusals(newest, target)) == (target.caps.opset < 23)
    assert inspect(free).refusals["raspberrypi"] == tuple(target_refusals(free, load_target("raspberrypi"))) == ()


def test_what_can_not_be_read(tmp_path):
    with pytest.raises(ModelError):
        inspect(tmp_path / "none.onnx")


def test_functions_of_the_models_own_are_no_foreign_operators():
    function = '<domain: "own", opset_import: ["" : 17]> Twice (a) => (b) { b = Add(a, a) }'
    model = build("(float[N,4] x) => (float[N,4] y) { y = own.Twice(x) }", domains=["own"], functions=[function])
    assert set(inspect(model).refusals.values()) == {()}
