"""Trains the model on synthesized voices and one recorded speaker: some minutes on one core.

After voices.py and recordings.py: `python train.py build/voices.npz build/recordings.npz keywords.onnx`, which needs
torch, librosa and onnx.

The features are torch's and librosa's: what pipeline.toml declares has to give the same, and the example's test sees to
that against numbers kept in reference.npz.
"""

import sys
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

RATE, N_FFT, HOP, BANDS, CLASSES = 8000, 256, 128, 40, 11
EPOCHS, BATCH = 30, 64
HERE = Path(__file__).parent

torch.manual_seed(0)
torch.set_num_threads(1)
window = torch.hann_window(N_FFT)
mel = torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=BANDS, fmin=20, htk=True, norm=None))


def log_mel(audio: Tensor) -> Tensor:
    """From audio of -1 to 1, shape (N, 8000), to (N, 1, 40, 63)."""
    spectra = torch.stft(audio, N_FFT, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    return torch.log(mel @ spectra.abs().square() + 1e-6)[:, None]


def normalize(features: Tensor) -> Tensor:
    """Each sample by its own mean and standard deviation."""
    spread, mean = torch.var_mean(features, (1, 2, 3), correction=0, keepdim=True)
    return (features - mean) / torch.sqrt(spread + 1e-7)


def faster(audio: Tensor) -> Tensor:
    """Other speakers: faster and higher, or slower and lower, by up to a quarter; a few at a time alike."""
    length = audio.shape[1]
    changed = []
    for some in audio.chunk(4):
        size = int(length / torch.empty(()).uniform_(0.8, 1.25))
        spare = length - size
        played = functional.interpolate(some[:, None], size, mode="linear")[:, 0]
        changed.append(functional.pad(played, (spare // 2, spare - spare // 2)))  # a negative pad cuts
    return torch.cat(changed)


def worsen(audio: Tensor) -> Tensor:
    """What rooms, microphones and lines do: shift, echo, noise, loudness."""
    count, length = audio.shape
    places = torch.arange(length) + torch.randint(-1000, 1001, (count, 1))
    audio = faster(audio).gather(1, places % length)
    decay = torch.exp(-torch.arange(1200) / torch.empty(count, 1).uniform_(20, 400))
    echo = torch.randn(count, 1200) * decay * torch.rand(count, 1) * 0.15
    echo[:, 0] = 1
    size = 9216  # a product of small primes, at least 8000 + 1200
    audio = torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(echo, size), size)[:, :length]
    colour = torch.arange(1, length // 2 + 2) ** torch.empty(count, 1).uniform_(-1, 0)
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn(count, length)) * colour, length)
    level = 10 ** -torch.empty(count, 1).uniform_(0.2, 2.5)
    noise *= level * audio.square().mean(1, keepdim=True).sqrt() / noise.square().mean(1, keepdim=True).sqrt()
    return (audio + noise) * 10 ** torch.empty(count, 1).uniform_(-1.5, 0.2)


def recolour(features: Tensor) -> Tensor:
    """Another microphone: a smooth curve over the bands; then a few bands and a few frames unheard."""
    count, _, bands, frames = features.shape
    curve = functional.interpolate(torch.randn(count, 1, 5) * 1.2, bands, mode="linear", align_corners=True)
    features = features + curve[..., None]
    for axis, size in ((2, bands), (3, frames)):
        start, width = torch.randint(0, size, (2, count, 1, 1, 1))
        place = torch.arange(size).view((1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
        unheard = (place >= start) & (place < start + width % 7)
        features = torch.where(unheard, features.mean((1, 2, 3), keepdim=True), features)
    return features


def block(inputs: int, outputs: int, stride: int, size: int = 3) -> list[nn.Module]:
    """Conv, batch norm, ReLU."""
    return [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


def build() -> nn.Module:
    """Five convolutions: 86 thousand parameters, 6 million multiply-accumulates."""
    layers = [*block(1, 24, 2, 5), *block(24, 32, 2), *block(32, 48, 1), *block(48, 64, 2), *block(64, 64, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, CLASSES))


def train(audio: Tensor, labels: Tensor, unseen: Tensor) -> nn.Module:
    """Fit on the voices that are not `unseen`, and say how well those are understood."""
    model, chosen = build(), (~unseen).nonzero()[:, 0]
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    weight = torch.tensor([1.0] * (CLASSES - 1) + [0.3])  # there are ten times as many of the last
    steps = EPOCHS * (len(chosen) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for epoch in range(EPOCHS):
        model.train()
        order = chosen[torch.randperm(len(chosen))]
        for batch in order[: len(chosen) // BATCH * BATCH].view(-1, BATCH):
            heard, expected = worsen(audio[batch]), labels[batch].clone()
            heard[:2] = torch.randn(2, RATE) * 10 ** -torch.empty(2, 1).uniform_(1, 4)
            expected[:2] = CLASSES - 1
            scores = model(normalize(recolour(log_mel(heard))))
            loss = functional.cross_entropy(scores, expected, weight, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            guessed = model(normalize(log_mel(audio[unseen]))).argmax(1)
        print(f"epoch {epoch + 1}: {(guessed == labels[unseen]).float().mean():.4f} of unseen voices", flush=True)
    return model


def pack(audio: np.ndarray, labels: np.ndarray, unseen: np.ndarray, recorded: tuple[np.ndarray, np.ndarray]) -> None:
    """Write what is kept of the data.

    calibration.npz: 6 words of each class, in voices trained on; test.npz: 8 in other voices, then all recorded ones;
    reference.npz: 4 words, and what they are to the model.
    """
    known = np.pad(~unseen, (0, len(labels) - len(unseen)))
    chosen = np.concatenate([np.flatnonzero(known & (labels == label))[::40][:6] for label in range(CLASSES)])
    np.savez_compressed(HERE / "calibration.npz", audio=audio[chosen], labels=labels[chosen])
    others = np.flatnonzero(unseen)
    chosen = np.concatenate([others[labels[others] == label][:8] for label in range(CLASSES)])
    parts = (audio[chosen], recorded[0]), (labels[chosen], recorded[1])
    np.savez_compressed(HERE / "test.npz", audio=np.concatenate(parts[0]), labels=np.concatenate(parts[1]))
    some = recorded[0][:4]
    features = normalize(log_mel(torch.from_numpy(some).float() / 32768))
    np.savez_compressed(HERE / "reference.npz", audio=some, features=features.numpy())


def main(synthesized: Path, recorded: Path, path: Path) -> None:
    """Train on nine voices in ten and on the recordings, each of those as often as ten voices; export."""
    with np.load(synthesized) as arrays:
        audio, labels, unseen = arrays["audio"], arrays["labels"], arrays["voice"] % 10 == 0
    with np.load(recorded) as arrays:
        often = np.where(arrays["labels"] < CLASSES - 1, 60, 3)
        audio = np.concatenate([audio, arrays["audio"].repeat(often, 0)])
        labels = np.concatenate([labels, arrays["labels"].repeat(often)])
        test = arrays["test_audio"], arrays["test_labels"]
    pack(audio, labels, unseen, test)
    unseen = torch.from_numpy(np.pad(unseen, (0, len(labels) - len(unseen))))
    model = train(torch.from_numpy(audio).float() / 32768, torch.from_numpy(labels).long(), unseen)
    torch.onnx.export(
        model,
        (torch.zeros(1, 1, BANDS, 63),),
        path,
        input_names=["features"],
        output_names=["logits"],
        dynamic_axes={"features": {0: "N"}, "logits": {0: "N"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
