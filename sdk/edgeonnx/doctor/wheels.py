"""Whether pip finds a wheel for a device: `targets/facts/wheels.toml`, tags as PEP 425, 600 and 656 have them.

What has none, a distribution may package: `targets/facts/packaged.toml`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from edgeonnx.data import folder
from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.versions import numbers

# What pip calls the architectures that Python's platform.machine() names.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l", "armv6l": "armv6l"}
_WINDOWS = {"x86_64": "win_amd64", "aarch64": "win_arm64", "i686": "win32", "x86": "win32", "i386": "win32"}
_NO_BUILD = {
    "musl": "take an image with glibc (debian:13-slim in place of alpine)",
    "armv7l": "install the 64-bit system",
    "armv6l": "no build runs on ARMv6 (the first Pi Zero); take a board with a 64-bit CPU",
}
# What runs on Jetson is NVIDIA's own build, for the Python of its system.
_JETSON = ("onnxruntime-gpu", "aarch64")


@dataclass(frozen=True)
class Wheels:
    """The wheels of one release.

    Attributes:
        release: of the package.
        pythons: platform tag -> Pythons it is built for, as `3.11`, `3.13t`, `3.9+` (that and newer) or `3` (any).
    """

    release: str
    pythons: Mapping[str, tuple[str, ...]]


@cache
def releases(package: str) -> tuple[Wheels, ...]:
    """Every known release of a package, oldest first; none of a package that is not known."""
    rows = [row for row in _rows("wheels.toml", "wheels") if row["package"] == package]
    wheels = [
        Wheels(release, {tag: tuple(pythons.split()) for tag, pythons in row["pythons"].items()})
        for row in rows
        for release in row["releases"]
    ]
    return tuple(sorted(wheels, key=lambda one: numbers(one.release)))


def newest(package: str, device: Device, minimum: str = "0") -> str | None:
    """The newest release with a wheel for a device, which pip would install there; None where there is none."""
    fitting = [one.release for one in releases(package) if _fits(one, device) and _reaches(one, minimum)]
    return fitting[-1] if fitting else None


def check_wheel(package: str, device: Device, minimum: str = "0") -> Finding:
    """Whether pip finds a release of a package from `minimum` on for the device's Python, C library and machine."""
    subject, where = f"{package} wheel", _where(device)
    if device.os == "browser":
        return ok(subject, "none is needed in a browser")
    if not releases(package):
        return _no_wheels(package, device, minimum)
    if device.machine is None:
        return warning(subject, "the machine is not known", "say it with --machine, or give --device")
    if release := newest(package, device, minimum):
        pythons = "" if device.interpreter else f" for {_pythons(package, device, minimum)}"
        return ok(subject, f"{release}{pythons} for {where}")
    older = newest(package, device)
    wanted = package if minimum == "0" else f"{package} {minimum} or newer"
    found = f"the newest is {older}" if older else "there is none"
    mend = _mend(package, device, minimum)
    if row := _packaged(package, device, minimum):
        told = f"expected {wanted} for {where}, {found}; {row['by']} packages {row['release']}"
        return warning(subject, told, f"{row['install']}; or {mend}")
    return error(subject, f"expected {wanted} for {where}, {found}", mend)


def _no_wheels(package: str, device: Device, minimum: str) -> Finding:
    """Of a package that is not on the list of wheels: a distribution's own, or unknown."""
    if row := _packaged(package, device, minimum):
        return ok(package, f"{row['by']} packages {row['release']}: {row['install']}")
    told = f"nothing is known of wheels of {package}"
    return warning(f"{package} wheel", told, f"on the device: pip download {package}")


