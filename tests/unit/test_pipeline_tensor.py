"""Tensors: what the device feeds, through generic steps, to the model's input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise, run

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.graph import entries, join, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

SUM = "(float[1,3,4] x) => (float[1,3] y) { axes = Constant<value_ints = [2]>() y = ReduceSum<keepdims = 0>(x, axes) }"


def spec(name="x", **source):
    return PipelineSpec.parse({"input": {name: {"type": "tensor", **source}}}, "spec")


STEPS = [
    {"reshape": [1, 4, 3]},
    {"transpose": [0, 2, 1]},
    {"cast": "float32"},
    {"scale": {"factor": 0.5, "offset": -1}},
]


def test_steps_in_order():
    declared = spec("sensor", dtype="int16", shape=[12], steps=STEPS)
    model, values = build(SUM), np.arange(12, dtype=np.int16)
    joined = join(model, declared)
    assert [str(tensor) for tensor in joined.inputs] == ["sensor: int16[12]"]
    (entry,) = entries(model, declared)
    assert entry.media is None
    expected = values.reshape(1, 4, 3).transpose(0, 2, 1).astype(np.float32) * 0.5 - 1
    (prepared,) = run(preprocessing(model, declared), {"sensor": values}).values()
    np.testing.assert_array_equal(prepared, expected)
    np.testing.assert_array_equal(run(joined, {"sensor": values})["y"], run(model, {"x": prepared})["y"])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(width=32), min_size=12, max_size=12), st.floats(-1e6, 1e6, width=32))
def test_nan_is_replaced_before_the_steps(values, missing):
    array = np.array(values, np.float32).reshape(1, 3, 4)
    declared = spec(shape=[1, 3, 4], missing=missing, steps=[{"clip": [-5, 5]}])
    (prepared,) = run(preprocessing(build(SUM), declared), {"x": array}).values()
    np.testing.assert_array_equal(prepared, np.clip(np.where(np.isnan(array), np.float32(missing), array), -5, 5))


def test_free_sizes_stay_free():
    model = build("(float[N,4] x) => (float[N,4] y) { y = Neg(x) }")
    joined = join(model, spec(shape=["rows", 4]))
    values = noise(3, 4)
    np.testing.assert_array_equal(run(joined, {"x": values})["y"], -values)
    assert joined.outputs[0].shape == ("N", 4)


MISFITS = [
    ({"shape": [1, 3, 5]}, r"expected the shape that x: float32\[1,3,4\] takes, got float32\[1,3,5\]"),
    ({"shape": [3, 4]}, r"takes, got float32\[3,4\]"),
    ({"shape": ["n", 3, 4]}, r"takes, got float32\[n,3,4\]"),
    ({"shape": [1, 3, 4], "dtype": "uint8"}, r"expected float32, .* got uint8\[1,3,4\]; end the steps with \{cast"),
    ({"shape": [1, 3, 4], "dtype": "int32", "missing": 0}, "input.x.missing: only floats can be NaN, dtype is int32"),
    ({"shape": [1, 3, 4], "steps": [{"top_k": 2}]}, "input.x.steps: top_k makes two values of one"),
    ({"shape": [1, 3, 4], "steps": [{"reshape": [5, -1]}]}, r"input.x.steps.0 reshape: "),
    ({"shape": [1, 3, 4], "to": "z"}, "input.x.to: the model has no input 'z'; it has x"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "match"), MISFITS, ids=range(len(MISFITS)))
def test_what_does_not_fit(source, match):
    with pytest.raises(PipelineError, match=match):
        join(build(SUM), spec(**source))


def test_what_is_prepared_has_a_type_wherever_it_comes_from(caplog):
    for source in ({"missing": 0}, {"steps": ["sigmoid"]}, {}):
        preprocessing(build(SUM), spec(shape=[1, 3, 4], **source))
    assert not caplog.records  # onnx_ir logs a shape that it can't write for want of a type
