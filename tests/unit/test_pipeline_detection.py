"""Detection: every format against its definition in numpy, suppression against OpenCV's, boxes brought back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import noise
from outputs import apply, graph_of, letterbox, part, restored, spec_of, stretch, suppressed

from edgeonnx.errors import InputError, PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._manifest import Result
from edgeonnx.runtime._result import read_result

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "detection.npz")
SQUARE = stretch(64, 64, 64, 64)


def detection(**fields):
    return part(type="detection", **fields)


def random_boxes(number, seed=0, limit=64):
    """Corners, float32."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, limit * 0.7, (number, 2))
    return np.concatenate([corner, corner + rng.uniform(limit * 0.05, limit * 0.3, (number, 2))], axis=1).astype(
        np.float32
    )


def centred(boxes):
    """Corners as centre and size."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def cornered(rows):
    """The corners of what begins with centre and size, as float32 has them."""
    half = rows[:, 2:4] * np.float32(0.5)
    low = rows[:, :2] - half
    return np.concatenate([low, low + rows[:, 2:4]], axis=1)


def expected(boxes, scores, geometry, choice=None):
    """The results of boxes (corners), and scores of shape (boxes, classes), as the definition has them.

    Args:
        boxes, scores: above.
        geometry: see `Prepared.notes`.
        choice: fields of the spec that are not as they are by default.
    """
    fields = detection(format="yolov8", **(choice or {}))
    above = scores > np.float32(fields.score_threshold)
    if fields.multi_label:
        box, classes = np.nonzero(above)
    else:
        box = np.flatnonzero(above.any(1))
        classes = scores.argmax(1)[box]
    groups = np.zeros_like(classes) if fields.class_agnostic else classes
    kept = suppressed(boxes[box], scores[box, classes], groups, fields.iou_threshold)[: fields.max_detections]
    return restored(boxes[box][kept], geometry), scores[box, classes][kept], classes[kept]


def assert_same(results, reference, tolerance=1e-3):
    boxes, scores, classes = reference
    np.testing.assert_array_equal(results["classes"], classes)
    np.testing.assert_allclose(results["scores"], scores, rtol=1e-6)
    np.testing.assert_allclose(results["boxes"], boxes, atol=tolerance)
    assert results["boxes"].shape == (len(boxes), 4)


@st.composite
def heads(draw):
    """Boxes with scores (some equal), and how to choose among them."""
    number, classes = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scores = rng.random((number, classes)).astype(np.float32)
    if draw(st.booleans()):
        scores = np.round(scores, 1)  # many are equal, as in INT8
    multi = draw(st.booleans())
    choice = {
        "score_threshold": draw(st.sampled_from([0, 0.25, 0.5, 0.99, 1])),
        "iou_threshold": draw(st.sampled_from([0, 0.2, 0.45, 0.7, 1])),
        "max_detections": draw(st.integers(1, 20)),
        "multi_label": multi,
        "class_agnostic": not multi and draw(st.booleans()),
    }
    return random_boxes(number, draw(st.integers(0, 99))), scores, choice


@settings(max_examples=80, deadline=None)
@given(case=heads(), geometry=st.sampled_from([SQUARE, letterbox(100, 40, 64, 64), stretch(31, 90, 64, 64)]))
def test_yolov8_is_threshold_sort_suppress_and_bring_back(case, geometry):
    boxes, scores, choice = case
    output = np.concatenate([centred(boxes), scores], axis=1)[None]
    results = apply(detection(format="yolov8", transposed=True, **choice), {"y": output}, geometry)
    assert_same(results, expected(cornered(output[0]), scores, geometry, choice))


def test_yolov8_as_it_is_exported_and_transposed_are_the_same():
    output = np.concatenate([centred(random_boxes(30)), noise(30, 3, scale=0.3)], axis=1).T[None].astype(np.float32)
    plain = apply(detection(format="yolov8"), {"y": output}, SQUARE)
    turned = apply(detection(format="yolov8", transposed=True), {"y": output.transpose(0, 2, 1).copy()}, SQUARE)
    assert len(plain["scores"]) > 3
    for name, array in plain.items():
        np.testing.assert_array_equal(array, turned[name])


@settings(max_examples=40, deadline=None)
@given(case=heads())
def test_yolov5_multiplies_objectness_and_class(case):
    boxes, scores, choice = case
    objectness = np.random.default_rng(1).random((len(boxes), 1)).astype(np.float32)
    output = np.concatenate([centred(boxes), objectness, scores], axis=1)[None].astype(np.float32)
    if output.shape[2] > 4 * output.shape[1]:
        return  # is taken for yolov8
    results = apply(detection(format="yolov5", **choice), {"y": output}, SQUARE)
    assert_same(results, expected(cornered(output[0]), scores * objectness, SQUARE, choice))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 96), (96, 64)])
def test_a_yolox_head_that_is_not_decoded(height, width):
    """Centre in cells, size as a logarithm, three strides after each other, rows of cells first."""
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(height // s) for x in range(width // s)]
    rng = np.random.default_rng(0)
    raw = np.concatenate([rng.uniform(0, 1, (len(cells), 2)), rng.normal(0.5, 0.5, (len(cells), 2))], axis=1)
    scores = rng.random((len(cells), 4))
    output = np.concatenate([raw, scores], axis=1)[None].astype(np.float32)
    x, y, stride = np.array(cells, np.float32).T
    centre = (output[0, :, :2] + np.stack([x, y], 1)) * stride[:, None]
    size = np.exp(output[0, :, 2:4]) * stride[:, None]
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    geometry = letterbox(200, 120, width, height)
    results = apply(detection(format="yolov5", strides=[8, 16, 32]), {"y": output}, geometry)
    assert_same(results, expected(corners, output[0, :, 5:] * output[0, :, 4:5], geometry))


def test_rows_are_taken_as_they_are():
    boxes = random_boxes(6)
    rows = np.concatenate([boxes, [[0.3], [0.9], [0.1], [0.5], [0.5], [0.25]], [[1], [0], [2], [3], [1], [0]]], axis=1)
    results = apply(detection(format="rows"), {"y": rows[None].astype(np.float32)}, SQUARE)
    order = [1, 3, 4, 0]
    assert_same(results, (boxes[order], rows[order, 4], rows[order, 5].astype(int)))


def test_rows_in_another_order_of_columns():
    boxes = random_boxes(3)
    rows = np.concatenate([[[0]] * 3, [[2], [1], [3]], [[0.5], [0.7], [0.6]], boxes], axis=1).astype(np.float32)
    output = detection(format="rows", columns=["skip", "class", "score", "box"], background="first")
    results = apply(output, {"y": rows}, SQUARE)
    assert_same(results, (boxes[[1, 2, 0]], rows[[1, 2, 0], 2], [0, 2, 1]))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_suppression_keeps_what_opencv_keeps(threshold):
    boxes, scores, classes = (GOLDEN[name] for name in ("boxes", "scores", "classes"))
    arrays = {"boxes": boxes, "scores": scores, "classes": classes.astype(np.float32)}
    output = detection(format="boxes", classes="classes", score_threshold=0, iou_threshold=threshold)
    results = apply(output, arrays, stretch(400, 400, 400, 400))
    kept = GOLDEN[f"kept_{threshold}"]
    assert 100 < len(kept) < 200
    assert_same(results, (boxes[kept], scores[kept], classes[kept]))


def test_anchors_are_decoded_as_torchvision_does():
    decoded = GOLDEN["decoded"]
    scores = np.eye(50, dtype=np.float32)[None] * np.linspace(1, 0.5, 50, dtype=np.float32)[:, None]
    output = detection(format="ssd", anchors=GOLDEN["anchors"].tolist(), nms=False)
    results = apply(output, {"boxes": GOLDEN["deltas"][None], "scores": scores})
    np.testing.assert_allclose(results["boxes"], decoded, rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(results["classes"], np.arange(50))


def test_anchors_of_tensorflow_with_y_first_and_in_0_to_1():
    """ty, tx, th, tw with scale factors 10, 10, 5, 5, sigmoid, the background first."""
    rng = np.random.default_rng(0)
    anchors = random_boxes(20, limit=1)[:, [1, 0, 3, 2]]
    deltas, logits = rng.normal(0, 1, (1, 20, 4)).astype(np.float32), rng.normal(0, 2, (1, 20, 4)).astype(np.float32)
    y1, x1, y2, x2 = anchors.T.astype(np.float64)
    ty, tx, th, tw = deltas[0].T.astype(np.float64) / [[10], [10], [5], [5]]
    y, x = ty * (y2 - y1) + (y1 + y2) / 2, tx * (x2 - x1) + (x1 + x2) / 2
    h, w = np.exp(th) * (y2 - y1), np.exp(tw) * (x2 - x1)
    geometry = stretch(300, 200, 64, 32)
    corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1) * [64, 32, 64, 32]
    shape = {"box": "yxyx", "normalized": True, "activation": "sigmoid", "background": "first"}
    output = detection(format="ssd", anchors=anchors.tolist(), boxes="b", scores="s", **shape)
    results = apply(output, {"b": deltas, "s": logits}, geometry)
    scores = (1 / (1 + np.exp(-logits[0])))[:, 1:]
    assert_same(results, expected(corners.astype(np.float32), scores, geometry, {"multi_label": True}), tolerance=0.01)


def test_softmax_with_the_background_last():
    """As DETR: centre and size in 0..1, one class for nothing at the end, no suppression."""
    boxes = random_boxes(12, limit=1)
    logits = noise(1, 12, 4, scale=3)
    scores = np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True)
    shape = {"box": "cxcywh", "normalized": True, "activation": "softmax", "background": "last"}
    output = detection(format="boxes", nms=False, multi_label=False, **shape)
    results = apply(output, {"boxes": centred(boxes)[None].astype(np.float32), "scores": logits}, SQUARE)
    best = scores[:, :3].max(1)
    order = [i for i in np.argsort(-best) if best[i] > 0.25]
    assert_same(results, (boxes[order] * 64, best[order], scores[order, :3].argmax(1)))


@pytest.mark.parametrize("form", ["xyxy", "xywh", "cxcywh", "yxyx"])
def test_forms_of_boxes_as_torchvision_converts_them(form):
    corners = GOLDEN["form_xyxy"]
    boxes = corners[:, [1, 0, 3, 2]] if form == "yxyx" else GOLDEN[f"form_{form}"]
    scores = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    results = apply(detection(format="boxes", box=form, nms=False), {"boxes": boxes, "scores": scores})
    np.testing.assert_allclose(results["boxes"], corners, rtol=1e-5)
    np.testing.assert_array_equal(results["classes"], 0)


def test_classes_counted_from_1_and_padding():
    boxes = random_boxes(5)
    arrays = {
        "detection_boxes": boxes[None],
        "detection_scores": np.array([[0.9, 0.8, 0.7, 0.6, 0]], np.float32),
        "detection_classes": np.array([[3, 1, 0, 2, 0]], np.float32),
    }
    names = {role: f"detection_{role}" for role in ("boxes", "scores", "classes")}
    results = apply(detection(format="boxes", background="first", nms=False, **names), arrays, SQUARE)
    assert_same(results, (boxes[[0, 1, 3]], [0.9, 0.8, 0.6], [2, 0, 1]))


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    model=st.sampled_from([(640, 640), (320, 640), (300, 300)]),
    flip=st.sampled_from([(1, 1), (-1, 1), (1, -1), (-1, -1)]),
    seed=st.integers(0, 99),
)
def test_a_box_drawn_in_the_picture_comes_back(width, height, model, flip, seed):
    geometry = np.array(letterbox(width, height, *model), np.float64)
    for axis in (0, 1):
        if flip[axis] < 0:  # x becomes the model's width - x
            geometry[axis], geometry[2 + axis] = -geometry[axis], model[axis] - geometry[2 + axis]
    low, high = np.sort(np.random.default_rng(seed).random((2, 20, 2)), axis=0) * [width, height]
    boxes = np.concatenate([low, high], axis=1)
    drawn = boxes * np.tile(geometry[:2], 2) + np.tile(geometry[2:4], 2)
    drawn = np.concatenate([np.minimum(drawn[:, :2], drawn[:, 2:]), np.maximum(drawn[:, :2], drawn[:, 2:])], axis=1)
    arrays = {"boxes": drawn.astype(np.float32), "scores": np.linspace(1, 0.5, 20, dtype=np.float32)}
    results = apply(detection(format="boxes", nms=False), arrays, geometry)
    # float32 holds a pixel of the model's picture to 2e-5; a large picture's pixels are smaller than that one's.
    np.testing.assert_allclose(results["boxes"], boxes, atol=max(1e-3, 1e-4 / abs(geometry[0])))


def test_boxes_are_cut_off_at_the_pictures_edges():
    arrays = {"boxes": np.array([[-5, -5, 70, 30], [60, 60, 90, 90]], np.float32), "scores": np.float32([0.9, 0.8])}
    results = apply(detection(format="boxes"), arrays, letterbox(128, 64, 64, 64))
    np.testing.assert_array_equal(results["boxes"], [[0, 0, 128, 28], [120, 64, 128, 64]])


def test_without_a_picture_boxes_stay_in_the_models():
    arrays = {"boxes": np.array([[-5, -5, 70, 30]], np.float32), "scores": np.float32([0.9])}
    np.testing.assert_array_equal(apply(detection(format="boxes"), arrays)["boxes"], arrays["boxes"])


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("nms", [False, True])
def test_nothing_found_is_empty_and_no_error(opset, multi, nms):
    choice = {"multi_label": multi, "nms": nms, "score_threshold": 0.5}
    heads = {
        "yolov5": {"y": np.zeros((1, 20, 8), np.float32)},
        "yolov8": {"y": np.zeros((1, 8, 20), np.float32)},
        "rows": {"y": np.zeros((1, 20, 6), np.float32)},
        "boxes": {"boxes": np.zeros((1, 20, 4), np.float32), "scores": np.zeros((1, 20, 3), np.float32)},
    }
    for name, arrays in heads.items():
        results = apply(detection(format=name, **choice), arrays, SQUARE, opset)
        shapes = {key: array.shape for key, array in results.items()}
        assert shapes == {"boxes": (0, 4), "scores": (0,), "classes": (0,)}


def test_a_model_that_found_nothing_itself():
    arrays = {"b": np.zeros((0, 4), np.float32), "s": np.zeros(0, np.float32), "c": np.zeros(0, np.int64)}
    output = detection(format="boxes", boxes="b", scores="s", classes="c")
    assert apply(output, arrays, SQUARE, free=(0,))["boxes"].shape == (0, 4)
    rows = {"y": np.zeros((1, 0, 6), np.float32)}
    assert apply(detection(format="rows"), rows, SQUARE, free=(1,))["boxes"].shape == (0, 4)


@pytest.mark.parametrize("name", ["yolov5", "yolov8", "rows", "boxes"])
@pytest.mark.parametrize("multi", [False, True])
def test_nan_does_not_look_like_an_empty_picture(name, multi):
    shape = {"yolov5": (1, 20, 8), "yolov8": (1, 8, 20), "rows": (1, 20, 6), "boxes": (1, 20, 3)}[name]
    arrays = {"scores" if name == "boxes" else "y": np.full(shape, np.nan, np.float32)}
    if name == "boxes":
        arrays["boxes"] = random_boxes(20)[None]
    results = apply(detection(format=name, multi_label=multi), arrays, SQUARE)
    assert np.isnan(results["scores"]).all()
    assert results["scores"].size
    with pytest.raises(InputError, match="is NaN; check the input for NaN and infinity"):
        read_result(results, Result("detection", {role: role for role in results}), None)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(dtype):
    boxes = np.round(random_boxes(10))
    output = np.concatenate([centred(boxes), np.eye(10, 3) * 0.5 + 0.25], axis=1)[None].astype(dtype)
    results = apply(detection(format="yolov8", transposed=True, nms=False), {"y": output}, SQUARE)
    np.testing.assert_allclose(results["boxes"], boxes[:3], atol=0.5)
    np.testing.assert_array_equal(results["scores"], [0.75] * 3)


def test_free_sizes():
    output = np.concatenate([centred(random_boxes(30)), noise(30, 3, scale=0.3)], axis=1)[None].astype(np.float32)
    fixed = apply(detection(format="yolov8", transposed=True), {"y": output}, SQUARE)
    free = apply(detection(format="yolov8", transposed=True), {"y": output}, SQUARE, free=(0, 1, 2))
    for name, array in fixed.items():
        np.testing.assert_array_equal(array, free[name])


@pytest.mark.parametrize("opset", [13, 16, 18, 21])
def test_models_of_any_operator_set(opset):
    output = np.concatenate([centred(random_boxes(30)), noise(30, 3, scale=0.3)], axis=1).T[None].astype(np.float32)
    model = graph_of(detection(format="yolov8"), [spec_of("y", output)], True, opset)
    assert model.opset == opset
    assert {node.domain for node in model.ir.graph} == {""}
    results, first = (apply(detection(format="yolov8"), {"y": output}, SQUARE, which) for which in (opset, 13))
    for name, array in results.items():
        np.testing.assert_array_equal(array, first[name])


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        (
            {"format": "yolov8"},
            (1, 25200, 85),
            r"output.format yolov8: expected \(1, 4 \+ classes, boxes\), got out: float32\[1,25200,85\]; "
            "that looks like yolov5 or yolov8 with transposed = true",
        ),
        ({"format": "yolov5"}, (1, 84, 8400), r"expected \(1, boxes, 5 \+ classes\), .*; that looks like yolov8$"),
        ({"format": "yolov8"}, (1, 300, 6), "that looks like rows"),
        ({"format": "yolov8", "transposed": True}, (1, 8400, 4), r"expected \(1, boxes, 4 \+ classes\)"),
        ({"format": "yolov8"}, (4, 84, 8400), r"expected \(1, 4 \+ classes, boxes\), got out: float32\[4,84,8400\]"),
        ({"format": "yolov5"}, (25200, 85), "expected"),
        ({"format": "rows"}, (1, 300, 7), r"expected \(1, boxes, 6\) or \(boxes, 6\), got out: float32\[1,300,7\]"),
        ({"format": "yolov5", "strides": [8]}, (1, 64, 7), "output.strides: expected an input of type image"),
        ({"format": "yolov5", "of": "photo"}, (1, 64, 7), "output.of: expected an input of type image"),
        ({"format": "yolov5", "output": "y"}, (1, 64, 7), "output.output: expected one of out, got 'y'"),
        ({"format": "boxes"}, (1, 64, 7), "output.boxes: expected one of out, got 'boxes'"),
    ],
)
def test_an_output_that_does_not_fit(fields, shape, message):
    output = detection(**fields)
    with pytest.raises(PipelineError, match=message):
        graph_of(output, [TensorSpec("out", "float32", shape)])


@pytest.mark.parametrize(
    ("fields", "boxes", "scores", "message"),
    [
        ({}, (1, 9, 5), (1, 9), r"output.boxes: expected \(1, boxes, 4\) or \(boxes, 4\), got boxes: float32\[1,9,5\]"),
        ({}, (1, 9, 4), (1, 8, 3), r"output.scores: expected \(1, boxes, classes\) or \(1, boxes\) to go with"),
        ({}, (9, 4), (1, 9, 3), r"output.scores: expected \(boxes, classes\) or \(boxes,\) to go with boxes"),
        ({}, (1, 9, 4), None, "expected known shapes, got boxes"),
        ({"activation": "softmax"}, (9, 4), (9,), "output.activation softmax: expected scores"),
        ({"background": "last"}, (9, 4), (9,), "output.background last: expected scores"),
        ({"classes": "boxes"}, (9, 4), (9,), "output: expected an output each for boxes, scores, classes"),
        ({"format": "ssd", "anchors": [[0, 0, 1, 1]] * 8}, (1, 9, 4), (1, 9, 3), "output.anchors: expected 9, one for"),
        ({"format": "ssd", "anchors": [[0, 0, 1, 1]]}, (1, 1, 4), (1, 1), "output.scores: expected .* as format ssd"),
    ],
)
def test_boxes_and_scores_that_do_not_go_together(fields, boxes, scores, message):
    output = detection(**{"format": "boxes", **fields})
    with pytest.raises(PipelineError, match=message):
        graph_of(output, [TensorSpec("boxes", "float32", boxes), TensorSpec("scores", "float32", scores)])


def test_classes_beside_a_score_for_each():
    specs = [TensorSpec(name, "float32", shape) for name, shape in zip("bsc", [(9, 4), (9, 3), (9,)], strict=True)]
    with pytest.raises(PipelineError, match=r"output.classes: expected none where each class has a score of its own"):
        graph_of(detection(format="boxes", boxes="b", scores="s", classes="c"), specs)
    with pytest.raises(PipelineError, match=r"output.boxes: expected float16, float32, float64, got b: int64\[9,4\]"):
        graph_of(detection(format="boxes", boxes="b", scores="s"), [TensorSpec("b", "int64", (9, 4)), specs[1]])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "yolov9"}, "output.format: expected 'yolov5', 'yolov8', .* got 'yolov9'"),
        ({}, "output.format is missing"),
        ({"format": "yolov8", "strides": [8]}, "strides goes with format yolov5, got format yolov8"),
        ({"format": "yolov5", "normalized": True}, "normalized goes with format ssd or boxes or rows"),
        ({"format": "ssd"}, "anchors is missing, which format ssd needs"),
        ({"format": "rows", "background": "last"}, "background: expected none or first with format rows"),
        ({"format": "rows", "columns": ["box", "class"]}, "columns: expected box and score once"),
        ({"format": "yolov8", "multi_label": True, "class_agnostic": True}, "multi_label: expected false"),
        ({"format": "yolov8", "iou_threshold": 1.5}, "output.iou_threshold"),
        ({"format": "ssd", "anchors": "none.npy"}, "none.npy can't be read"),
    ],
)
def test_a_spec_that_does_not_make_sense(fields, message):
    with pytest.raises(PipelineError, match=message):
        PipelineSpec.parse({"output": {"type": "detection", **fields}}, "p.toml")


@pytest.mark.parametrize("name", ["anchors.npy", "anchors.csv"])
def test_anchors_from_a_file_beside_the_spec(tmp_path, name):
    anchors = random_boxes(7)
    np.save(tmp_path / name, anchors) if name.endswith("npy") else np.savetxt(tmp_path / name, anchors, delimiter=",")
    value = {"output": {"type": "detection", "format": "ssd", "anchors": name}}
    spec = PipelineSpec.parse(value, "p.toml", tmp_path)
    np.testing.assert_array_equal(np.array(spec.output.anchors, np.float32), anchors)
    # The text that a bundle carries has the numbers: it means the same where there is no file.
    assert PipelineSpec.model_validate_json(spec.text).fingerprint == spec.fingerprint


def test_anchors_of_the_wrong_shape(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 5)))
    with pytest.raises(PipelineError, match=r"expected numbers of shape \(boxes, 4\), got float64 \(3, 5\)"):
        value = {"output": {"type": "detection", "format": "ssd", "anchors": "a.npy"}}
        PipelineSpec.parse(value, "p.toml", tmp_path)


@pytest.mark.parametrize(
    ("fields", "shapes", "classes"),
    [
        ({"format": "yolov5"}, {"y": (1, 25200, 85)}, 80),
        ({"format": "yolov8"}, {"y": (1, 84, 8400)}, 80),
        ({"format": "yolov8", "transposed": True}, {"y": (1, 8400, 84)}, 80),
        ({"format": "yolov8"}, {"y": (1, "channels", 8400)}, None),
        ({"format": "rows"}, {"y": (1, 300, 6)}, None),
        ({"format": "boxes"}, {"boxes": (1, 9, 4), "scores": (1, 9, 3)}, 3),
        ({"format": "boxes", "background": "last"}, {"boxes": (1, 9, 4), "scores": (1, 9, 3)}, 2),
        ({"format": "boxes"}, {"boxes": (9, 4), "scores": (9,)}, 1),
        ({"format": "boxes", "classes": "c"}, {"boxes": (9, 4), "scores": (9,), "c": (9,)}, None),
    ],
)
def test_how_many_classes_there_are(fields, shapes, classes):
    outputs = [TensorSpec(name, "float32", shape) for name, shape in shapes.items()]
    assert detection(**fields).class_count(outputs) == classes