def _mend(package: str, device: Device, minimum: str) -> str:
    """What to change where no release fits: Python, the C library, or the machine."""
    machine = _architecture(device)
    if pythons := _pythons(package, device, minimum):
        own = "; or take NVIDIA's own wheel for its JetPack" if (package, machine) == _JETSON else ""
        return f"install {pythons} there{own}"
    if machine in _NO_BUILD:
        return _NO_BUILD[machine]
    if (device.libc or "").startswith("musl"):
        return _NO_BUILD["musl"]
    anywhere = device.model_copy(update={"libc": None})
    if device.libc and _pythons(package, anywhere, minimum):
        tags = [tag for one in releases(package) if _reaches(one, minimum) for tag in one.pythons]
        oldest = min(found for tag in tags if tag.endswith(f"_{machine}") and (found := _glibc(tag)))
        return f"it asks for glibc {oldest[0]}.{oldest[1]} or newer: upgrade the system, or build {package} there"
    return f"build {package} from source for {machine}, or take another board: edgeonnx targets list"


def _pythons(package: str, device: Device, minimum: str) -> str:
    """The Pythons that the newest release on this platform is built for, as `Python 3.11 to 3.14`; or nothing."""
    for one in reversed(releases(package)):
        if not _reaches(one, minimum):
            return ""
        tags = [pythons for tag, pythons in one.pythons.items() if _platform_fits(tag, device)]
        if found := sorted({python for pythons in tags for python in pythons if python[-1] != "t"}, key=numbers):
            return f"Python {found[0]}" + (f" to {found[-1]}" if len(found) > 1 else "")
    return ""


def _packaged(package: str, device: Device, minimum: str) -> dict[str, str] | None:
    """The distribution that packages it for the device's C library and machine."""
    libc = (device.libc or "glibc").partition(" ")[0]
    for row in _rows("packaged.toml", "packaged"):
        named = package in (row["package"], row["install"].split()[-1])  # as pip names it, or the distribution
        fits = named and row["libc"] == libc and _architecture(device) in row["machine"]
        if fits and device.os == "linux" and numbers(row["release"]) >= numbers(minimum):
            return row
    return None


def _fits(wheels: Wheels, device: Device) -> bool:
    return any(
        _platform_fits(tag, device) and _python_fits(pythons, device.interpreter)
        for tag, pythons in wheels.pythons.items()
    )


def _python_fits(pythons: tuple[str, ...], interpreter: str | None) -> bool:
    if interpreter is None or interpreter in pythons or "3" in pythons:
        return True
    free = interpreter.endswith("t")
    return not free and any(p.endswith("+") and numbers(p) <= numbers(interpreter) for p in pythons)


def _platform_fits(tag: str, device: Device) -> bool:
    machine = _architecture(device)
    if tag == "any":
        return True
    if device.os == "windows":
        return tag == _WINDOWS.get(machine)
    if device.os == "macos":
        arm = "arm64" if machine == "aarch64" else machine
        return tag.startswith("macosx_") and tag.endswith((f"_{arm}", "_universal2"))
    if device.os != "linux" or not tag.endswith(f"_{machine}"):
        return False
    kind, _, version = (device.libc or "glibc 99.0").partition(" ")
    if kind == "musl":
        found = re.match(r"musllinux_(\d+)_(\d+)_", tag)
        return found is not None and (not version or (int(found[1]), int(found[2])) <= numbers(version)[:2])
    glibc = _glibc(tag)
    return glibc is not None and glibc <= numbers(version)[:2]


def _glibc(tag: str) -> tuple[int, ...] | None:
    """The oldest glibc that a manylinux tag asks for; None for another tag."""
    tag = tag.replace("manylinux2014", "manylinux_2_17").replace("manylinux2010", "manylinux_2_12")
    found = re.match(r"manylinux_(\d+)_(\d+)_", tag)
    return (int(found[1]), int(found[2])) if found else None


def _architecture(device: Device) -> str:
    machine = (device.machine or "").lower()
    return _ARCHITECTURES.get(machine, machine)


def _reaches(wheels: Wheels, minimum: str) -> bool:
    return numbers(wheels.release) >= numbers(minimum)


def _where(device: Device) -> str:
    python = f"Python {device.interpreter}" if device.interpreter else None
    return ", ".join(part for part in (python, device.os, device.libc, device.machine) if part)


@cache
def _rows(file: str, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads((folder("targets") / "facts" / file).read_text("utf-8"))[name]
    return rows
