"""Segmentation: the best class of a cell, brought back as Pillow and torch would resize it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import noise
from outputs import apply, graph_of, letterbox, part, stretch

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.spec import PipelineSpec

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "detection.npz")


def segmentation(**fields):
    return part(type="segmentation", **fields)


def places(geometry, axis, cells):
    """Where the centres of the original's pixels lie on the map, and whether they do."""
    scale, offset, original, model = (geometry[i + axis] for i in (0, 2, 4, 6))
    found = ((np.arange(original) + 0.5) * scale + offset) * cells / model
    return found, (found >= 0) & (found < cells)


def nearest(labels, geometry, outside=0):
    """The class of the cell that a pixel's centre lies in."""
    (y, y_in), (x, x_in) = (places(geometry, axis, labels.shape[1 - axis]) for axis in (1, 0))
    rows, columns = (np.clip(np.floor(p), 0, n - 1).astype(int) for p, n in zip((y, x), labels.shape, strict=True))
    return np.where(y_in[:, None] & x_in[None], labels[rows][:, columns], outside)


def bilinear(scores, geometry):
    """Scores, shape (classes, height, width), between the centres of cells."""
    for axis, of in ((1, 1), (2, 0)):
        cells = scores.shape[axis]
        centre = np.clip(places(geometry, of, cells)[0] - 0.5, 0, cells - 1)
        before = np.floor(centre).astype(int)
        share = (centre - before).reshape([-1 if i == axis else 1 for i in range(3)])
        after = np.minimum(before + 1, cells - 1)
        scores = np.take(scores, before, axis) * (1 - share) + np.take(scores, after, axis) * share
    return scores


@st.composite
def geometries(draw):
    """Letterbox, stretch, or a crop that leaves something out; perhaps flipped."""
    width, height = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    model = draw(st.sampled_from([(32, 32), (24, 40)]))
    kind = draw(st.sampled_from(["letterbox", "stretch", "crop"]))
    geometry = {"letterbox": letterbox, "stretch": stretch, "crop": stretch}[kind](width, height, *model)
    if kind == "crop":
        geometry[:4] = [geometry[0] * 1.3, geometry[1] * 1.7, -0.11 * model[0], -0.31 * model[1]]
    if draw(st.booleans()):
        geometry[0], geometry[2] = -geometry[0], model[0] - geometry[2]
    return [float(np.float32(value)) for value in geometry]


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), outside=st.sampled_from([0, 7]), seed=st.integers(0, 9))
def test_labels_are_brought_back_from_the_nearest_cell(geometry, outside, seed):
    labels = np.random.default_rng(seed).integers(0, 5, (8, 10)).astype(np.uint8)
    results = apply(segmentation(layout="map", outside=outside), {"y": labels[None]}, geometry)
    found = [places(geometry, axis, labels.shape[1 - axis])[0] for axis in (1, 0)]
    # A centre that lies on the border of two cells may go to either, in float32.
    clear = [np.abs(place - np.round(place)) > 1e-4 for place in found]
    same = results["mask"] == nearest(labels, geometry, outside)
    assert results["mask"].shape == (geometry[5], geometry[4])
    assert same[np.ix_(*clear)].all()


@settings(max_examples=40, deadline=None)
@given(geometry=geometries(), seed=st.integers(0, 9))
def test_scores_are_brought_back_before_the_best_is_taken(geometry, seed):
    scores = noise(1, 4, 8, 10, seed=seed)
    mask = apply(segmentation(resize="scores", outside=9), {"y": scores}, geometry)["mask"]
    large = bilinear(scores[0].astype(np.float64), geometry)
    clear = np.diff(np.sort(large, axis=0)[-2:], axis=0)[0] > 1e-3
    inside = [place[1] for place in (places(geometry, axis, scores.shape[3 - axis]) for axis in (1, 0))]
    seen = inside[0][:, None] & inside[1][None]
    assert (mask[~seen & (mask != 9)].size) <= 2 * sum(mask.shape)  # centres on the very edge
    np.testing.assert_array_equal(mask[clear & seen & (mask != 9)], large.argmax(0)[clear & seen & (mask != 9)])


@pytest.mark.parametrize("size", [(36, 48), (31, 17), (5, 7), (9, 12)])
def test_scores_are_resized_as_torch_does(size):
    height, width = size
    geometry = stretch(width, height, 12, 9)
    mask = apply(segmentation(resize="scores"), {"y": GOLDEN["seg_scores"]}, geometry)["mask"]
    clear = GOLDEN[f"seg_clear_{height}x{width}"]
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(mask[clear], GOLDEN[f"seg_{height}x{width}"][clear])


@pytest.mark.parametrize("size", [(36, 48), (31, 17), (5, 7), (9, 12)])
def test_labels_are_resized_as_pillow_does(size):
    image = pytest.importorskip("PIL.Image")
    labels = np.random.default_rng(0).integers(0, 9, (9, 12)).astype(np.uint8)
    height, width = size
    mask = apply(segmentation(layout="map"), {"y": labels}, stretch(width, height, 480, 360))["mask"]
    pillow = np.asarray(image.fromarray(labels).resize((width, height), image.Resampling.NEAREST))
    np.testing.assert_array_equal(mask, pillow)


