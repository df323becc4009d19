"""Names that collide with nothing."""

import pytest
from models import build, convnet, noise, run, run_proto, weight

from edgeonnx.model import Model
from edgeonnx.names import distinct_names, fresh, name_apart, reserved


@pytest.mark.parametrize(
    "name",
    [
        "w_scale",
        "w_zero_point",
        "w_quantized",
        "x_QuantizeLinear_Output",
        "x_DequantizeLinear_Output_2",
        "edgeonnx.low",
    ],
)
def test_names_that_stages_give(name):
    assert reserved(name)
    assert not reserved(fresh(name, set()))


@pytest.mark.parametrize("name", ["", None, "w", "scale", "quantized_w", "/layer.1/Conv_output_0", "my.edgeonnx.low"])
def test_names_of_the_users_own(name):
    assert not reserved(name)


def test_a_fresh_name_is_remembered():
    used = {"given.w_scale."}
    assert fresh("w_scale", used) == "given.w_scale.."
    assert "given.w_scale.." in used


def test_inputs_and_outputs_keep_theirs_and_the_function_stays():
    text = (
        "(float[2,4] x_scale) => (float[2,4] y_quantized) { h_scale = MatMul(x_scale, w) y_quantized = Relu(h_scale) }"
    )
    model = build(text, w=weight(4, 4))
    before = run(model, {"x_scale": noise(2, 4)})
    distinct_names(model.ir)
    assert [node.outputs[0].name for node in model.ir.graph] == ["given.h_scale.", "y_quantized"]
    after = run(Model(model.ir), {"x_scale": noise(2, 4)})
    assert list(after) == ["y_quantized"]
    assert (after["y_quantized"] == before["y_quantized"]).all()


def test_a_file_whose_nodes_have_one_name_is_run_all_the_same(tmp_path):
    """onnxruntime refuses the file; the model in it is sound."""
    twin = convnet()
    expected = run_proto(twin, {"x": noise(1, 8, 12, 12)})["y"]
    for node in twin.graph.node:
        node.name = "same"
    (tmp_path / "twin.onnx").write_bytes(twin.SerializeToString())
    model = Model.load(tmp_path / "twin.onnx")
    assert (run(model, {"x": noise(1, 8, 12, 12)})["y"] == expected).all()
    assert not name_apart(model.ir)
