"""Draws picture.png: the cosine of every query and every answer. After demo.py; needs Pillow."""

from pathlib import Path

import numpy as np
from metric import queries
from PIL import Image, ImageDraw, ImageFont

import edgeonnx

HERE = Path(__file__).parent
CELL, TEXT = 18, 300


def main() -> None:
    """A row a query, a column an answer; its own answer is on the diagonal, the best one found has a frame."""
    model = edgeonnx.load(HERE / "build" / "search.edge")
    asked, answers = zip(*queries(), strict=True)
    cosines = np.array([[model(query).similarity(vector) for vector in map(model, answers)] for query in asked])
    sheet = Image.new("L", (TEXT + CELL * len(asked) + 6, CELL * len(asked) + 6), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, (query, values) in enumerate(zip(asked, cosines, strict=True)):
        draw.text((TEXT - 6, row * CELL + CELL // 2 + 3), query, 0, font, anchor="rm")
        for column, value in enumerate(values):
            corner = TEXT + column * CELL, row * CELL + 3
            ends = [corner, (corner[0] + CELL - 2, corner[1] + CELL - 2)]
            draw.rectangle(ends, int(255 * (1 - max(value, 0))), 0 if column == values.argmax() else None)
    sheet.save(HERE / "picture.png", optimize=True)


if __name__ == "__main__":
    main()
