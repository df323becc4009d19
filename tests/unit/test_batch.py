"""A free batch becomes one, for targets that take fixed shapes alone; other free dimensions are the user's."""

import numpy as np
import pytest
from models import build, noise, run

from edgeonnx import load_target
from edgeonnx.model import TensorSpec
from edgeonnx.optimize.batch import fix_batch, fixed_but_batch
from edgeonnx.verbs.inspect import target_refusals


@pytest.mark.parametrize(
    ("shape", "fixed"),
    [
        *(((1, 3), True), (("N", 3), True), ((None, 3), True), ((), True), ((4,), True)),
        *((("tokens",), False), ((1, "tokens"), False), (("N", "tokens"), False), (None, False)),
    ],
)
def test_what_counts_as_a_batch(shape, fixed):
    assert fixed_but_batch(TensorSpec("x", "float32", shape)) is fixed


def test_the_batchs_name_is_fixed_wherever_it_stands():
    text = "(float[N,3] x, float[N,3] y, int64[N] k) => (float[N,3] sum, float[M] flat, int64[N] j)"
    nodes = "{ sum = Add(x, y) shape = Constant<value_ints = [-1]>() flat = Reshape(sum, shape) j = Identity(k) }"
    model = build(f"{text} {nodes}")
    fixed = fix_batch(model)
    assert [tensor.shape for tensor in fixed.inputs] == [(1, 3), (1, 3), (1,)]
    assert [tensor.shape for tensor in fixed.outputs if tensor.name != "flat"] == [(1, 3), (1,)]
    assert [tensor.shape for tensor in model.inputs] == [("N", 3), ("N", 3), ("N",)]
    feeds = {"x": noise(1, 3), "y": noise(1, 3), "k": np.array([7])}
    for name, expected in run(model, feeds).items():
        np.testing.assert_array_equal(run(fixed, feeds)[name], expected)


def test_a_model_without_a_free_batch_is_left():
    model = build("(float[1,3] x) => (float[1,3] y) { y = Relu(x) }")
    assert fix_batch(model) is model


def test_a_target_of_fixed_shapes_takes_a_free_batch_alone():
    target = load_target("qualcomm-hexagon")
    assert target_refusals(build("(float[N,3] x) => (float[N,3] y) { y = Relu(x) }"), target) == []
    (refusal,) = target_refusals(build("(float[N,T] x) => (float[N,T] y) { y = Relu(x) }"), target)
    assert "every dimension but the batch" in refusal
