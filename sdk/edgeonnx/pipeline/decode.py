"""Read a picture file on the development machine: PNG by the device's own reader, JPEG by an operator."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from edgeonnx.errors import DataError, InputError
from edgeonnx.model import Model, first_line, session_options
from edgeonnx.pipeline._jpeg import is_jpeg, jpeg_problem
from edgeonnx.runtime._inputs import to_channels
from edgeonnx.runtime._png import decode_png

_PNG = b"\x89PNG"
_DOMAIN = "com.microsoft.extensions"


def read_picture(path: Path, colour: str) -> np.ndarray:
    """A picture as uint8, shape (height, width, channels).

    Args:
        path: the file.
        colour: `grey`, `rgb` or `bgr`.

    Raises:
        DataError: not a PNG or JPEG, damaged, or a JPEG without the extra `images` installed, which reads it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error
    if is_jpeg(data):
        return to_channels(_decode(path, data), colour)
    if not data.startswith(_PNG):
        raise DataError(f"{path} is neither a PNG nor a JPEG; convert it to PNG")
    try:
        return to_channels(decode_png(data, str(path)), colour)
    except InputError as error:
        raise DataError(str(error)) from error


def _decode(path: Path, data: bytes) -> np.ndarray:
    """RGB pixels of a JPEG."""
    session = _decoder()
    if session is None:
        raise DataError(f"{path} is a JPEG; to read it, pip install 'edgeonnx[images]', or convert it to PNG")
    problem = jpeg_problem(data)
    if problem is not None:
        raise DataError(f"{path} can't be read: {problem}; copy it again or remove it")
    try:
        (bgr,) = session.run(None, {"data": np.frombuffer(data, np.uint8)})
    except Exception as error:  # onnxruntime's exception types are private and many
        raise DataError(f"{path} is not a picture that can be read: {first_line(error)}") from error
    return np.ascontiguousarray(bgr[:, :, ::-1])


@cache
def _decoder() -> ort.InferenceSession | None:
    """A model of one operator, which gives BGR; None where onnxruntime-extensions is not installed."""
    try:
        from onnxruntime_extensions import get_library_path  # an extra
    except ImportError:
        return None
    data = ir.Value(name="data", type=ir.TensorType(ir.DataType.UINT8), shape=ir.Shape([None]))
    decode = ir.node("DecodeImage", [data], domain=_DOMAIN)
    picture = decode.outputs[0]
    picture.name, picture.type = "picture", ir.TensorType(ir.DataType.UINT8)
    picture.shape = ir.Shape([None, None, 3])
    graph = ir.Graph([data], [picture], nodes=[decode], opset_imports={"": 17, _DOMAIN: 1}, name="decode")
    options = session_options()
    options.register_custom_ops_library(get_library_path())
    return Model(ir.Model(graph, ir_version=8)).session(options)
