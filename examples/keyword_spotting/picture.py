"""Draws picture.png: a recording, and what the bundle hears in it, window by window. After demo.py; needs Pillow."""

import wave
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import edgeonnx

HERE = Path(__file__).parent
RATE, HOP, PIXEL = 8000, 0.1, 7
HEIGHT, LINE = 90, 14


def main() -> None:
    """The waveform, and a row for each class: the darker, the surer that the second around there holds the word."""
    model = edgeonnx.load(HERE / "build" / "keywords.edge")
    with wave.open(str(HERE / "countdown.wav")) as file:
        audio = np.pad(np.frombuffer(file.readframes(file.getnframes()), np.int16), RATE // 2)
    starts = range(0, len(audio) - RATE, int(HOP * RATE))
    sure = np.array([model.run({"audio": audio[s : s + RATE]})["probabilities"][0] for s in starts]).T
    names = (HERE / "labels.txt").read_text().split()
    sheet = Image.new("L", (60 + PIXEL * len(starts), HEIGHT + LINE * len(names)), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    middle = audio[RATE // 2 : RATE // 2 + int(HOP * RATE) * len(starts)]
    for x, piece in enumerate(np.array_split(middle, PIXEL * len(starts))):
        top, bottom = (HEIGHT / 2 - HEIGHT / 2 * value / 17000 for value in (piece.max(), piece.min()))
        draw.line([(60 + x, top), (60 + x, bottom)], 90)
    for row, (name, values) in enumerate(zip(names, sure, strict=True)):
        draw.text((54, HEIGHT + LINE * row + LINE // 2), name, 0, font, anchor="rm")
        for column, value in enumerate(values):
            left, top = 60 + PIXEL * column, HEIGHT + LINE * row
            draw.rectangle([(left, top), (left + PIXEL - 1, top + LINE - 2)], int(255 * (1 - value)))
    sheet.save(HERE / "picture.png", optimize=True)


if __name__ == "__main__":
    main()
