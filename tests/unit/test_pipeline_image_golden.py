"""Pictures as Pillow, OpenCV and torchvision make them, at most one grey level off: see golden/make_images.py."""

import json
from pathlib import Path

import numpy as np
import pytest
from models import build, run

from edgeonnx.pipeline.graph import preprocessing
from edgeonnx.pipeline.spec import PipelineSpec

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "images.npz")
CASES = json.loads(str(GOLDEN["cases"]))
MODEL = build("(float[1,3,H,W] x) => (float[1,3,H,W] y) { y = Identity(x) }", opset=18)
# Largest mean difference. OpenCV weighs with 8 bits where it interpolates linearly, torch with 15 or fewer.
MEANS = {"nearest": 0, "nearest_exact": 0, "bicubic": 0.25, "bilinear": 0.3, "area": 0.12}


def name(case):
    return f"{case['reference']} {case['picture']} {json.dumps(case['spec'])}"


@pytest.mark.parametrize("index", range(len(CASES)), ids=[name(case) for case in CASES])
def test_as_the_reference(index):
    case = CASES[index]
    spec = PipelineSpec.parse({"input": {"x": {"type": "image", **case["spec"]}}}, "case")
    got = run(preprocessing(MODEL, spec), {"x": GOLDEN[f"picture_{case['picture']}"]})["x.prepared"]
    wanted = GOLDEN[f"expected_{index}"].astype(np.float32)
    assert got[0].transpose(1, 2, 0).shape == wanted.shape
    difference = np.abs(got[0].transpose(1, 2, 0) - wanted)
    assert difference.max() <= 1
    resize = case["spec"].get("resize")
    assert difference.mean() <= (
        MEANS[resize.get("interpolation", "bilinear")] if resize and difference.size > 50 else 1
    )


def test_every_reference_is_there():
    assert {case["reference"] for case in CASES} == {
        *("pillow", "opencv", "torchvision, pictures", "torchvision, tensors", "letterbox")
    }
