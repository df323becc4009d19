"""From a spectrum to mel bands, their logarithm, and cepstral coefficients."""

import math
from typing import Annotated, Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field

from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.part import Part

# Slaney's scale (Auditory Toolbox, Interval Research Corporation TR 1998-010): linear up to 1 kHz, then 27 steps for a
# factor of 6.4.
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, math.log(6.4) / 27
_KNEE = _KNEE_HZ / _LINEAR_HZ
_DECIBELS = {1: 20.0, 2: 10.0}


class Mel(Part):
    """Triangular bands, of equal distance and width on the mel scale.

    Attributes:
        count: how many.
        f_min: where the lowest begins, in Hz.
        f_max: where the highest ends, in Hz; absent, half the rate.
        scale: `htk`: 2595 log10(1 + f/700); `slaney`: linear below 1 kHz.
        norm: `slaney` divides each band by half its width in Hz; absent, bands are 1 at their middle.
        triangles: straight in `hz` (librosa, torchaudio) or in `mel` (Kaldi, TensorFlow).
    """

    count: int = Field(ge=1)
    f_min: float = Field(default=0.0, ge=0)
    f_max: Annotated[float, Field(gt=0)] | None = None
    scale: Literal["htk", "slaney"] = "htk"
    norm: Literal["slaney"] | None = None
    triangles: Literal["hz", "mel"] = "hz"

    def bands(self, n_fft: int, rate: int) -> np.ndarray:
        """The weight of each frequency in each band; float64, shape (count, n_fft // 2 + 1).

        After S. Young et al., The HTK Book 3.4, section 5.4; `norm` as M. Slaney's Auditory Toolbox.
        """
        bins = np.arange(n_fft // 2 + 1) * (rate / n_fft)
        low, high = self._mel(np.array([self.f_min, self.f_max or rate / 2]))
        mels = np.linspace(low, high, self.count + 2)
        edges = self._hz(mels)
        points, corners = (bins, edges) if self.triangles == "hz" else (self._mel(bins), mels)
        left, middle, right = (corners[i : i + self.count, None] for i in range(3))
        weights = np.minimum((points - left) / (middle - left), (right - points) / (right - middle)).clip(0)
        if self.norm == "slaney":
            weights *= 2 / (edges[2:] - edges[:-2])[:, None]
        return np.asarray(weights)

    def _mel(self, hz: np.ndarray) -> np.ndarray:
        if self.scale == "htk":
            return 2595 * np.log10(1 + hz / 700)
        above = np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
        return np.where(hz < _KNEE_HZ, hz / _LINEAR_HZ, _KNEE + above)

    def _hz(self, mel: np.ndarray) -> np.ndarray:
        if self.scale == "htk":
            return 700 * (10 ** (mel / 2595) - 1)
        above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE) - _KNEE))
        return np.where(mel < _KNEE, mel * _LINEAR_HZ, above)


class Log(Part):
    """log(max(x + offset, floor) / ref).

    Attributes:
        kind: `ln`, `log10` or `db`: 10 log10 of power, 20 log10 of magnitude.
        offset: added first.
        floor: the least that is taken a logarithm of.
        ref: what becomes 0: a number, or `max`, the sample's largest value.
        top_db: what lies further below the sample's largest value is raised to there; in dB for every `kind`.
    """

    kind: Literal["ln", "log10", "db"]
    offset: float = Field(default=0.0, ge=0)
    floor: float = Field(default=1e-10, gt=0)
    ref: Annotated[float, Field(gt=0)] | Literal["max"] = 1.0
    top_db: Annotated[float, Field(gt=0)] | None = None

    def apply(self, value: ir.Value, power: int, build: Builder) -> ir.Value:
        """Write the operators.

        Args:
            value: of any shape, float32.
            power: 2 where it is power, 1 where it is magnitude.
            build: takes the nodes.
        """
        decibels = _DECIBELS[power]
        factor = {"ln": 1.0, "log10": 1 / math.log(10), "db": decibels / math.log(10)}[self.kind]
        if self.offset:
            value = build.op("Add", value, np.array(self.offset, np.float32))
        value = build.op("Log", build.op("Max", value, np.array(self.floor, np.float32)))
        value = build.op("Mul", value, np.array(factor, np.float32))
        if self.top_db is not None:
            span = factor * self.top_db * math.log(10) / decibels
            loudest = build.op("ReduceMax", value, keepdims=0)
            value = build.op("Max", value, build.op("Sub", loudest, np.array(span, np.float32)))
        if self.ref == "max":
            return build.op("Sub", value, build.op("ReduceMax", value, keepdims=0))
        zero = factor * math.log(max(self.ref, self.floor))
        return build.op("Sub", value, np.array(zero, np.float32)) if zero else value


class Mfcc(Part):
    """Cepstral coefficients: the discrete cosine transform of log bands.

    Attributes:
        count: how many, from the 0th.
        dct: `ortho`: orthonormal; `htk`: the 0th is larger by the root of 2 (HTK, TensorFlow).
        lifter: coefficient n is multiplied by 1 + lifter / 2 * sin(pi * n / lifter) (HTK, Kaldi); 0: by nothing.
    """

    count: int = Field(ge=1)
    dct: Literal["ortho", "htk"] = "ortho"
    lifter: float = Field(default=0.0, ge=0)

    def transform(self, bands: int) -> np.ndarray:
        """Float64, shape (count, bands): DCT-II, and the lifter. After The HTK Book 3.4, sections 5.4 to 5.6."""
        order = np.arange(self.count)[:, None]
        matrix = np.sqrt(2 / bands) * np.cos(np.pi * order * (np.arange(bands) + 0.5) / bands)
        if self.dct == "ortho":
            matrix[0] /= np.sqrt(2)
        if self.lifter:
            matrix *= 1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter)
        return np.asarray(matrix)
