"""Another sampling rate, by the ratio of two integers."""

import math

import numpy as np
import onnx_ir as ir

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs._axes import cut, length

# Zero crossings of the sinc to either side, and the cutoff as a share of the lower Nyquist frequency: torchaudio's.
_CROSSINGS = 6
_ROLLOFF = 0.99


def ratio(source: int, target: int) -> tuple[int, int]:
    """The two rates without their common divisor."""
    divisor = math.gcd(source, target)
    return source // divisor, target // divisor


def resampled(samples: int, source: int, target: int) -> int:
    """How many samples become of `samples`."""
    source, target = ratio(source, target)
    return -(-samples * target // source)


def needed(samples: int, source: int, target: int) -> int:
    """The fewest samples that become at least `samples`, which is 1 or more."""
    source, target = ratio(source, target)
    return (samples - 1) * source // target + 1


def taps(source: int, target: int) -> int:
    """How many numbers the filters of `resample` are."""
    source, target = ratio(source, target)
    return target * (2 * _width(source, target) + source)


def resample(wave: ir.Value, source: int, target: int, build: Builder) -> ir.Value:
    """`wave` at another rate; shape (1, 1, samples), zeros before its beginning and after its end.

    Args:
        wave: at `source` samples a second.
        source: the rate there is.
        target: the rate wanted.
        build: takes the nodes.
    """
    source, target = ratio(source, target)
    width = _width(source, target)
    # Each step of the Conv gives one sample of every phase: (1, phases, steps), read step by step.
    phases = build.op("Conv", wave, _filters(source, target), strides=[source], pads=[width, width + source])
    value = build.op("Reshape", build.op("Transpose", phases, perm=[0, 2, 1]), np.array([1, 1, -1], np.int64))
    scaled = build.op("Mul", length(wave, build), np.array([target], np.int64))
    rounded_up = build.op("Add", scaled, np.array([source - 1], np.int64))
    return cut(value, 0, build.op("Div", rounded_up, np.array([source], np.int64)), build)


def _filters(source: int, target: int) -> np.ndarray:
    """A polyphase bank of low-pass filters, a sinc under a Hann window; float32, shape (phases, 1, taps).

    As torchaudio.functional.resample's defaults (`sinc_interp_hann`, lowpass_filter_width 6, rolloff 0.99), after
    J. O. Smith, Digital Audio Resampling, https://ccrma.stanford.edu/~jos/resample/. The two rates have no divisor in
    common.
    """
    width, cutoff = _width(source, target), _cutoff(source, target)
    tap = np.arange(-width, width + source) / source
    phase = -np.arange(target)[:, None] / target
    time = np.clip((tap + phase) * cutoff, -_CROSSINGS, _CROSSINGS)
    window = np.cos(time * np.pi / _CROSSINGS / 2) ** 2
    bank = np.sinc(time) * window * (cutoff / source)
    return np.asarray(bank[:, None], np.float32)


def _cutoff(source: int, target: int) -> float:
    return min(source, target) * _ROLLOFF


def _width(source: int, target: int) -> int:
    return math.ceil(_CROSSINGS * source / _cutoff(source, target))
