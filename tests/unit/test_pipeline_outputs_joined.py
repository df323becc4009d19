"""Joined to a model, an output gives bit for bit what preprocessing, the model and postprocessing give apart."""

import numpy as np
import pytest
from models import build, run, weight
from pictures import picture

from edgeonnx.optimize.opset import raise_opset
from edgeonnx.pipeline.graph import join, needed_opset, postprocessing, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

BOX = {"height": 16, "width": 24, "mode": "letterbox"}
FEATURES = "f = Conv<strides = [4,4], pads = [1,1,1,1]>(image, features)"


def network(outputs, nodes, opset, **weights):
    """A model of a picture of 16 x 24, with what `nodes` make of features of shape (1, 12, 4, 6)."""
    text = f"(float[1,3,16,24] image) => ({outputs}) {{ {FEATURES} {nodes} }}"
    return build(text, opset=opset, features=weight(12, 3, 5, 5) / 100, **weights)


def shape(*sizes):
    return np.array(sizes, np.int64)


MODELS = {
    "classification": (
        {"type": "classification", "activation": "softmax"},
        ("float[1,12,1,1] y", "y = GlobalAveragePool(f)"),
        {},
    ),
    "yolov8": (
        {"type": "detection", "format": "yolov8", "score_threshold": 0.5},
        ("float[1,12,24] y", "s = Sigmoid(f) g = Mul(s, by) y = Reshape(g, shape)"),
        {"shape": shape(1, 12, 24), "by": np.float32([[[[24]], [[16]], [[9]], [[9]], *[[[1]]] * 8]])},
    ),
    "yolox": (
        {"type": "detection", "format": "yolov5", "strides": [4], "score_threshold": 0.3},
        ("float[1,24,12] y", "s = Sigmoid(f) g = Reshape(s, shape) y = Transpose<perm = [0,2,1]>(g)"),
        {"shape": shape(1, 12, 24)},
    ),
    "ssd": (
        {
            "type": "detection",
            "format": "ssd",
            "activation": "softmax",
            "background": "first",
            "boxes": "b",
            "scores": "s",
            "anchors": [[4 * x, 4 * y, 4 * x + 9, 4 * y + 7] for y in range(4) for x in range(6)],
        },
        (
            "float[1,24,4] b, float[1,24,8] s",
            "r = Reshape(f, shape) t = Transpose<perm = [0,2,1]>(r) b, s = Split<axis = 2>(t, parts)",
        ),
        {"shape": shape(1, 12, 24), "parts": shape(4, 8)},
    ),
    "segmentation by labels": ({"type": "segmentation"}, ("float[1,12,4,6] y", "y = Identity(f)"), {}),
    "segmentation by scores": (
        {"type": "segmentation", "resize": "scores"},
        ("float[1,12,4,6] y", "y = Identity(f)"),
        {},
    ),
    "tensor": (
        {"type": "tensor", "name": "best", "steps": ["sigmoid", {"transpose": [0, 2, 3, 1]}, {"top_k": 3}]},
        ("float[1,12,4,6] y", "y = Identity(f)"),
        {},
    ),
}


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("kind", sorted(MODELS))
@pytest.mark.parametrize("size", [(40, 30), (9, 55)])
def test_joined_and_apart_give_the_same(kind, opset, size):
    output, (outputs, nodes), weights = MODELS[kind]
    core = network(outputs, nodes, opset, **weights)
    spec = PipelineSpec.model_validate({"input": {"image": {"resize": BOX}}, "output": output})
    model = raise_opset(core, needed_opset(core, spec))
    feeds = {"image": picture(*size, 3)}
    before = run(preprocessing(model, spec), feeds)
    own = run(model, {"image": before["image.prepared"]})
    alone = postprocessing(model, spec)
    given = {**own, **{f"{name}.raw": array for name, array in own.items()}, **before}
    apart = run(alone, {tensor.name: given[tensor.name] for tensor in alone.inputs})
    joined = join(model, spec)
    together = run(joined, feeds)
    assert list(together) == [tensor.name for tensor in alone.outputs] == list(apart)
    for name, array in together.items():
        assert array.size
        np.testing.assert_array_equal(array, apart[name])
    if output["type"] == "segmentation":
        assert together["mask"].shape == size
    if output["type"] == "detection":
        assert (together["boxes"] <= [size[1], size[0]] * 2).all()
        assert len(np.unique(together["boxes"], axis=0)) > 1


def test_a_letterboxed_picture_gives_the_mask_that_was_drawn():
    """A model that hands its first channel on: the mask is the picture's own, wherever the letterbox put it."""
    model = build(
        "(float[1,3,16,24] image) => (float[1,1,16,24] y) { y = Slice(image, start, end, axis) }", opset=18, **_FIRST
    )
    output = {"type": "segmentation", "activation": "none", "threshold": 100}
    spec = PipelineSpec.model_validate({"input": {"image": {"resize": BOX}}, "output": output})
    pixels = np.zeros((32, 24, 3), np.uint8)
    pixels[8:20, 4:16] = 255
    mask = run(join(model, spec), {"image": pixels})["mask"]
    np.testing.assert_array_equal(mask, pixels[:, :, 0] > 100)


_FIRST = {"start": np.array([0], np.int64), "end": np.array([1], np.int64), "axis": np.array([1], np.int64)}
