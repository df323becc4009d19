"""Renders pages of text as a scanner sees them, turned by quarter turns: the same pages each time. Needs Pillow.

`python pages.py build` writes build/calibration/0 to 3 and build/test/0 to 3.
"""

import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LICENSE = Path(__file__).parents[2] / "LICENSE"
WIDTH, HEIGHT = 480, 640


def page(seed: int, turns: int) -> Image.Image:
    """A page that was turned clockwise by `turns` quarter turns, and lies a little askew."""
    rng = random.Random(seed)
    words = LICENSE.read_text("utf-8").split()
    paper, ink = (rng.randint(200, 255),) * 3, (rng.randint(0, 110),) * 3
    image = Image.new("RGB", (WIDTH, HEIGHT), paper)
    draw, size, left, y = ImageDraw.Draw(image), rng.randint(12, 28), rng.randint(16, 80), rng.uniform(16, 120)
    font = ImageFont.load_default(size)
    for _ in range(rng.randint(8, 30)):
        if y < HEIGHT - 40:
            start = rng.randrange(len(words) - 12)
            line = " ".join(words[start : start + 12])[: int((WIDTH - left) / size * rng.uniform(0.8, 1.8))]
            draw.text((left, y), line, fill=ink, font=font)
            y += size * rng.uniform(1.3, 1.9)
    return image.rotate(-90 * turns + rng.uniform(-4, 4), expand=turns % 2 == 1, fillcolor=paper)


def main(folder: Path) -> None:
    """100 pages to calibrate on, 200 to test."""
    for name, seeds in (("calibration", range(100)), ("test", range(100, 300))):
        for seed in seeds:
            path = folder / name / str(seed % 4) / f"{seed:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            page(seed, seed % 4).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
