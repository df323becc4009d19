"""JPEG and PNG decoded in the graph, by the one operator of onnxruntime-extensions that is needed for it."""

import numpy as np
import onnx_ir as ir

from edgeonnx.extensions import VISION
from edgeonnx.pipeline.builder import Builder


def decode(build: Builder, data: ir.Value) -> ir.Value:
    """The pixels of a JPEG or PNG file: RGB, uint8, shape (H, W, 3).

    Args:
        build: takes the nodes.
        data: the file's bytes, uint8, shape (bytes,); checked by the caller (`check_encoded`), since what is damaged
            may end the process.
    """
    # As RGB: asked for BGR, releases that leave a grey JPEG one channel exchange bytes beyond its end.
    (pixels,) = build.ops("DecodeImage", [data], 1, VISION, color_space="rgb")
    return build.op("Expand", pixels, np.array([1, 1, 3]))


def to_color(build: Builder, pixels: ir.Value, color: str) -> ir.Value:
    """RGB in other channels: `grey`, in Pillow's integer arithmetic, `rgb`, or `bgr`; uint8, shape (H, W, C)."""
    if color == "bgr":
        return build.op("Gather", pixels, np.array([2, 1, 0]), axis=2)
    if color == "rgb":
        return pixels
    weights = np.array([19595, 38470, 7471], np.int32)  # ITU-R BT.601-2, of 65536
    weighed = build.op("Mul", build.cast(pixels, "int32"), weights)
    luma = build.op("Add", build.op("ReduceSum", weighed, np.array([2])), np.array(0x8000, np.int32))
    return build.cast(build.op("Div", luma, np.array(0x10000, np.int32)), "uint8")
