"""Makes what the model is trained on: words spoken by two synthesizers in several hundred voices.

Needs `apt-get install espeak-ng flite`, numpy and scipy; `python voices.py build/voices.npz` takes a few minutes.

`audio`: int16, shape (words, 8000): one second at 8 kHz, the word in the middle. `labels`: its class. `voice`: the
number of its voice.
"""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

HERE = Path(__file__).parent
RATE = 8000
KEYWORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
OTHERS = (HERE / "words.txt").read_text("utf-8").split()
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd", "en-029", "en-us-nyc"]
VARIANTS = (HERE / "variants.txt").read_text("utf-8").split()  # of espeak-ng, but for its robots
FLITE = ["kal", "kal16", "awb", "rms", "slt"]


class Voice(NamedTuple):
    """A voice of one of the synthesizers; `rate` 1 is its usual pace, `pitch` 50 its usual pitch."""

    program: str
    name: str
    rate: float
    pitch: int


def voices(rng: np.random.Generator, espeak: int = 400, flite: int = 300) -> list[Voice]:
    """Voices drawn at random: accent, speaker, pace and pitch."""
    drawn = [
        Voice("espeak-ng", f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}", rng.uniform(0.7, 1.3), rng.integers(20, 80))
        for _ in range(espeak)
    ]
    return drawn + [
        Voice("flite", str(rng.choice(FLITE)), rng.uniform(0.75, 1.4), rng.integers(30, 70)) for _ in range(flite)
    ]


def speak(word: str, voice: Voice) -> np.ndarray:
    """A word as one second of int16 at 8 kHz."""
    if voice.program == "espeak-ng":
        words = [
            "espeak-ng",
            "-v",
            voice.name,
            "-s",
            str(int(165 * voice.rate)),
            "-p",
            str(voice.pitch),
            "--stdout",
            word,
        ]
    else:
        settings = [f"duration_stretch={1 / voice.rate:.2f}", f"int_f0_target_mean={80 + 2 * voice.pitch}"]
        sets = [part for setting in settings for part in ("--setf", setting)]
        words = ["flite", "-voice", voice.name, *sets, "-t", word, "-o", "/dev/stdout"]
    said = subprocess.run(words, capture_output=True, check=True).stdout
    rate, audio = wavfile.read(io.BytesIO(_with_sizes(said)))
    return fit(resample_poly(audio.astype(np.float32), RATE, rate))


def fit(audio: np.ndarray) -> np.ndarray:
    """The part that is loud, in the middle of one second, its peak at half scale; int16, shape (8000,)."""
    loud = np.flatnonzero(np.abs(audio) > 0.02 * np.abs(audio).max())
    audio = audio[max(0, loud[0] - 400) : loud[-1] + 400]
    if len(audio) > RATE:
        middle = (len(audio) - RATE) // 2
        audio = audio[middle : middle + RATE]
    before = (RATE - len(audio)) // 2
    audio = np.pad(audio, (before, RATE - len(audio) - before))
    return np.round(audio * (16384 / np.abs(audio).max())).astype(np.int16)


def _with_sizes(wav: bytes) -> bytes:
    """A WAV written to a pipe does not know its size: set it to what came."""
    data = wav.index(b"data")
    sizes = (len(wav) - 8).to_bytes(4, "little"), (len(wav) - data - 8).to_bytes(4, "little")
    return wav[:4] + sizes[0] + wav[8 : data + 4] + sizes[1] + wav[data + 8 :]


def main(path: Path) -> None:
    """Speak ten keywords and as many other words in every voice."""
    rng = np.random.default_rng(0)
    jobs = []
    for number, voice in enumerate(voices(rng)):
        jobs += [(word, label, voice, number) for label, word in enumerate(KEYWORDS)]
        jobs += [(word, len(KEYWORDS), voice, number) for word in rng.choice(OTHERS, len(KEYWORDS), replace=False)]
    with ThreadPoolExecutor(2) as pool:
        audio = list(pool.map(lambda job: speak(job[0], job[2]), jobs))
    path.parent.mkdir(parents=True, exist_ok=True)
    labels, numbers = [job[1] for job in jobs], [job[3] for job in jobs]
    np.savez_compressed(path, audio=np.stack(audio), labels=np.array(labels), voice=np.array(numbers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