@pytest.mark.parametrize("resize", ["labels", "scores"])
def test_what_a_crop_left_out_is_outside(resize):
    geometry = [1, 1, -2, -1, 10, 6, 6, 4]  # the middle 6x4 of a picture of 10x6
    scores = np.eye(3, dtype=np.float32)[np.arange(24).reshape(4, 6) % 3].transpose(2, 0, 1)[None]
    mask = apply(segmentation(resize=resize, outside=5), {"y": scores}, geometry)["mask"]
    expected = np.full((6, 10), 5)
    expected[1:5, 2:8] = scores[0].argmax(0)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("resize", ["labels", "scores"])
@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_layouts_are_the_same(resize, opset):
    scores, geometry = noise(1, 4, 8, 10), letterbox(33, 20, 40, 32)
    first = apply(segmentation(resize=resize), {"y": scores}, geometry, opset)
    turned = scores.transpose(0, 2, 3, 1).copy()
    last = apply(segmentation(resize=resize, layout="NHWC"), {"y": turned}, geometry, opset)
    np.testing.assert_array_equal(first["mask"], last["mask"])
    free = apply(segmentation(resize=resize), {"y": scores}, geometry, opset, free=(0, 2, 3))
    np.testing.assert_array_equal(first["mask"], free["mask"])
    assert first["mask"].dtype == np.uint8


@pytest.mark.parametrize(("activation", "threshold"), [("sigmoid", 0.5), ("sigmoid", 0.8), ("none", 0.3)])
@pytest.mark.parametrize("resize", ["labels", "scores"])
def test_one_score_is_foreground_above_the_threshold(activation, threshold, resize):
    scores = noise(1, 1, 6, 8)
    geometry = stretch(8, 6, 8, 6)
    mask = apply(segmentation(activation=activation, threshold=threshold, resize=resize), {"y": scores}, geometry)
    values = scores[0, 0] if activation == "none" else 1 / (1 + np.exp(-scores[0, 0]))
    np.testing.assert_array_equal(mask["mask"], values > threshold)


def test_without_a_picture_the_mask_is_as_large_as_the_output():
    scores = noise(1, 3, 6, 8)
    np.testing.assert_array_equal(apply(segmentation(), {"y": scores})["mask"], scores[0].argmax(0))


@pytest.mark.parametrize(
    ("fields", "array", "dtype"),
    [
        ({}, np.zeros((1, 256, 2, 2), np.float32), "uint8"),
        ({}, np.zeros((1, 257, 2, 2), np.float32), "int32"),
        ({"outside": 256}, np.zeros((1, 3, 2, 2), np.float32), "int32"),
        ({}, np.zeros((1, 3, 2, 2), np.float16), "uint8"),
        ({"layout": "map"}, np.zeros((1, 2, 2), np.int64), "int32"),
        ({"layout": "map"}, np.zeros((2, 2), np.uint8), "uint8"),
        ({"layout": "map"}, np.zeros((1, 1, 2, 2), np.bool_), "uint8"),
    ],
)
def test_classes_are_bytes_where_they_fit(fields, array, dtype):
    assert apply(segmentation(**fields), {"y": array}, stretch(4, 4, 2, 2))["mask"].dtype == dtype


def test_more_than_256_classes():
    scores = np.zeros((1, 300, 1, 2), np.float32)
    scores[0, 299, 0, 1] = 1
    for resize in ("labels", "scores"):
        mask = apply(segmentation(resize=resize), {"y": scores}, stretch(2, 1, 2, 1))["mask"]
        np.testing.assert_array_equal(mask, [[0, 299]])


@pytest.mark.parametrize(
    ("fields", "dtype", "shape", "message"),
    [
        ({}, "float32", (1, 4, 6), r"output.layout NCHW: expected \(1, classes, height, width\), got y: float32"),
        ({"layout": "NHWC"}, "float32", (2, 4, 6, 3), r"expected \(1, height, width, classes\), got y: float32"),
        ({}, "int64", (1, 4, 6, 6), "expected float16, float32, float64, got .*; classes have layout map"),
        ({"layout": "map"}, "float32", (1, 4, 6), "expected whole numbers, got .*; scores have layout NCHW or NHWC"),
        ({"layout": "map"}, "int64", (3, 4, 6), r"expected \(1, height, width\), got y: int64\[3,4,6\]"),
        ({"layout": "map"}, "int64", (4,), r"expected \(1, height, width\)"),
        ({}, "float32", None, r"expected \(1, classes, height, width\), got y: float32\[\?\]"),
        ({"of": "photo"}, "float32", (1, 3, 4, 6), "output.of: expected an input of type image, got 'photo'"),
    ],
)
def test_an_output_that_does_not_fit(fields, dtype, shape, message):
    with pytest.raises(PipelineError, match=message):
        graph_of(segmentation(**fields), [TensorSpec("y", dtype, shape)])


def test_a_map_has_no_scores():
    with pytest.raises(PipelineError, match="resize: expected labels with layout map, which has no scores"):
        PipelineSpec.parse({"output": {"type": "segmentation", "layout": "map", "resize": "scores"}}, "p.toml")


@pytest.mark.parametrize(
    ("fields", "shape", "classes"),
    [
        ({}, (1, 21, 4, 4), 21),
        ({"layout": "NHWC"}, (1, 4, 4, 19), 19),
        ({}, (1, 1, 4, 4), 2),
        ({"layout": "map"}, (1, 4, 4), None),
    ],
)
def test_how_many_classes_there_are(fields, shape, classes):
    assert segmentation(**fields).class_count([TensorSpec("y", "float32", shape)]) == classes
