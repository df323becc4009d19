"""Draws picture.png: four pages, and what the bundle says of each. After demo.py; needs Pillow."""

from pathlib import Path

import numpy as np
import pages
from PIL import Image, ImageDraw, ImageFont

import edgeonnx

HERE = Path(__file__).parent
CELL, MARGIN = 200, 12


def main() -> None:
    """Four cells side by side, the answer below each page."""
    model = edgeonnx.load(HERE / "build" / "orientation.edge")
    sheet = Image.new("L", (4 * CELL, CELL + 28), 255)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for turns in range(4):
        page = pages.page(100 + turns, turns)
        small = page.copy()
        small.thumbnail((CELL - 2 * MARGIN, CELL - 2 * MARGIN))
        left = turns * CELL + (CELL - small.width) // 2
        sheet.paste(small.convert("L"), (left, (CELL - small.height) // 2))
        draw.text((turns * CELL + CELL // 2, CELL + 8), str(model(np.asarray(page))), 0, font, anchor="mm")
    sheet.quantize(16).save(HERE / "picture.png", optimize=True)


if __name__ == "__main__":
    main()
