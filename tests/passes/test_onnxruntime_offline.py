"""onnxruntime's own optimizer, run here: its operators, the same outputs, or why not."""

import numpy as np
import pytest

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.passes.float16 import float16
from edgeonnx.optimize.passes.onnxruntime_offline import onnxruntime_offline, optimized_offline
from tests.unit.models import build, convnet, noise, operators, run, weight


@pytest.mark.parametrize("arm", [True, False])
def test_fused(arm):
    model = Model.from_proto(convnet())
    before = model.to_proto().SerializeToString(deterministic=True)
    made, count = onnxruntime_offline(model, arm)
    assert model.to_proto().SerializeToString(deterministic=True) == before
    assert count > 0
    assert "FusedConv" in operators(made)
    assert (made.inputs, made.outputs) == (model.inputs, model.outputs)
    feeds = {"x": noise(2, 8, 12, 12)}
    np.testing.assert_allclose(run(made, feeds)["y"], run(model, feeds)["y"], rtol=1e-5, atol=1e-6)
    assert onnxruntime_offline(made, arm) == (made, 0)


def test_nothing_to_do():
    model = build("(float[N,3] x) => (float[N,4] y) { y = MatMul(x, w) }", w=weight(3, 4))
    assert onnxruntime_offline(model, arm=False) == (model, 0)


def test_float16_is_left_and_told():
    model, _ = float16(Model.from_proto(convnet()))
    assert onnxruntime_offline(model, arm=False) == (model, 0)
    with pytest.raises(ModelError, match="float16"):
        optimized_offline(model, arm=False)


def test_an_addition_before_a_normalization_stays_apart():
    """onnxruntime has an operator for the two, which is several times slower than they are."""
    model = build(
        "(float[2,5,8] x, float[2,5,8] z) => (float[2,5,8] y) { a = Add(x, z) y = LayerNormalization(a, s, b) }",
        s=noise(8),
        b=noise(8, seed=1),
    )
    assert onnxruntime_offline(model, arm=False) == (model, 0)
