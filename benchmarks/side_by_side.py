"""What the comparisons of tools share: words of their command lines, the machine, means, and cells of their tables."""

import argparse
import math
import platform
from collections.abc import Callable, Collection, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"


def parser_of(description: str, cases: Collection[str]) -> argparse.ArgumentParser:
    """A command line that takes cases, and where tools are installed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cases", type=several(cases), default=tuple(cases), help=f"which of {','.join(cases)}")
    parser.add_argument("--environments", type=absolute, default=ROOT / ".venv-peers", help="where tools are installed")
    return parser


def absolute(text: str) -> Path:
    """Tools run in folders of their own."""
    return Path(text).absolute()


def several(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Parses some of what is known, by commas."""

    def parse(text: str) -> tuple[str, ...]:
        words = tuple(text.split(","))
        if unknown := set(words) - set(known):
            raise argparse.ArgumentTypeError(f"expected some of {','.join(known)}, got {','.join(sorted(unknown))}")
        return words

    return parse


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    cpu = f"{names[0]}, {len(names)} cores" if names else platform.machine()
    return f"{cpu}; onnxruntime {version('onnxruntime')}, one thread; edgeonnx {version('edgeonnx')}"


def cell(text: str) -> str:
    """As it stands in a table."""
    return text.replace("|", "/")


def mean(ratios: Sequence[float]) -> str:
    """Geometric; nothing of nothing."""
    return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}" if ratios else ""


def spread(middle: float, low: float, high: float) -> str:
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
