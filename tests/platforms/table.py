"""Writes docs/platforms.md from what the platforms' tests wrote: `make platforms`."""

import sys

from tests.house.tree import ROOT
from tests.platforms.report import read_results, table

DOCUMENT = ROOT / "docs" / "platforms.md"
_INTRODUCTION = """\
# One model, every platform

Written by `make platforms` from tests that ran.

One bundle, the example of grey pictures in INT8 and in float, and its golden samples on every platform. A cell gives
the largest difference from the recorded outputs, and what is allowed there: `0` is the same to the bit. How far a
device may be is measured when the bundle is made; see [the bundle](bundle.md).

- *native*: on this machine, x86-64 with Linux.
- *emulated*: another CPU under QEMU's user mode; its own userland, its own onnxruntime. Says nothing of speed.
- *simulated*: the vendor's simulator of an accelerator.
- *browser*: in headless Chromium.

"""


def main() -> int:
    """Writes the document; names platforms that stood in it and did not run this time."""
    platforms = read_results()
    before = DOCUMENT.read_text("utf-8") if DOCUMENT.exists() else ""
    text = _INTRODUCTION + table(platforms)
    DOCUMENT.write_text(text, "utf-8")
    titles = {platform.title for platform in platforms}
    rows = [line.split(" | ")[0].removeprefix("| ") for line in before.splitlines() if line.startswith("| ")][2:]
    gone = [title for title in rows if title not in titles]
    for title in gone:
        print(f"{title}: not run this time, so no longer in {DOCUMENT.relative_to(ROOT)}", file=sys.stderr)
    return 1 if gone else 0


if __name__ == "__main__":
    sys.exit(main())
