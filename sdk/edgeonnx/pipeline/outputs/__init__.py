"""What a result may be, one kind a file: each is made of the model's outputs."""

from edgeonnx.pipeline.outputs.classification import ClassificationOutput
from edgeonnx.pipeline.outputs.detection import DetectionOutput
from edgeonnx.pipeline.outputs.embedding import EmbeddingOutput
from edgeonnx.pipeline.outputs.segmentation import SegmentationOutput
from edgeonnx.pipeline.outputs.tensor import TensorOutput

OutputKind = ClassificationOutput | DetectionOutput | SegmentationOutput | EmbeddingOutput | TensorOutput

__all__ = [
    "ClassificationOutput",
    "DetectionOutput",
    "EmbeddingOutput",
    "OutputKind",
    "SegmentationOutput",
    "TensorOutput",
]
