"""Tables: numbers scaled, categories coded, in the order and form that the model was trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import build, run

from edgeonnx.errors import PipelineError
from edgeonnx.pipeline.graph import entries, join, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import InputSpec
from edgeonnx.runtime._table import row

AGE = {"name": "age", "mean": 40, "std": 10, "missing": 40}
HEIGHT = {"name": "height", "min": 1, "max": 3}
CITY = {"name": "city", "categories": ["Paris", "Rome"], "encode": "onehot", "unknown": 0}
GRADE = {"name": "grade", "categories": ["a", "b", "c"], "unknown": -1}
COLUMNS = [AGE, CITY, HEIGHT, GRADE]
SIDE_BY_SIDE = "(float[N,5] x) => (float[N,5] y) { y = Neg(x) }"


def spec(columns=COLUMNS, **more):
    return PipelineSpec.parse({"input": {"row": {"type": "table", "columns": columns, **more}}}, "spec")


def fed(model, declared, values):
    """A row by column, as the device's runtime makes arrays of it."""
    taken = [InputSpec(e.spec.name, e.spec.dtype, e.spec.shape, e.media) for e in entries(model, declared)]
    return row(taken, values)


def prepared(columns, values, model):
    declared = spec(columns)
    return run(preprocessing(model, declared), fed(model, declared, values))


def test_side_by_side_in_the_order_declared():
    model, declared = build(SIDE_BY_SIDE), spec()
    joined = join(model, declared)
    assert [str(tensor) for tensor in joined.inputs] == ["row: float32[1,2]", "row.categories: str[1,2]"]
    assert [entry.media.columns for entry in entries(model, declared)] == [("age", "height"), ("city", "grade")]
    feeds = fed(model, declared, {"age": 55, "city": "Rome", "height": 2.5, "grade": "c"})
    before = run(preprocessing(model, declared), feeds)["x.prepared"]
    np.testing.assert_allclose(before, [[1.5, 0, 1, 0.75, 2]], rtol=1e-6)
    np.testing.assert_array_equal(run(joined, feeds)["y"], run(model, {"x": before})["y"])


def test_missing_and_unknown():
    got = prepared(COLUMNS, {"age": None, "city": "Oslo", "height": "", "grade": "z"}, build(SIDE_BY_SIDE))
    np.testing.assert_array_equal(got["x.prepared"], [[0, 0, 0, np.nan, -1]])


def test_an_unknown_word_is_an_error_unless_it_has_a_code():
    columns = [{**GRADE, "unknown": "error"}]
    model = build("(float[N,1] x) => (float[N,1] y) { y = Neg(x) }")
    assert prepared(columns, {"grade": "b"}, model)["x.prepared"] == [[1]]
    with pytest.raises(Exception, match="column grade holds a word that is not among its categories"):
        prepared(columns, {"grade": "z"}, model)


@settings(deadline=None, max_examples=20)
@given(
    st.floats(-1e6, 1e6, width=32), st.floats(0.125, 1e3, width=32),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2),
)  # fmt: skip
def test_scaled_as_in_training(mean, std, values):
    columns = [{"name": "a", "mean": mean, "std": std}, {"name": "b", "min": mean, "max": mean + 4 * std}]
    got = prepared(columns, dict(zip("ab", values, strict=True)), build(SIDE_BY_SIDE.replace("5", "2")))["x.prepared"]
    a, b = values
    expected = [[(a - mean) / std, (b - mean) / (np.float32(mean + 4 * std) - np.float32(mean) or 1)]]
    scale = (abs(mean) + max(map(abs, values))) / std
    np.testing.assert_allclose(got[:, :1], np.array(expected)[:, :1], atol=1e-6 * scale + 1e-6)


