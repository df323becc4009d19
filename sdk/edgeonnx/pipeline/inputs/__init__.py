"""What a sample may be, one kind a file: each turns into the model's inputs."""

from edgeonnx.pipeline.inputs.audio import AudioInput
from edgeonnx.pipeline.inputs.image import ImageInput
from edgeonnx.pipeline.inputs.table import TableInput
from edgeonnx.pipeline.inputs.tensor import TensorInput
from edgeonnx.pipeline.inputs.text import TextInput

InputKind = AudioInput | ImageInput | TableInput | TensorInput | TextInput

__all__ = ["AudioInput", "ImageInput", "InputKind", "TableInput", "TensorInput", "TextInput"]
