"""Free dimensions get sizes: by name wherever the name stands, by input and axis where there is none."""

import numpy as np
import pytest

from edgeonnx.errors import ModelError
from edgeonnx.optimize.passes.fix_dims import fix_dims
from edgeonnx.optimize.passes.shape_constants import shape_constants
from tests.unit.models import build, noise, operators, run

TEXT = """(float[N,S,4] x, float[N,?,4] k) => (float[N,a,4] y, float[N,S,4] z) {
    z = Relu(x) s = Shape(x) r = Reshape(z, s) y = Concat<axis = 1>(r, k)
}"""
INSIDE = """(float[N,3] x, bool b) => (float[N,3] y) {
    y = If (b) <
        then_branch = t () => (float[N,3] u) { u = Relu(x) }, else_branch = e () => (float[N,3] v) { v = Neg(x) }
    >
}"""


@pytest.mark.parametrize(
    ("sizes", "count", "shapes", "result"),
    [
        ({"N": 2}, 2, [(2, "S", 4), (2, None, 4)], (2, "a", 4)),
        ({"N": 2, "S": 3, "k:1": 5}, 4, [(2, 3, 4), (2, 5, 4)], (2, 8, 4)),
        ({"x:0": 2}, 2, [(2, "S", 4), (2, None, 4)], (2, "a", 4)),
        ({"x:0": 2, "N": 2, "x:2": 4}, 2, [(2, "S", 4), (2, None, 4)], (2, "a", 4)),
        ({"k:1": 5}, 1, [("N", "S", 4), ("N", 5, 4)], ("N", "a", 4)),
    ],
)
def test_sizes(sizes, count, shapes, result):
    model = build(TEXT)
    before = model.to_proto().SerializeToString(deterministic=True)
    made, fixed = fix_dims(model, sizes)
    assert (fixed, [tensor.shape for tensor in made.inputs], made.outputs[0].shape) == (count, shapes, result)
    assert model.to_proto().SerializeToString(deterministic=True) == before
    feeds = {"x": noise(2, 3, 4), "k": noise(2, 5, 4)}
    for name, expected in run(model, feeds).items():
        np.testing.assert_array_equal(run(made, feeds)[name], expected)


def test_what_was_computed_from_shapes_is_known_then():
    model, count = shape_constants(fix_dims(build(TEXT), {"N": 2, "S": 3})[0])
    assert count == 1
    assert operators(model) == ["Relu", "Reshape", "Concat"]


def test_a_name_is_fixed_in_subgraphs_too():
    made, _ = fix_dims(build(INSIDE), {"N": 2})
    (node,) = made.ir.graph
    branches = [attribute.as_graph() for attribute in node.attributes.values()]
    assert [list(branch.outputs[0].shape) for branch in branches] == [[2, 3], [2, 3]]
    run(made, {"x": noise(2, 3), "b": np.array(True)})


def test_a_name_with_a_colon_in_it():
    proto = build("(float[N,3] x) => (float[N,3] y) { y = Relu(x) }").to_proto()
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "serving:0"
    model = type(build(INSIDE)).from_proto(proto)
    assert fix_dims(model, {"serving:0:0": 4})[0].inputs[0].shape == (4, 3)


@pytest.mark.parametrize("sizes", [{}, {"x:2": 4}])
def test_a_model_of_these_sizes_is_given_back(sizes):
    model = build(TEXT)
    assert fix_dims(model, sizes) == (model, 0)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"M": 2}, r"no dimension M; free ones of the inputs: N \(x:0\), S \(x:1\), N \(k:0\), \? \(k:1\)$"),
        ({"x:3": 2}, "no dimension x:3"),
        ({"x:-1": 2}, "no dimension x:-1"),
        ({"y:1": 2}, "no dimension y:1"),
        ({"N": 0}, "1 or more, got 0"),
        ({"x:2": 5}, "x:2 is 4, got 5"),
        ({"N": 2, "k:0": 3}, "is 2, got 3"),
    ],
)
def test_what_does_not_fit_is_said(sizes, words):
    with pytest.raises(ModelError, match=words):
        fix_dims(build(TEXT), sizes)


def test_a_model_of_fixed_shapes_says_so():
    with pytest.raises(ModelError, match="free ones of the inputs: none"):
        fix_dims(build("(float[2,3] x) => (float[2,3] y) { y = Relu(x) }"), {"N": 1})
