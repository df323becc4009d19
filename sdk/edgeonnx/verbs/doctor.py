"""`edgeonnx doctor`: what would go wrong on a device, told before anything is copied there."""

from dataclasses import dataclass
from pathlib import Path

from edgeonnx.doctor.device import Device, read_device, this_machine
from edgeonnx.doctor.finding import Finding, Level, ok, worst
from edgeonnx.doctor.installation import check_installation, installed_versions
from edgeonnx.doctor.known_bad import Scene, check_known_bad, versions_of
from edgeonnx.errors import InputError
from edgeonnx.runtime._bundle import Bundle, open_bundle
from edgeonnx.targets import Target, load_target
from edgeonnx.verbs.bundle_checks import bundle_findings
from edgeonnx.verbs.data import as_model
from edgeonnx.verbs.device_checks import check_device, expected_device
from edgeonnx.verbs.model_checks import model_findings, trial_findings


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        level: the gravest of the findings.
        findings: a line each, in the order they were looked for.
    """

    level: Level
    findings: tuple[Finding, ...]


def doctor(
    source: str | Path | None = None,
    target: str | None = None,
    *,
    python: str | None = None,
    libc: str | None = None,
    machine: str | None = None,
    device: str | Path | None = None,
) -> Diagnosis:
    """Look for what would keep a model or a bundle from running on a device.

    Args:
        source: a model, or a bundle (`.edge`); None: the device alone, or without a target this installation.
        target: name or path of the device's profile; a bundle names its own.
        python: the Python there, as `3.11`, in place of the profile's.
        libc: the C library there, as `glibc 2.31` or `musl`.
        machine: the architecture there, as `aarch64`.
        device: a file with the facts of a real device, as the runtime's `facts --json` prints them.

    Raises:
        InputError: facts that can't be read or make no sense, or no target is given where one is needed.
        EdgeonnxError: no such target, or a model or bundle that can't be read.
    """
    given = {"python": python, "libc": libc, "machine": machine}
    bundle = open_bundle(str(source), verify=False) if _is_bundle(source) else None
    name = target or (bundle.manifest.target if bundle else None)
    if name is None:
        if source is not None or device is not None or any(given.values()):
            raise InputError("target: expected the device it is for, got none; say --target, as edgeonnx targets lists")
        return _diagnosis(_installation())
    profile = load_target(name)
    known = (read_device(Path(device)) if device else expected_device(profile)).changed(**given)
    findings = list(check_device(known, profile))
    if source is not None:
        findings += _source(source, bundle, profile, known)
    return _diagnosis(findings)


def _source(source: str | Path, bundle: Bundle | None, profile: Target, device: Device) -> list[Finding]:
    if bundle is not None:
        return list(bundle_findings(bundle, profile, device))
    model = as_model(source)
    return [*model_findings(model, profile, device), *trial_findings(model, profile, device)]


def _installation() -> list[Finding]:
    """This machine as the one that edgeonnx runs on."""
    here = this_machine()
    versions = {**versions_of(here), **installed_versions(("onnx",))}
    known = check_known_bad(Scene(here, versions))
    platform = ", ".join(str(part) for part in (here.os, here.machine, here.libc, f"Python {here.python}"))
    return [ok("this machine", platform), *check_installation(), *known]


def _is_bundle(source: str | Path | None) -> bool:
    return source is not None and str(source).endswith(".edge")


def _diagnosis(findings: list[Finding]) -> Diagnosis:
    return Diagnosis(worst(findings), tuple(findings))
