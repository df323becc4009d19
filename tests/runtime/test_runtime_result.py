"""Typed results: read from outputs, and told to people and programs."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeonnx.runtime import BundleError, InputError
from edgeonnx.runtime._manifest import ROLES, Result
from edgeonnx.runtime._result import Classification, Detected, Embedding, Guess, Segmentation, Share, read_result
from edgeonnx.runtime._tell import as_json, as_text

LABELS = ("cat", "dog", "fox")


def read(kind, labels=LABELS, top_k=2, threshold=None, **outputs):
    """The result of outputs that are named as the roles they play."""
    result = Result(kind, {role: role for role in ROLES[kind]}, None, top_k, threshold)
    return read_result(outputs, result, labels)


def detected(number=2, **more):
    """Outputs of a detector: boxes on a diagonal, scores that fall, classes from the last down."""
    boxes = np.arange(number * 4, dtype=np.float32).reshape(number, 4)
    scores = np.linspace(0.9, 0.5, number, dtype=np.float32)
    outputs = {"boxes": boxes, "scores": scores, "classes": np.arange(number)[::-1] % 3, **more}
    return read("detection", **outputs)


def test_without_a_result_the_outputs_are_given_as_they_are():
    outputs = {"y": np.zeros(3)}
    assert read_result(outputs, None, None) is outputs


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int8])
def test_classification(dtype):
    scores = np.array([[1, 3, 2]], dtype)
    result = read("classification", scores=scores)
    assert result == Classification("dog", 1, 3.0, (Guess("dog", 1, 3.0), Guess("fox", 2, 2.0)), {"scores": scores})
    assert str(result) == "dog (3.00)"


def test_of_equal_scores_the_lower_index_comes_first():
    result = read("classification", None, 3, scores=np.array([0.5, 0.7, 0.7], np.float32))
    assert [guess.index for guess in result.top] == [1, 2, 0]
    assert str(result.top[0]) == "class 1 0.70"


def test_a_threshold_leaves_classes_out_of_the_top_but_not_the_best():
    scores = np.array([[0.2, 0.6, 0.9]], np.float32)
    assert [guess.label for guess in read("classification", threshold=0.5, top_k=3, scores=scores).top] == [
        "fox",
        "dog",
    ]
    none = read("classification", threshold=0.9, top_k=3, scores=scores.astype(np.float64).round(1))
    assert (none.label, none.top) == ("fox", ())
    assert as_text("a.png", none) == "a.png  nothing above the threshold"


@pytest.mark.parametrize(
    ("scores", "error", "message"),
    [
        (
            np.zeros((2, 3), np.float32),
            InputError,
            r"scores: expected the scores of 1 sample, got shape \(2, 3\); use r",
        ),
        (np.float32(1), InputError, "expected the scores of 1 sample"),
        (np.array([1, np.nan, 0], np.float32), InputError, "scores: a score is NaN; check the input for NaN"),
        (np.zeros((1, 4), np.float32), BundleError, "scores has 4 classes, the labels are 3"),
    ],
)
def test_scores_that_are_no_classification(scores, error, message):
    with pytest.raises(error, match=message):
        read("classification", scores=np.asarray(scores))


def test_detection():
    result = detected()
    first, second = result
    assert (len(result), bool(result), result.objects) == (2, True, (first, second))
    assert result[1] == second == Detected("cat", 0, 0.5, (4.0, 5.0, 6.0, 7.0))
    assert first.label == "dog"
    assert result.boxes.shape == (2, 4)
    assert result.outputs["scores"] is result.scores
    assert str(result) == "2 objects: dog 0.90, cat 0.50"
    assert repr(result) == "<Detection 2 objects: dog 0.90, cat 0.50>"
    assert as_text("a.png", result) == "a.png  2 found\n  dog 0.90 at 0,1 to 2,3\n  cat 0.50 at 4,5 to 6,7"
    assert as_json(result)["objects"][1] == {"label": "cat", "index": 0, "score": 0.5, "box": [4.0, 5.0, 6.0, 7.0]}


def test_nothing_detected():
    result = detected(0)
    assert (len(result), bool(result), list(result), result.boxes.shape) == (0, False, [], (0, 4))
    assert str(result) == "0 objects"
    assert as_text("a.png", result) == "a.png  0 found"
    assert as_json(result) == {"objects": []}


def test_one_object_without_labels():
    assert str(detected(1, labels=None)) == "1 object: class 0 0.90"


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (
            {"boxes": np.zeros((1, 2, 4), np.float32)},
            InputError,
            r"boxes: expected boxes of 1 sample, shape \(objects, 4",
        ),
        (
            {"scores": np.zeros(3, np.float32)},
            InputError,
            r"scores: expected one for each of 2 boxes, got shape \(3,\)",
        ),
        ({"scores": np.array([np.nan, 0], np.float32)}, InputError, "scores: a score is NaN"),
        ({"boxes": np.full((2, 4), np.nan, np.float32)}, InputError, "boxes: a box is NaN"),
        ({"classes": np.array([0, 3])}, BundleError, "class 3 has no label, the labels are 3; package with the right"),
        ({"classes": np.array([0, -1])}, BundleError, "class -1 has no label"),
    ],
)
def test_outputs_that_are_no_detection(outputs, error, message):
    with pytest.raises(error, match=message):
        detected(**outputs)


def test_segmentation():
    mask = np.array([[2, 2, 0], [2, 2, 0]], np.uint8)
    result = read("segmentation", mask=mask)
    assert result.shares() == (Share("fox", 2, 4 / 6), Share("cat", 0, 2 / 6))
    assert str(result) == "fox 66.7%, cat 33.3%"
    assert as_text("a.png", result) == "a.png  fox 66.7%, cat 33.3%"
    assert as_json(result) == {"shape": [2, 3], "shares": [share._asdict() for share in result.shares()]}


@given(height=st.integers(1, 600), classes=st.integers(1, 300), seed=st.integers(0, 9))
def test_shares_of_a_picture_are_those_of_its_pixels(height, classes, seed):
    mask = np.random.default_rng(seed).integers(0, classes, (height, 3)).astype(np.int32)
    shares = Segmentation(mask, None, {}).shares()
    assert {share.index: share.share for share in shares} == {i: (mask == i).mean() for i in np.unique(mask)}
    assert [share.share for share in shares] == sorted((share.share for share in shares), reverse=True)
    assert sum(share.share for share in shares) == pytest.approx(1)


def test_masks_that_are_none():
    with pytest.raises(InputError, match=r"mask: expected the classes of 1 sample, shape \(height, width\), got shape"):
        read("segmentation", mask=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(BundleError, match="class 7 has no label"):
        read("segmentation", mask=np.full((2, 2), 7, np.uint8)).shares()


def test_embedding():
    result = read("embedding", vector=np.array([[3, 4]], np.float32))
    assert result.vector.tolist() == [3, 4]
    assert result.similarity(result) == pytest.approx(1)
    assert result.similarity(np.array([-3, -4])) == pytest.approx(-1)
    assert result.similarity(Embedding(np.array([4, -3]), {})) == pytest.approx(0)
    assert result.similarity(np.array([1, 0])) == pytest.approx(0.6)
    assert as_json(result) == {"vector": [3.0, 4.0]}
    assert as_text("a.txt", result) == "a.txt  vector of 2"


def test_float16_vectors_do_not_overflow():
    vector = np.full((1, 4), 300, np.float16)
    assert read("embedding", vector=vector).similarity(vector[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros(3), r"expected a vector of shape \(2,\), got \(3,\)"),
        (np.zeros(2), "a vector of zeros has no direction"),
    ],
)
def test_vectors_that_can_not_be_compared(other, message):
    with pytest.raises(InputError, match=message):
        Embedding(np.ones(2), {}).similarity(other)


def test_a_batch_of_vectors_is_no_embedding():
    with pytest.raises(InputError, match="vector: expected the vector of 1 sample"):
        read("embedding", vector=np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match="vector: a value is NaN"):
        read("embedding", vector=np.array([[np.nan]], np.float32))


def test_raw_outputs_are_told_as_statistics():
    outputs = {"y": np.array([[1, 3]], np.int8), "s": np.array(["a"], object), "none": np.zeros((0, 2), np.float32)}
    assert as_text("a.npy", outputs).splitlines() == [
        "a.npy",
        "  y  int8 (1, 2)  min 1  max 3  mean 2",
        "  s  str (1,)",
        "  none  float32 (0, 2)",
    ]
    assert as_json(outputs)["outputs"]["y"] == {"dtype": "int8", "shape": [1, 2], "min": 1.0, "max": 3.0, "mean": 2.0}


@pytest.mark.parametrize("make", [detected, lambda: read("classification", scores=np.ones((1, 3), np.float32))])
def test_json_is_made_of_what_json_has(make):
    assert json.loads(json.dumps(as_json(make()))) == as_json(make())