def test_an_input_for_each_column():
    model = build(
        """(float[N,1] age, string[N,1] city, int64[N] grade, float[1] other)
            => (float[N,1] a, string[N,1] c, int64[N] g) {
            a = Add(age, other) c = Identity(city) g = Neg(grade)
        }"""
    )
    declared = spec([GRADE, {"name": "city", "encode": "text"}, AGE])
    joined = join(model, declared)
    assert sorted(tensor.name for tensor in joined.inputs) == ["other", "row", "row.categories"]
    feeds = fed(model, declared, {"age": 50, "city": "Rome", "grade": "c"})
    got = run(joined, {**feeds, "other": np.zeros(1, np.float32)})
    assert got["a"].tolist() == [[1]]
    assert got["c"].tolist() == [["Rome"]]
    assert got["g"].tolist() == [-2]


def test_words_alone_are_named_as_the_source():
    model = build("(string[N,2] x) => (string[N,2] y) { y = Identity(x) }")
    declared = spec([{"name": name, "encode": "text"} for name in ("b", "a")])
    assert [str(tensor) for tensor in join(model, declared).inputs] == ["row: str[1,2]"]
    assert run(join(model, declared), fed(model, declared, {"a": 1, "b": "x"}))["y"].tolist() == [["x", "1"]]


@pytest.mark.parametrize("ml", [1, 2, 3, 4])
def test_models_of_any_version_of_the_ml_domain(ml):
    model = build(SIDE_BY_SIDE)
    model.ir.opset_imports["ai.onnx.ml"] = ml
    declared = spec()
    joined = join(model, declared)
    got = run(joined, fed(model, declared, {"age": 40, "city": "Rome", "height": 1, "grade": "b"}))
    np.testing.assert_array_equal(got["y"], [[0, 0, -1, 0, -1]])


@pytest.mark.parametrize("dtype", ["double", "float16", "int64", "int32"])
def test_other_types(dtype):
    model = build(f"({dtype}[1,3] x) => ({dtype}[1,3] y) {{ y = Identity(x) }}")
    columns = [{"name": "n"}, {"name": "m"}, GRADE]
    assert prepared(columns, {"n": 7, "m": -2, "grade": "c"}, model)["x.prepared"].tolist() == [[7, -2, 2]]


BAD = [
    ([{"name": "a", "mean": 1, "categories": ["x"]}], "a: mean is for numbers, this column has categories"),
    ([{"name": "a", "encode": "onehot"}], "a: encode = onehot expects categories"),
    ([{"name": "a", "categories": ["x", "x"]}], "a.categories: expected each once"),
    ([{"name": "a", "min": 1}], "expected mean and std, or min and max, or neither"),
    ([{"name": "a", "std": 1, "min": 1, "max": 2}], "expected mean and std, or min and max, or neither"),
    ([{"name": "a", "min": 2, "max": 1}], "expected min below max, got 2 and 1"),
    ([{"name": "a", "categories": ["x"], "encode": "onehot", "unknown": 5}], "expected error or 0 for onehot, got 5"),
    ([{"name": "a"}, {"name": "a"}], "expected each name once, got a twice"),
]


@pytest.mark.parametrize(("columns", "match"), BAD, ids=range(len(BAD)))
def test_columns_that_can_t_be(columns, match):
    with pytest.raises(PipelineError, match=match):
        spec(columns)


MISFITS = [
    ("(float[N,4] x) => (float[N,4] y) { y = Neg(x) }", COLUMNS, "expected 4 numbers, as x: .* takes, got 5"),
    ("(float[2,5] x) => (float[2,5] y) { y = Neg(x) }", COLUMNS, "rows come one at a time"),
    ("(float[1,5,1] x) => (float[1,5,1] y) { y = Neg(x) }", COLUMNS, r"an input of \[1, columns\]"),
    ("(string[N,1] x) => (string[N,1] y) { y = Identity(x) }", [AGE], "expected encode = text in each"),
    (SIDE_BY_SIDE, [{"name": "a", "encode": "text"}], "got a is text"),
    ("(bool[N,1] x) => (bool[N,1] y) { y = Not(x) }", [AGE], "expected what x: bool.* takes, got numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "columns", "match"), MISFITS, ids=range(len(MISFITS)))
def test_a_model_that_does_not_fit(model, columns, match):
    with pytest.raises(PipelineError, match=match):
        join(build(model), spec(columns))
