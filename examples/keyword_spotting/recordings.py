"""Cuts words that people spoke out of two Debian packages.

`apt-get download asterisk-core-sounds-en-wav pocketsphinx-testdata`, and `dpkg -x FILE build/debian` for each; then
`python recordings.py build/debian build/recordings.npz`, which needs numpy, scipy and pocketsphinx.

`audio` and `labels`: the one speaker of the telephone prompts, to train on, as voices.py writes its voices.
`test_audio` and `test_labels`: three other speakers, whose words pocketsphinx finds from what is known to be said.
five.wav and countdown.wav are some of these: the first of each number, from nine down to zero; nobody says one.
"""

import sys
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder
from scipy.io import wavfile
from scipy.signal import resample_poly
from voices import KEYWORDS, RATE, fit

HERE = Path(__file__).parent
PROMPTS = "usr/share/asterisk/sounds/en_US_f_Allison"
UTTERANCES = "usr/share/pocketsphinx/test/data"
DIGITS = [str(digit) for digit in range(10)]
FRAME = 160  # samples at 16 kHz, of pocketsphinx
MARGIN = 2 * FRAME
SAID = {
    "numbers.raw": "thirty three four oh six ninety two",
    "tidigits/dhd.2934z.raw": "two nine three four zero",
    "goforward.raw": "go forward ten meters",
    "something.raw": "go somewhere and do something",
    "cards/001.wav": "ten of clubs",
    "cards/002.wav": "four queen of clubs",
    "cards/003.wav": "seven of clubs",
    "cards/004.wav": "five five",
    "cards/005.wav": "eight of spades four of clubs seven of hearts",
}


def prompts(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Words of the telephone prompts, int16 (N, 8000), and their classes; longer prompts give their beginning."""
    audio, labels = [], []
    for path in sorted(folder.rglob("*.wav")):
        _, wave = wavfile.read(path)
        wave = wave.astype(np.float32)
        known = path.parent.name == "digits" and path.stem in DIGITS
        if known or path.parent.name in ("digits", "letters", "phonetic"):
            audio.append(fit(wave))
            labels.append(int(path.stem) if known else len(KEYWORDS))
        elif len(wave) > RATE and np.abs(wave[: RATE // 2]).max() > 1000:
            # The numbers in a prompt are said after "press": its first half second has none.
            audio.append(fit(wave[: RATE // 2]))
            labels.append(len(KEYWORDS))
    return np.stack(audio), np.array(labels)


def words(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Each word that is long enough to be a word of its own, int16 (N, 8000), and its class."""
    decoder, audio, labels = Decoder(samprate=16000, loglevel="FATAL"), [], []
    for name, text in SAID.items():
        wave = _read(folder / name)
        decoder.set_align_text(text)
        decoder.start_utt()
        decoder.process_raw(wave.tobytes(), full_utt=True)
        decoder.end_utt()
        for segment in decoder.seg():
            word, length = segment.word.split("(")[0], segment.end_frame - segment.start_frame
            if word[0] != "<" and length >= 15:
                start, end = segment.start_frame * FRAME - MARGIN, segment.end_frame * FRAME + 2 * MARGIN
                audio.append(fit(resample_poly(wave[max(0, start) : end].astype(np.float32), 1, 2)))
                labels.append(KEYWORDS.index(word) if word in KEYWORDS else len(KEYWORDS))
    return np.stack(audio), np.array(labels)


def _read(path: Path) -> np.ndarray:
    return np.fromfile(path, np.int16) if path.suffix == ".raw" else wavfile.read(path)[1]


def main(debian: Path, path: Path) -> None:
    """Write the .npz and the WAVs."""
    audio, labels = prompts(debian / PROMPTS)
    test_audio, test_labels = words(debian / UTTERANCES)
    np.savez_compressed(path, audio=audio, labels=labels, test_audio=test_audio, test_labels=test_labels)
    numbers = [label for label in reversed(range(len(KEYWORDS))) if label in test_labels]
    first = {label: test_audio[test_labels == label][0] for label in numbers}
    wavfile.write(HERE / "five.wav", RATE, first[5])
    wavfile.write(HERE / "countdown.wav", RATE, np.concatenate(list(first.values())))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
