"""Writes detection.npz: what OpenCV keeps of random boxes, and what torch and torchvision make of deltas and scores.

Needs torch==2.13.0, torchvision==0.28.0 and opencv-python-headless:

    python tests/golden/make_detection.py
"""

import math
from pathlib import Path

import cv2
import numpy as np
import torch

# torchvision's compiled operators do not load into a torch without CUDA; what is used of it here is Python.
_LIBRARY = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    _LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.models.detection._utils import BoxCoder  # noqa: E402
from torchvision.ops import box_convert  # noqa: E402


def suppression(rng, number):
    """Boxes that overlap, of three classes; which of them OpenCV keeps at three thresholds, the best first."""
    corner, size = rng.uniform(0, 200, (number, 2)), rng.uniform(5, 80, (number, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    scores = rng.permutation(np.linspace(0.01, 0.99, number)).astype(np.float32)
    classes = rng.integers(0, 3, number)
    arrays = {"boxes": boxes, "scores": scores, "classes": classes}
    cornered = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    for threshold in (0.3, 0.5, 0.7):
        kept = np.array(cv2.dnn.NMSBoxesBatched(cornered, scores, classes, 0.0, threshold), np.int64)
        arrays[f"kept_{threshold}"] = kept[np.argsort(-scores[kept])]
    return arrays


def anchors(rng, number):
    """Deltas, some so large that they are held back, decoded with the weights that torchvision's SSD has."""
    corner, size = rng.uniform(0, 200, (number, 2)), rng.uniform(5, 80, (number, 2))
    places = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    deltas = rng.normal(0, 6, (number, 4)).astype(np.float32)
    deltas[:4, 2:] = 40
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0), bbox_xform_clip=math.log(1000 / 16))
    decoded = coder.decode_single(torch.from_numpy(deltas), torch.from_numpy(places))
    return {"anchors": places, "deltas": deltas, "decoded": decoded.numpy()}


def segmentation(rng):
    """Scores of four classes, made larger and smaller as torchvision's segmentation models do, then the best."""
    scores = rng.normal(0, 1, (1, 4, 9, 12)).astype(np.float32)
    arrays = {"seg_scores": scores}
    for height, width in ((36, 48), (31, 17), (5, 7), (9, 12)):
        size = (height, width)
        large = torch.nn.functional.interpolate(torch.from_numpy(scores), size, mode="bilinear", align_corners=False)
        arrays[f"seg_{height}x{width}"] = large.argmax(1)[0].numpy().astype(np.uint8)
        two = large.topk(2, dim=1).values
        # Where two classes are equal but for rounding, either is right.
        arrays[f"seg_clear_{height}x{width}"] = (two[0, 0] - two[0, 1] > 1e-5).numpy()
    return arrays


def forms(rng):
    """The same boxes in each form."""
    corner, size = rng.uniform(0, 200, (20, 2)), rng.uniform(5, 80, (20, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + size], axis=1).astype(np.float32))
    return {f"form_{form}": box_convert(boxes, "xyxy", form).numpy() for form in ("xyxy", "xywh", "cxcywh")}


def main():
    rng = np.random.default_rng(0)
    arrays = {**suppression(rng, 200), **anchors(rng, 50), **segmentation(rng), **forms(rng)}
    np.savez_compressed(Path(__file__).with_name("detection.npz"), **arrays)


if __name__ == "__main__":
    main()
