"""Writes images.npz: pictures as the libraries that people train with resize, crop and pad them.

    pip install numpy pillow==13.0.0 opencv-python-headless==5.0.0.93 torch==2.13.0 torchvision==0.28.0
    python tests/golden/make_images.py

`cases` is JSON: a list of {"reference", "picture", "spec"}, where `spec` is what `[input.image]` says; `expected_I` is
what the I-th gives, H x W x C uint8, and `picture_NAME` the pictures.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional

Case = tuple[str, dict, np.ndarray]
SIZES = {
    "photo": [(22, 33), (21, 90), (64, 30)],
    "noise": [(7, 11), (25, 31), (9, 40), (34, 5), (17, 12), (1, 1)],
    "wide": [(3, 7), (9, 9), (1, 90)],
    "tall": [(13, 2), (5, 5), (77, 1)],
    "one": [(1, 1), (4, 7)],
}
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest_exact": Image.NEAREST}
OPENCV = {
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST,
    "area": cv2.INTER_AREA,
}


def pictures() -> dict[str, np.ndarray]:
    """Something like a photograph, noise, and odd shapes."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:55, 0:73] / 55
    waves = [np.sin(9 * x * (1 + y)), np.cos(23 * x * y), np.sign(np.sin(40 * (x - y)))]
    photo = np.clip(128 + 90 * np.stack(waves, -1) + rng.normal(0, 3, (55, 73, 3)), 0, 255).astype(np.uint8)
    shapes = {"noise": (17, 24), "wide": (3, 50), "tall": (40, 2), "one": (1, 1)}
    return {"photo": photo, **{name: rng.integers(0, 256, (*s, 3), dtype=np.uint8) for name, s in shapes.items()}}


def boxes(picture: np.ndarray, sizes: list[tuple[int, int]]) -> Iterator[Case]:
    """Pillow's and OpenCV's resize to a height and a width."""
    for height, width in sizes:
        box = {"height": height, "width": width}
        for name, code in FILTERS.items():
            resized = np.asarray(Image.fromarray(picture).resize((width, height), code))
            yield "pillow", {"resize": {**box, "interpolation": name}}, resized
        mixed = (height < picture.shape[0]) != (width < picture.shape[1])
        for name, code in OPENCV.items():
            if name == "area" and mixed:  # OpenCV takes another way there, which no longer means areas
                continue
            resized = cv2.resize(picture, (width, height), interpolation=code)
            yield "opencv", {"resize": {**box, "interpolation": name, "antialias": False}}, resized


def torchvisions(picture: np.ndarray, noise: bool) -> Iterator[Case]:
    """The usual `Resize(n)`, `CenterCrop(n)`, of pictures and of tensors, and what else of it has a counterpart.

    Of tensors of noise, not bicubic without antialias: torch cuts what overshoots after each axis, OpenCV after both.
    """
    tensor = torch.from_numpy(picture.transpose(2, 0, 1).copy())
    for short, crop in ((20, (16, 16)), (9, (14, 7)), (31, (30, 31))):
        for name in ("bilinear", "bicubic"):
            for antialias in (True, False):
                resize = transforms.Resize(short, InterpolationMode(name), antialias=antialias)
                steps = transforms.Compose([resize, transforms.CenterCrop(crop)])
                resized = {"short_side": short, "interpolation": name, "antialias": antialias}
                spec = {"resize": resized, "center_crop": list(crop)}
                if antialias or name != "bicubic" or not noise:
                    yield "torchvision, tensors", spec, steps(tensor).numpy().transpose(1, 2, 0)
                if antialias:
                    yield "torchvision, pictures", spec, np.asarray(steps(Image.fromarray(picture)))
    longest = transforms.Resize(None, max_size=30)
    yield "torchvision, pictures", {"resize": {"long_side": 30}}, np.asarray(longest(Image.fromarray(picture)))
    for mode in ("constant", "edge", "reflect"):
        if mode == "reflect" and min(picture.shape[:2]) <= 2:  # torch refuses
            continue
        padded = functional.pad(tensor, [1, 2, 1, 0], fill=7, padding_mode=mode).numpy().transpose(1, 2, 0)
        sides = {"left": 1, "top": 2, "right": 1, "bottom": 0}
        yield "torchvision, tensors", {"pad": {**sides, "mode": mode, "fill": 7}}, padded


def keeping_aspect(picture: np.ndarray) -> Iterator[Case]:
    """Pillow's `contain` and `cover`, and the letterbox of the YOLO families by OpenCV."""
    for height, width in ((20, 30), (32, 32), (50, 21)):
        box = {"height": height, "width": width}
        contained = ImageOps.contain(Image.fromarray(picture), (width, height), Image.BILINEAR)
        yield "pillow", {"resize": {**box, "mode": "fit"}}, np.asarray(contained)
        covered = ImageOps.cover(Image.fromarray(picture), (width, height), Image.BILINEAR)
        cut = functional.center_crop(covered, [height, width])
        yield "pillow", {"resize": {**box, "mode": "fill"}}, np.asarray(cut)
        for align in ("center", "start"):
            spec = {**box, "mode": "letterbox", "antialias": False, "align": align}
            yield "letterbox", {"resize": spec}, letterbox(picture, height, width, center=align == "center")


def letterbox(picture: np.ndarray, height: int, width: int, center: bool) -> np.ndarray:
    """As detectors are trained: one ratio, rounded sides, the odd pixel of the border right and below."""
    ratio = min(height / picture.shape[0], width / picture.shape[1])
    inner = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    spare_x, spare_y = width - inner[0], height - inner[1]
    left, top = (round(spare / 2 - 0.1) if center else 0 for spare in (spare_x, spare_y))
    if picture.shape[1::-1] != inner:
        picture = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
    sides = top, spare_y - top, left, spare_x - left
    return cv2.copyMakeBorder(picture, *sides, cv2.BORDER_CONSTANT, value=(114, 114, 114))


def main() -> None:
    arrays, cases = {}, []
    for name, picture in pictures().items():
        arrays[f"picture_{name}"] = picture
        found = [*boxes(picture, SIZES[name])]
        if name in ("photo", "noise", "one"):
            found += [*torchvisions(picture, name == "noise"), *keeping_aspect(picture)]
        for reference, spec, expected in found:
            arrays[f"expected_{len(cases)}"] = expected
            cases.append({"reference": reference, "picture": name, "spec": spec})
    arrays["cases"] = np.array(json.dumps(cases))
    np.savez_compressed(Path(__file__).parent / "images.npz", **arrays)


if __name__ == "__main__":
    main()
