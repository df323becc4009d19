"""Writes `targets/facts/wheels.toml` from what pip is told of each package: `python -m edgeonnx.doctor.collect FILE`.

pip names each wheel that it passes over when it is told in detail; for a platform that does not exist those are all.
"""

import datetime
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

# What a device installs, each from the first release that is of interest on.
PACKAGES = {
    "onnxruntime": (1, 16),
    "onnxruntime-extensions": (0, 10),
    "onnxruntime-gpu": (1, 18),
    "onnxruntime-openvino": (1, 18),
    "onnxruntime-qnn": (1, 18),
    "numpy": (1, 26),
}
_WHEEL = re.compile(
    r"/[\w.]+-(?P<release>\d+(\.\d+)*)-(cp(?P<python>\d+)-(?P<abi>\w+)|py3-none)-(?P<platform>[\w.]+)\.whl\b"
)
_HEADER = """\
# Which wheels there are, as pip was told on the date below: releases of a package that have the same ones share a row.
# A platform's tag is the oldest it fits, as PEP 600 and PEP 656 have it; `t` marks a Python with free threads.
# Written by `python -m edgeonnx.doctor.collect targets/facts/wheels.toml`.

seen = {seen}
"""

Wheels = Mapping[str, str]  # platform tag -> Pythons, divided by spaces


def document(today: datetime.date) -> str:
    """The whole file."""
    rows = [_row(package, releases, dict(wheels)) for package in PACKAGES for releases, wheels in _grouped(package)]
    return "\n".join([_HEADER.format(seen=today.isoformat()), *rows])


def parse(log: str, first: tuple[int, ...]) -> dict[str, dict[str, list[str]]]:
    """Release -> platform tag -> Pythons, of the wheels that a log names; releases before `first` are left out."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for wheel in _WHEEL.finditer(log):
        if _numbers(wheel["release"]) >= first:
            found[wheel["release"]][_oldest(wheel["platform"])].add(_python(wheel["python"], wheel["abi"]))
    return {
        release: {tag: sorted(pythons, key=_ordered) for tag, pythons in sorted(found[release].items())}
        for release in sorted(found, key=_numbers)
    }


def _grouped(package: str) -> list[tuple[list[str], tuple[tuple[str, str], ...]]]:
    releases = parse(_log(package), PACKAGES[package])
    told = [(release, tuple((tag, " ".join(p)) for tag, p in wheels.items())) for release, wheels in releases.items()]
    return [([release for release, _ in same], wheels) for wheels, same in groupby(told, key=lambda one: one[1])]


def _log(package: str) -> str:
    """What pip says of a package; it fails here in any case, for no wheel fits."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--platform", "none", "--python-version", "3.0", "--implementation", "none", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", "-vv", "--no-deps", "--only-binary=:all:", *where, package]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
    if not _WHEEL.search(ran.stdout):
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        sys.exit(f"{package}: expected pip to name its wheels, got none: {said[-1]}")
    return ran.stdout


def _row(package: str, releases: list[str], wheels: Wheels) -> str:
    named = ", ".join(f'"{release}"' for release in releases)
    lines = [f'[[wheels]]\npackage = "{package}"\nreleases = [{named}]', "[wheels.pythons]"]
    return "\n".join([*lines, *(f'{tag} = "{pythons}"' for tag, pythons in wheels.items()), ""])


def _python(tag: str | None, abi: str | None) -> str:
    """`3.11` of `311`; `3` where any does, `3.9+` where any from that on."""
    if tag is None:
        return "3"
    version = f"{tag[0]}.{tag[1:]}"
    if abi == "abi3":
        return f"{version}+"
    return f"{version}t" if abi is not None and abi.endswith("t") else version


def _oldest(tags: str) -> str:
    """Of several tags for one platform, that of the oldest C library; `manylinux2014` is `manylinux_2_17`."""
    return min((tag for tag in tags.split(".") if re.search(r"_\d+_\d+_|^win|^any|^linux", tag)), key=_numbers)


def _ordered(python: str) -> tuple[tuple[int, ...], str]:
    return _numbers(python), python


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(datetime.datetime.now(datetime.UTC).date()), "utf-8")
