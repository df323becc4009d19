"""How far from the golden samples each platform was: one JSON file a platform, one table of them all."""

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.house.tree import ROOT

RESULTS = ROOT / "build" / "platforms"
# How the table is ordered.
KINDS = ("native", "emulated", "simulated", "browser")
# Runs where there is a Python.
DEVICE = Path(__file__).parent / "device.py"
_LINE = re.compile(
    r"(?P<variant>.+?): (?P<output>.+)  difference (?P<difference>\S+), allowed (?P<allowed>\S+): (?P<said>.+)"
)


@dataclass(frozen=True)
class Difference:
    """How far one output of one variant was from the golden samples.

    Attributes:
        difference: the largest of all elements of all samples.
        allowed: the tolerance of that element.
        ok: whether every element was within its own.
    """

    variant: str
    output: str
    difference: float
    allowed: float
    ok: bool

    def __str__(self) -> str:
        return f"{_short(self.difference)} of {_short(self.allowed)}"


@dataclass(frozen=True)
class Platform:
    """What one platform gave for the golden samples.

    Attributes:
        name: of the file, unique.
        title: for people: machine or chip, operating system, language.
        onnxruntime: its release and, where it is not PyPI's wheel, its package.
        kind: how it ran: one of `KINDS`.
        outputs: every output of every variant.
    """

    name: str
    title: str
    onnxruntime: str
    kind: str
    outputs: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> "Platform":
        return cls(**{**value, "outputs": tuple(Difference(**each) for each in value["outputs"])})


def from_json(reports: Iterable[Mapping[str, Any]]) -> tuple[Difference, ...]:
    """The differences in a list of variants as JSON."""
    found = []
    for report in reports:
        for each in report["outputs"]:
            difference = float("inf") if each["difference"] is None else each["difference"]
            found.append(Difference(report["variant"], each["name"], difference, each["allowed"], each["ok"]))
    return tuple(found)


def from_text(lines: str) -> tuple[Difference, ...]:
    """The differences in what the C example prints."""
    found = [match for match in map(_LINE.fullmatch, lines.splitlines()) if match]
    return tuple(
        Difference(m["variant"], m["output"], float(m["difference"]), float(m["allowed"]), m["said"] == "ok")
        for m in found
    )


def from_device(ran: "subprocess.CompletedProcess[str]") -> tuple[str, tuple[Difference, ...]]:
    """onnxruntime's release and the differences, from a run of `DEVICE`."""
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout.splitlines()[-1])  # a provider's library may talk before
    return report["onnxruntime"], from_json(report["variants"])


def read_results(folder: Path = RESULTS) -> list[Platform]:
    """The platforms that wrote a result, in the table's order."""
    found = [Platform.of(json.loads(path.read_text("utf-8"))) for path in folder.glob("*.json")]
    return sorted(found, key=lambda platform: (KINDS.index(platform.kind), platform.title))


def table(platforms: Iterable[Platform]) -> str:
    """The platforms as a table, a column for each variant."""
    platforms = list(platforms)
    variants = list(dict.fromkeys(each.variant for platform in platforms for each in platform.outputs))
    rows = [["platform", "onnxruntime", "ran", *variants], ["---"] * (3 + len(variants))]
    for platform in platforms:
        cells = [_cell([each for each in platform.outputs if each.variant == variant]) for variant in variants]
        rows.append([platform.title, platform.onnxruntime, platform.kind, *cells])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(outputs: list[Difference]) -> str:
    told = [str(outputs[0])] if len(outputs) == 1 else [f"{each.output}: {each}" for each in outputs]
    return "; ".join(told)


def _short(value: float) -> str:
    return f"{value:.2g}"
