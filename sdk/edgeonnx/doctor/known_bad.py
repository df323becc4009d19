"""Combinations that are known to fail: `targets/facts/known_bad.toml`."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgeonnx.data import folder
from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding
from edgeonnx.versions import numbers, within

_SUBJECT = "known to fail"


class KnownBad(BaseModel):
    """A combination, and what becomes of it.

    Attributes:
        name: a word for it.
        level: `error`: it does not run; `warning`: it may not.
        versions: package, `python` or `glibc` -> bounds of its version.
        os: the device's system is one of these.
        machine: its architecture is one of these.
        installed: one of these packages is there too.
        lacks: a feature of the CPU that is missing.
        cpu_lists: whether Linux lists its CPUs in /sys.
        operators: the model has one of these.
        opset: bounds of the model's opset.
        message: what happens.
        mend: what mends it.
        source: where it is reported.
        measured: what was seen of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    level: Literal["warning", "error"]
    versions: dict[str, str] = Field(min_length=1)
    os: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    lacks: str | None = None
    cpu_lists: bool | None = None
    operators: tuple[str, ...] = ()
    opset: str | None = None
    message: str
    mend: str
    source: str
    measured: str | None = None


@dataclass(frozen=True)
class Scene:
    """What the rows are held against.

    Attributes:
        device: where it is to run.
        versions: package, `python` or `glibc` -> version, as far as known.
        operators: of the model. Without any it is the device that is looked at: rows on models are left out, with some
            the others are.
        opset: the model's.
    """

    device: Device
    versions: Mapping[str, str]
    operators: frozenset[str] = frozenset()
    opset: int = 0


def check_known_bad(scene: Scene) -> list[Finding]:
    """What of the scene is known to fail; nothing where nothing is."""
    return [
        Finding(row.level, _SUBJECT, f"{_named(row, scene)}: {row.message} ({row.source})", row.mend)
        for row in known_bad()
        if _applies(row, scene)
    ]


@cache
def known_bad() -> tuple[KnownBad, ...]:
    """All of them."""
    rows = tomllib.loads((folder("targets") / "facts" / "known_bad.toml").read_text("utf-8"))["known_bad"]
    return tuple(KnownBad.model_validate(row) for row in rows)


def versions_of(device: Device) -> dict[str, str]:
    """The versions that a device's facts tell."""
    told = dict(package.split(" ", 1) for package in device.packages)
    libc, _, version = (device.libc or "").partition(" ")
    more = {
        "onnxruntime": device.onnxruntime,
        "numpy": device.numpy,
        "onnxruntime-extensions": device.extensions,
        "python": device.interpreter,
        libc: version,
    }
    return told | {name: version for name, version in more.items() if name and version}


def _applies(row: KnownBad, scene: Scene) -> bool:
    device = scene.device
    versions = all(name in scene.versions and within(scene.versions[name], b) for name, b in row.versions.items())
    return (
        versions
        and (not row.os or device.os in row.os)
        and (not row.machine or device.machine in row.machine)
        and (not row.installed or any(name in scene.versions for name in row.installed))
        and (row.lacks is None or (device.features is not None and row.lacks not in device.features))
        and (row.cpu_lists is None or device.cpu_lists is row.cpu_lists)
        and _model_applies(row, scene)
    )


def _model_applies(row: KnownBad, scene: Scene) -> bool:
    if not row.operators or not scene.operators:
        return not row.operators and not scene.operators
    return bool(scene.operators & set(row.operators)) and (row.opset is None or within(str(scene.opset), row.opset))


def _named(row: KnownBad, scene: Scene) -> str:
    """The versions that the row is about, as they are: `onnxruntime 1.18.0 with numpy 2.1.0`."""
    return " with ".join(f"{name} {scene.versions[name]}" for name in row.versions if numbers(scene.versions[name]))
