"""Writes audio.npz: what librosa and torchaudio make of a second of sound. Needs torch, torchaudio and librosa.

    python tests/golden/make_audio.py

References are computed in float64, so that what differs is ours, and stored as float32, with the versions. None of
torchaudio's functions used here needs its compiled extension.
"""

from pathlib import Path

import librosa
import numpy as np
import torch
import torchaudio
from torchaudio.compliance import kaldi

RATE = 16000


def sound(rate: int, seconds: float, seed: int) -> np.ndarray:
    """A rising tone with overtones, swelling and ebbing, in noise, as int16."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * (150 * time + 120 * time**2)
    voice = sum(np.sin(k * phase) / k for k in range(1, 20))
    wave = 0.25 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)) + 0.01 * rng.standard_normal(time.size)
    return np.round(np.clip(wave, -1, 1) * 32767).astype(np.int16)


def of_torchaudio(wave: torch.Tensor) -> dict[str, np.ndarray]:
    mel = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 64}
    transforms = {
        "torchaudio.spectrogram": torchaudio.transforms.Spectrogram(n_fft=400, hop_length=200, power=1),
        "torchaudio.mel": torchaudio.transforms.MelSpectrogram(RATE, **mel, f_min=60, f_max=7800),
        "torchaudio.mfcc": torchaudio.transforms.MFCC(RATE, 40, melkwargs=mel),
        "torchaudio.mfcc_ln": torchaudio.transforms.MFCC(
            RATE, 13, log_mels=True, melkwargs={**mel, "center": False, "norm": "slaney", "mel_scale": "slaney"}
        ),
    }
    found = {name: transform.double()(wave).numpy() for name, transform in transforms.items()}
    for source, target in ((44100, 16000), (8000, 16000), (48000, 44100), (16000, 11025)):
        resampled = torchaudio.functional.resample(wave[:2001], source, target)
        found[f"torchaudio.resample.{source}.{target}"] = resampled.numpy()
    found["torchaudio.preemphasis"] = torchaudio.functional.preemphasis(wave[:500], 0.97).numpy()
    return found


def of_kaldi(wave: torch.Tensor) -> dict[str, np.ndarray]:
    settings = {"sample_frequency": RATE, "dither": 0.0, "energy_floor": 0.0}
    scaled = wave[None] * 32768
    return {
        "kaldi.fbank": kaldi.fbank(scaled, num_mel_bins=40, high_freq=-400, **settings).numpy(),
        "kaldi.mfcc": kaldi.mfcc(scaled, num_mel_bins=23, num_ceps=13, cepstral_lifter=22.0, **settings).numpy(),
    }


def of_librosa(wave: np.ndarray) -> dict[str, np.ndarray]:
    power = librosa.feature.melspectrogram(y=wave, sr=RATE, dtype=np.float64)
    whisper_bands = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80, dtype=np.float64)
    spectrum = np.abs(librosa.stft(wave, n_fft=400, hop_length=160, pad_mode="reflect", dtype=np.complex128)) ** 2
    whisper = np.log10(np.maximum(whisper_bands @ spectrum[:, :-1], 1e-10))  # as published with Whisper
    return {
        "librosa.mel": power,
        "librosa.db": librosa.power_to_db(power, ref=np.max),
        "librosa.mfcc": librosa.feature.mfcc(y=wave, sr=RATE, n_mfcc=20),
        "whisper": (np.maximum(whisper, whisper.max() - 8) + 4) / 4,
    }


def main() -> None:
    torch.set_default_dtype(torch.float64)  # torchaudio makes windows, bands and DCT matrices in it
    pcm = sound(RATE, 0.8, seed=0)
    wave = pcm / 32768
    tensor = torch.from_numpy(wave)
    found = {**of_torchaudio(tensor), **of_kaldi(tensor), **of_librosa(wave)}
    versions = ", ".join(f"{m.__name__} {m.__version__}" for m in (torch, torchaudio, librosa, np))
    arrays = {name: np.asarray(array, np.float32) for name, array in found.items()}
    np.savez_compressed(Path(__file__).with_name("audio.npz"), pcm=pcm, versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
