"""Listens to a recording as a microphone would bring it, and says which words it hears. Needs numpy and onnxruntime.

`PYTHONPATH=build/keywords.edge python listen.py build/keywords.edge countdown.wav`
"""

import sys
import wave
from collections.abc import Iterator

import edgeonnx_runtime as er
import numpy as np

CHUNK = 800  # a tenth of a second, as a sound card might deliver it
SURE = 0.5


def chunks(path: str) -> Iterator[np.ndarray]:
    """The recording, half a second of silence before and after it, piece by piece."""
    with wave.open(path) as file:
        audio = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    audio = np.pad(audio, 4000)
    for start in range(0, len(audio), CHUNK):
        yield audio[start : start + CHUNK]


def words(model: er.Model, path: str) -> list[tuple[float, str]]:
    """Second and word, one for each run of windows that agree."""
    heard: list[tuple[float, str]] = []
    before = "other"
    for seconds, result in model.listen(chunks(path)):
        word = result.label if result.score > SURE else "other"
        if word not in ("other", before):
            heard.append((seconds, word))
        before = word
    return heard


if __name__ == "__main__":
    for seconds, word in words(er.load(sys.argv[1]), sys.argv[2]):
        print(f"{seconds:5.2f} s  {word}")
