"""From PCM, (samples,) or (samples, channels), to a model's input: a waveform, a spectrogram, mel bands or MFCC."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import onnx_ir as ir
from pydantic import Field, model_validator

from edgeonnx.errors import PipelineError
from edgeonnx.model import TensorSpec
from edgeonnx.pipeline.builder import Builder
from edgeonnx.pipeline.inputs import _waveform
from edgeonnx.pipeline.inputs._axes import arrange, axes
from edgeonnx.pipeline.inputs._mel import Log, Mel, Mfcc
from edgeonnx.pipeline.inputs._normalize import Normalize
from edgeonnx.pipeline.inputs._rate import needed, ratio, resample, resampled, taps
from edgeonnx.pipeline.inputs._spectrum import Stft, power
from edgeonnx.pipeline.part import Entry, InputPart, Part, Prepared, only_target
from edgeonnx.runtime._manifest import Media

_MAX_TAPS = 1 << 22
_FLOATS = ("float32", "float16", "float64")


class Windows(Part):
    """How a stream is cut into samples.

    Attributes:
        window: length of a sample, in seconds.
        hop: from the beginning of one to that of the next, in seconds; absent, they follow one another.
    """

    window: float = Field(gt=0)
    hop: Annotated[float, Field(gt=0)] | None = None

    def counted(self, rate: int) -> tuple[int, int]:
        """Window and hop in samples, of which there are `rate` a second."""
        window, hop = (max(round(length * rate), 1) for length in (self.window, self.hop or self.window))
        return window, hop


class AudioInput(InputPart):
    """From PCM to one of the model's inputs, in the order of these fields; a step that is absent is left out.

    With `stft` the model takes a spectrogram, with `mel` too mel bands, with `log` their logarithm, with `mfcc`
    cepstral coefficients; with none of these the waveform.

    Attributes:
        type: `audio`.
        to: the model's input; may be left out where there is only one.
        pcm: what the device delivers: `int16`, which is divided by 32768, or `float32` from -1 to 1.
        channels: how many the device delivers; several are averaged.
        gain: what the waveform is multiplied by; 32768 for models trained on numbers of 16 bits.
        rate: samples a second that the model was trained on, in Hz.
        source_rate: samples a second that the device delivers, in Hz; absent, `rate`.
        remove_dc: take its mean from the waveform.
        normalize_peak: bring the largest magnitude to 1.
        pre_emphasis: take this much of its predecessor from each sample.
        samples: zeros added or samples left out, so that there are so many, at `rate`; absent, audio of any length.
        align: where `samples` adds and leaves out: at the end (`start` stays) or at both ends (`center` stays).
        stft: frames and their spectra.
        mel: bands.
        log: logarithm of the bands or of the spectrogram.
        mfcc: cepstral coefficients.
        normalize: mean and standard deviation.
        layout: the model's axes: N batch, C channel (both of size 1), F features, T time. Absent, T, NT or NCT for
            waveforms, FT, NFT or NCFT for features.
        stream: how the device cuts a stream into samples.
    """

    type: Literal["audio"] = "audio"
    to: str | None = None
    pcm: Literal["int16", "float32"] = "int16"
    channels: int = Field(default=1, ge=1)
    gain: float = Field(default=1.0, gt=0)
    rate: int = Field(ge=1)
    source_rate: Annotated[int, Field(ge=1)] | None = None
    remove_dc: bool = False
    normalize_peak: bool = False
    pre_emphasis: float = Field(default=0.0, ge=0, le=1)
    samples: Annotated[int, Field(ge=1)] | None = None
    align: Literal["start", "center"] = "start"
    stft: Stft | None = None
    mel: Mel | None = None
    log: Log | None = None
    mfcc: Mfcc | None = None
    normalize: Normalize | None = None
    layout: Literal["T", "NT", "NCT", "NTC", "FT", "TF", "NFT", "NTF", "NCFT", "NCTF", "NFTC", "NTFC"] | None = None
    stream: Windows | None = None

    @property
    def device_rate(self) -> int:
        """Samples a second that the device delivers."""
        return self.source_rate or self.rate

    @property
    def features(self) -> int | None:
        """How many there are at a time; None for a waveform."""
        last = self.mfcc or self.mel
        return last.count if last is not None else self.stft.bins if self.stft is not None else None

    @model_validator(mode="after")
    def _steps_go_together(self) -> "AudioInput":
        for name, wanted in (("mel", "stft"), ("log", "stft"), ("mfcc", "mel"), ("mfcc", "log")):
            if getattr(self, name) is not None and getattr(self, wanted) is None:
                raise ValueError(f"{name}: expected {wanted} as well")
        if self.mel and self.mfcc and self.mfcc.count > self.mel.count:
            raise ValueError(f"mfcc.count: expected at most mel.count, {self.mel.count}, got {self.mfcc.count}")
        return self

    @model_validator(mode="after")
    def _rates_go_together(self) -> "AudioInput":
        if taps(self.device_rate, self.rate) > _MAX_TAPS:
            from_rate, to_rate = ratio(self.device_rate, self.rate)
            raise ValueError(f"source_rate: expected a rounder ratio to rate than {from_rate}/{to_rate}")
        if self.mel is not None and not self.mel.f_min < (self.mel.f_max or self.rate / 2) <= self.rate / 2:
            limits = f"f_min, {self.mel.f_min:g}, < f_max <= {self.rate / 2:g}, half of rate"
            raise ValueError(f"mel.f_max: expected {limits}, got {self.mel.f_max}")
        return self

    @model_validator(mode="after")
    def _shapes_go_together(self) -> "AudioInput":
        if self.layout is not None and ("F" in self.layout) != (self.stft is not None):
            expected = "a waveform's axes, without F" if self.stft is None else "axes F and T"
            raise ValueError(f"layout: expected {expected}, got {self.layout}")
        if self.normalize is not None and (misfit := self.normalize.misfit(self.features or 1)):
            raise ValueError(f"normalize.{misfit}")
        return self

    def targets(self, name: str, inputs: Sequence[TensorSpec]) -> tuple[str, ...]:
        """One."""
        return (only_target(name, self.to, inputs),)

    def check(self, name: str, tensors: Mapping[str, TensorSpec]) -> None:
        """Type, rank, batch, channel, features and frames."""
        (tensor,) = tensors.values()
        where = f"input.{name}"
        if tensor.dtype not in _FLOATS:
            raise PipelineError(f"{where}: audio becomes {', '.join(_FLOATS)}, the model has {tensor}")
        expected = axes(where, tensor, self.layout, self.features)["T"]
        samples = self._samples(expected)
        field = f"{where}.stream.window" if self.samples is None and self.stream is not None else f"{where}.samples"
        if samples is not None and self.stft is not None and samples < self.stft.min_samples:
            raise PipelineError(
                f"{field}: expected at least {self.stft.min_samples}, for a frame of stft, got {samples}"
            )
        if isinstance(expected, int) and (samples is None or self._time(samples) != expected):
            wanted = str(expected) if self.stft is None else self._wanted(expected, self.stft)
            raise PipelineError(f"{field}: expected {wanted}, got {samples or 'none'} ({tensor})")

    def entries(self, name: str, tensors: Mapping[str, TensorSpec]) -> tuple[Entry, ...]:
        """PCM, whose length is free unless the model's is fixed and `samples` does not see to it."""
        (tensor,) = tensors.values()
        entered = self._entered(axes(f"input.{name}", tensor, self.layout, self.features)["T"])
        shape = (f"{name}_samples" if entered is None else entered, self.channels)
        spec = TensorSpec(name, self.pcm, shape if self.channels > 1 else shape[:1])
        least = self.stft.min_samples if self.stft is not None and self.samples is None else 1
        least = needed(least, self.device_rate, self.rate)
        return (Entry(spec, Media("audio", rate=self.device_rate, channels=self.channels, min_samples=least)),)

    def build(self, tensors: Mapping[str, TensorSpec], entries: Sequence[ir.Value], build: Builder) -> Prepared:
        """Waveform, features, normalize, layout, type."""
        (tensor,), (pcm,) = tensors.values(), entries
        value = self._waveform(pcm, build)
        if self.stft is not None:
            value = self._features(value, self.stft, build)
        if self.normalize is not None:
            value = self.normalize.apply(value, build)
        value = arrange(value, "".join(axes("", tensor, self.layout, self.features)), build)
        if tensor.dtype != "float32":
            value = build.cast(value, tensor.dtype)
        return Prepared({tensor.name: value})

    def _waveform(self, pcm: ir.Value, build: Builder) -> ir.Value:
        wave = _waveform.mono(pcm, self.pcm, self.channels, self.gain, build)
        if self.device_rate != self.rate:
            wave = resample(wave, self.device_rate, self.rate, build)
        if self.remove_dc:
            wave = _waveform.remove_dc(wave, build)
        if self.normalize_peak:
            wave = _waveform.normalize_peak(wave, build)
        if self.pre_emphasis:
            wave = _waveform.pre_emphasis(wave, self.pre_emphasis, build)
        return wave if self.samples is None else _waveform.fit(wave, self.samples, self.align, build)

    def _features(self, wave: ir.Value, stft: Stft, build: Builder) -> ir.Value:
        value = power(stft.spectra(wave, build), stft, build)
        if self.mel is not None:
            value = build.op("MatMul", self.mel.bands(stft.n_fft, self.rate).astype(np.float32), value)
        if self.log is not None:
            value = self.log.apply(value, stft.power, build)
        if self.mel is not None and self.mfcc is not None:
            value = build.op("MatMul", self.mfcc.transform(self.mel.count).astype(np.float32), value)
        return value

    def _entered(self, expected: int | str | None) -> int | None:
        """Samples that the device must give for a model's axis T of this size; None: any number."""
        if self.samples is not None or not isinstance(expected, int):
            return None
        if self.stream is not None:
            return self.stream.counted(self.device_rate)[0]
        return needed(expected, self.device_rate, self.rate) if self.stft is None else None

    def _samples(self, expected: int | str | None) -> int | None:
        """Samples that reach `stft`, or the model; None: any number."""
        if self.samples is not None:
            return self.samples
        entered = self.stream.counted(self.device_rate)[0] if self.stream is not None else self._entered(expected)
        return None if entered is None else resampled(entered, self.device_rate, self.rate)

    def _time(self, samples: int) -> int:
        """Size of the axis T that `samples` give."""
        return samples if self.stft is None else self.stft.frames(samples)

    def _wanted(self, frames: int, stft: Stft) -> str:
        """For errors: what gives so many frames."""
        least, most = stft.span(frames)
        return f"{least} to {most}, which make {frames} frames"
