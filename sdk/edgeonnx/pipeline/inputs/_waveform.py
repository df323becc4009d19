"""What is done to a waveform: (1, 1, samples) float32."""

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._axes import cut, length

FULL_SCALE = {"int16": 32768, "float32": 1}


def mono(pcm: ir.Value, dtype: str, channels: int, gain: float, build: Builder) -> ir.Value:
    """PCM as the device delivers it, as one waveform.

    Args:
        pcm: shape (samples,), or (samples, channels) where there are several, which are averaged.
        dtype: its type, `int16` or `float32`.
        channels: how many.
        gain: what -1..1 becomes.
        build: takes the nodes.
    """
    value = pcm if dtype == "float32" else build.cast(pcm, "float32")
    if channels > 1:
        value = build.op("ReduceSum", value, np.array([1], np.int64), keepdims=0)
    value = build.op("Reshape", value, np.array([1, 1, -1], np.int64))
    factor = gain / FULL_SCALE[dtype] / channels
    return value if factor == 1 else build.op("Mul", value, np.array(factor, np.float32))


def remove_dc(wave: ir.Value, build: Builder) -> ir.Value:
    """Less its mean."""
    count = build.cast(build.op("Size", wave), "float32")
    return build.op("Sub", wave, build.op("Div", build.op("ReduceSum", wave, keepdims=0), count))


def normalize_peak(wave: ir.Value, build: Builder) -> ir.Value:
    """Its largest magnitude brought to 1; silence stays silence."""
    peak = build.op("ReduceMax", build.op("Abs", wave), keepdims=0)
    return build.op("Div", wave, build.op("Max", peak, np.array(np.finfo(np.float32).tiny)))


def pre_emphasis(wave: ir.Value, coefficient: float, build: Builder) -> ir.Value:
    """Less `coefficient` times the sample before; the first stays as it is, as torchaudio.functional.preemphasis."""
    return build.op("Conv", wave, np.array([[[-coefficient, 1]]], np.float32), pads=[1, 0])


def fit(wave: ir.Value, samples: int, align: str, build: Builder) -> ir.Value:
    """Zeros added or samples left out, so that there are `samples`.

    Args:
        wave: of any length.
        samples: how many there shall be.
        align: `start` keeps the beginning in its place; `center` adds or leaves out as much on either side, the odd
            sample at the end.
        build: takes the nodes.
    """
    if align == "start":
        padded = build.op("Pad", wave, np.array([0, 0, 0, 0, 0, samples], np.int64))
        return cut(padded, 0, samples, build)
    padded = build.op("Pad", wave, np.array([0, 0, samples, 0, 0, samples], np.int64))
    # Div cuts towards zero: the larger half of what is missing or left out comes last.
    size = np.array([samples], np.int64)
    half = build.op("Div", build.op("Sub", length(wave, build), size), np.array([2], np.int64))
    start = build.op("Add", half, size)
    return cut(padded, start, build.op("Add", start, size), build)
