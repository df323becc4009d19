"""Classification and generic steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, noise
from outputs import apply, graph_of, part

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.graph import join, postprocessing
from edgeonnx.pipeline.spec import PipelineSpec


def softmax(x, axis=-1):
    powers = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def through(*steps, value, **more):
    """What generic steps make of a value."""
    return apply(part(type="tensor", steps=list(steps)), {"y": value}, **more)["y"]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 5, 1, 1), (1, 1, 5), (1, 1, 1, 5)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_of_any_rank(shape, dtype):
    scores = noise(*shape).astype(dtype)
    tolerance = 1e-3 if dtype == np.float16 else 1e-5
    for activation, reference in (("softmax", softmax), ("sigmoid", sigmoid)):
        results = apply(part(type="classification", activation=activation), {"y": scores})
        probabilities = results["probabilities"]
        assert probabilities.dtype == dtype
        assert probabilities.shape[-1] == probabilities.size == 5
        np.testing.assert_allclose(probabilities.ravel(), reference(scores.ravel()), rtol=tolerance)


def test_scores_without_an_activation_become_the_last_axis():
    scores = noise(1, 5, 1, 1)
    np.testing.assert_array_equal(apply(part(type="classification"), {"y": scores})["y"], scores.reshape(1, 5))


@pytest.mark.parametrize("shape", [(1, 5), ("N", 5), ("N", 5, 1, 1), (1, 1, 5)])
def test_how_many_classes_there_are(shape):
    assert part(type="classification").class_count([TensorSpec("y", "float32", shape)]) == 5


def test_what_the_manifest_says():
    outputs = [TensorSpec("y", "float32", (1, 5))]
    result = part(type="classification", activation="sigmoid", threshold=0.5, top_k=3).result(outputs)
    assert (result.outputs, result.top_k, result.threshold) == ({"scores": "probabilities"}, 3, 0.5)


@pytest.mark.parametrize(
    ("fields", "dtype", "shape", "message"),
    [
        ({}, "float32", (1, 5, 7), r"output.scores: expected all axes of 1 but that of the classes, got y: float32"),
        ({}, "float32", (), "output.scores: expected all axes of 1 but that of the classes"),
        ({"activation": "softmax"}, "int8", (1, 5), "expected float16, float32, float64 for softmax, got y: int8"),
        ({}, "str", (1, 5), "output.scores: expected numbers, got y: str"),
    ],
)
def test_scores_that_do_not_fit(fields, dtype, shape, message):
    with pytest.raises(PipelineError, match=message):
        graph_of(part(type="classification", **fields), [TensorSpec("y", dtype, shape)])


def test_steps_one_by_one():
    value = noise(2, 3, 4, scale=3)
    np.testing.assert_allclose(through("softmax", value=value), softmax(value), rtol=1e-5)
    np.testing.assert_allclose(through({"softmax": 1}, value=value), softmax(value, 1), rtol=1e-5)
    np.testing.assert_allclose(through("sigmoid", value=value), sigmoid(value), rtol=1e-4)
    np.testing.assert_array_equal(through("argmax", value=value), value.argmax(-1))
    np.testing.assert_array_equal(through({"argmax": 0}, value=value), value.argmax(0))
    np.testing.assert_array_equal(through({"clip": [-1, 0.5]}, value=value), value.clip(-1, np.float32(0.5)))
    np.testing.assert_array_equal(through({"transpose": [2, 0, 1]}, value=value), value.transpose(2, 0, 1))
    np.testing.assert_array_equal(through({"cast": "int32"}, value=value), value.astype(np.int32))
    np.testing.assert_array_equal(through({"threshold": 0.5}, value=value), value > 0.5)
    np.testing.assert_array_equal(through({"reshape": [4, -1]}, value=value), value.reshape(4, -1))


def test_scale_by_one_number_or_one_for_each_place():
    value = noise(2, 3, 4)
    np.testing.assert_allclose(through({"scale": {"factor": 2, "offset": 1}}, value=value), value * 2 + 1, rtol=1e-6)
    factors, offsets = [1, 2, 3, 4], [5, 6, 7]
    scaled = through({"scale": {"factor": factors}}, value=value)
    np.testing.assert_allclose(scaled, value * factors, rtol=1e-6)
    scaled = through({"scale": {"offset": offsets, "axis": 1}}, value=value)
    np.testing.assert_allclose(scaled, value + np.array(offsets)[:, None], rtol=1e-6)


@pytest.mark.parametrize("count", [2, 4, 9])
def test_top_k_gives_places_too(count):
    value = noise(2, 4)
    results = apply(part(type="tensor", steps=[{"top_k": count}], name="best"), {"y": value})
    order = np.argsort(-value, axis=-1)[:, :count]
    np.testing.assert_array_equal(results["best_indices"], order)
    np.testing.assert_array_equal(results["best"], np.take_along_axis(value, order, -1))


STEPS = {
    "softmax": lambda x: softmax(x).astype(np.float32),
    "sigmoid": lambda x: sigmoid(x).astype(np.float32),
    "clip": lambda x: x.clip(-0.5, 0.5),
    "transpose": lambda x: x.transpose(1, 0),
    "scale": lambda x: x * np.float32(3) - np.float32(1),
    "reshape": lambda x: x.reshape(-1, 2),
}
OPTIONS = {"clip": [-0.5, 0.5], "transpose": [1, 0], "scale": {"factor": 3, "offset": -1}, "reshape": [-1, 2]}


@settings(max_examples=40, deadline=None)
@given(names=st.lists(st.sampled_from(sorted(STEPS)), max_size=5), free=st.booleans())
def test_steps_run_in_their_order(names, free):
    value = expected = noise(4, 6)
    for name in names:
        expected = STEPS[name](expected)
    steps = [{name: OPTIONS[name]} if name in OPTIONS else name for name in names]
    got = through(*steps, value=value, free=(0,) if free else ())
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float16", "float64"])
def test_steps_on_other_types(dtype):
    value = np.arange(12).reshape(3, 4).astype(dtype)
    np.testing.assert_array_equal(through({"clip": [2, 9]}, value=value), value.clip(2, 9))
    np.testing.assert_array_equal(through({"cast": "float32"}, "softmax", value=value).argmax(-1), value.argmax(-1))
    if dtype in ("int8", "uint8", "int32", "float16", "float64"):
        np.testing.assert_array_equal(through("argmax", value=value), value.argmax(-1))
    if dtype in ("int32", "int64", "float16", "float64"):
        np.testing.assert_array_equal(through({"threshold": 5}, value=value), value > 5)


@pytest.mark.parametrize(
    ("steps", "dtype", "shape", "message"),
    [
        (["softmax"], "uint8", (1, 2), r"output.steps.0 softmax: expected float16, .* got uint8\[1,2\]; put a cast"),
        (
            ["sigmoid", {"transpose": [1, 0]}],
            "float32",
            (1, 2, 3),
            r"output.steps.1 transpose: expected 2 axes, got fl",
        ),
        ([{"reshape": [7, -1]}], "float32", (1, 2, 3), r"reshape: expected 6 values in shape \[7, -1\]"),
        ([{"argmax": 2}], "float32", (1, 2), r"argmax: expected an axis of float32\[1,2\], got 2"),
        ([{"clip": [0, 300]}], "uint8", (1, 2), "clip: expected a number that uint8 holds, got 300; put a cast"),
        ([{"threshold": 0.5}], "int32", (1, 2), "threshold: expected a number that int32 holds, got 0.5"),
        ([{"scale": {"factor": [1, 2]}}], "float32", (1, 3), "scale: factor: expected 1 or 3 numbers, for axis 1"),
        ([{"scale": {"factor": [1, 2]}}], "float32", None, "scale: factor: expected one number where the number of"),
        (["softmax"], "str", (1, 2), "output.steps: expected none for text"),
    ],
)
def test_a_step_that_does_not_fit(steps, dtype, shape, message):
    with pytest.raises(PipelineError, match=message):
        graph_of(part(type="tensor", steps=steps), [TensorSpec("y", dtype, shape)])


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (["sofmax"], "output.steps.0: no such step as 'sofmax'. Near: softmax, argmax"),
        ([{"clamp": [0, 1]}], "output.steps.0: no such step as 'clamp'. Near: clip|Known: softmax"),
        (["clip"], r"output.steps.0: expected a value with it, as \{clip = ...\}"),
        ([{"clip": [1, 0]}], "clip: expected the lower bound first"),
        ([{"clip": [0, 1], "cast": "int8"}], "expected a name or a table of one entry"),
        ([{"top_k": 2}, "softmax"], "top_k gives values and their places, so it is the last step"),
        ([{"cast": "float"}], "output.steps.0.cast: expected .*'float32'.*, got 'float'"),
        ([{"scale": {"fac": 1}}], "output.steps.0.scale.fac is not a known field. Near: factor"),
        ([{"transpose": [0, 2]}], "transpose: expected each of 0..1 once"),
        ([{"reshape": [-1, -1]}], "reshape: expected -1 at most once"),
        ([3], "expected a name or a table of one entry"),
    ],
)
def test_a_step_that_does_not_exist_or_is_written_wrong(steps, message):
    with pytest.raises(PipelineError, match=message):
        PipelineSpec.parse({"output": {"type": "tensor", "steps": steps}}, "p.toml")


def test_a_step_means_the_same_with_its_default_written_out():
    short, long = ({"output": {"type": "tensor", "steps": [step]}} for step in ("softmax", {"softmax": -1}))
    spec = PipelineSpec.model_validate(short)
    assert spec.fingerprint == PipelineSpec.model_validate(long).fingerprint
    assert PipelineSpec.model_validate_json(spec.text) == spec


@pytest.mark.parametrize("name", [None, "result"])
def test_a_tensor_replaces_its_output_and_leaves_the_others(name):
    model = build("(float[2,3] x) => (float[2,3] y, float[2,3] z) { y = Relu(x) z = Neg(x) }")
    spec = PipelineSpec.model_validate(
        {"output": {"type": "tensor", "output": "y", "name": name, "steps": ["sigmoid"]}}
    )
    assert [tensor.name for tensor in join(model, spec).outputs] == [name or "y", "z"]
    assert [tensor.name for tensor in postprocessing(model, spec).outputs] == [name or "y", "z.passed"]
