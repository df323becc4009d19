"""A target's profile as facts of a device, and what is wrong between the two."""

from collections.abc import Iterator

import onnxruntime as ort

from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.doctor.known_bad import Scene, check_known_bad, versions_of
from edgeonnx.doctor.wheels import check_wheel, newest
from edgeonnx.explain import explain
from edgeonnx.runtime._variants import FEATURES
from edgeonnx.targets import Target, runs_here
from edgeonnx.versions import numbers

# Systems whose programs bring onnxruntime along.
_WITHOUT_PIP = ("browser", "android")
# Packages that hold a provider alone, to be loaded by onnxruntime.
_PLUGINS = ("onnxruntime-qnn",)
_NOT_THERE = "No module named 'onnxruntime'"
# Of a traceback the end tells most.
_SHOWN = 200


def expected_device(target: Target) -> Device:
    """The device that a profile describes: the least of what its boards have."""
    hardware, platform = target.hardware, target.platform
    words = {*hardware.cpu_features, target.arithmetic.isa}
    features = frozenset(name for name, meanings in FEATURES.items() if name in words or meanings & words)
    return Device(
        os=platform.os,
        machine=platform.machine,
        python=platform.python,
        libc=platform.libc,
        features=features or None,
        cpus=hardware.cores,
        memory_mb=min(hardware.memory_mb, default=None),
    )


def scene(device: Device, target: Target, operators: frozenset[str] = frozenset(), opset: int = 0) -> Scene:
    """What is installed on the device; on one that was not looked at, what pip would install there."""
    versions = versions_of(device)
    if not device.real and target.platform.os not in _WITHOUT_PIP:
        package, minimum = target.onnxruntime.package, target.onnxruntime.minimum
        would = {package: newest(package, device, minimum), "numpy": newest("numpy", device)}
        versions |= {name: release for name, release in would.items() if release is not None}
    return Scene(device, versions, operators, opset)


def check_device(device: Device, target: Target) -> Iterator[Finding]:
    """The device against the profile: platform, Python, onnxruntime, provider, CPU, what is known to fail."""
    yield _platform(device, target)
    if target.platform.os in _WITHOUT_PIP:
        yield ok("onnxruntime", f"the program brings {target.onnxruntime.package} along")
    elif device.real:
        yield from _installed(device, target)
    else:
        yield from _wheels(device, target)
    if device.real:
        yield _features(device, target)
    else:
        yield _here(target)
    yield from check_known_bad(scene(device, target))


def _platform(device: Device, target: Target) -> Finding:
    expected, got = (target.platform.os, target.platform.machine), (device.os, device.machine)
    if expected != got:
        return error(
            "platform",
            f"expected {' on '.join(expected)}, got {' on '.join(part or 'unknown' for part in got)}",
            "take the target of that device: edgeonnx targets list",
        )
    python = target.platform.python
    if python and device.interpreter and numbers(device.interpreter) < numbers(python):
        return warning(
            "platform",
            f"expected Python {python} or newer, got {device.python}",
            f"install Python {python} there; the runtime itself runs from 3.9 on",
        )
    return ok("platform", ", ".join(str(part) for part in (*got, device.libc, device.python) if part))


def _wheels(device: Device, target: Target) -> Iterator[Finding]:
    package, minimum = target.onnxruntime.package, target.onnxruntime.minimum
    yield check_wheel(package, device, minimum)
    if package in _PLUGINS:
        yield check_wheel("onnxruntime", device, minimum)
    yield check_wheel("numpy", device)


def _installed(device: Device, target: Target) -> Iterator[Finding]:
    """What a device that was looked at has."""
    minimum = target.onnxruntime.minimum
    install = f"pip install '{target.onnxruntime.package}>={minimum}'"
    if device.onnxruntime is None:
        yield _missing(device.broken or _NOT_THERE, install)
    elif numbers(device.onnxruntime) < numbers(minimum):
        yield error("onnxruntime", f"expected {minimum} or newer, got {device.onnxruntime}", install)
    else:
        yield ok("onnxruntime", device.onnxruntime)
    if device.numpy is None:
        yield error("numpy", "it is not installed", "pip install numpy")
    yield from check_providers(device, [provider.name for provider in target.providers], target.onnxruntime.package)


def _missing(why: str, install: str) -> Finding:
    """An onnxruntime that is not installed, or can't be imported."""
    if _NOT_THERE in why:
        return error("onnxruntime", "it is not installed", install)
    known = explain(why)
    if known is not None:
        return error("onnxruntime", f"it can't be imported: {known.cause}", known.fix)
    return error("onnxruntime", f"it can't be imported: {why[-_SHOWN:]}", install)


def check_providers(device: Device, wanted: list[str], package: str) -> Iterator[Finding]:
    """Whether the device's onnxruntime has the providers; nothing where that is not known."""
    if device.providers is None:
        return
    plugin = any(line.startswith(_PLUGINS) for line in device.packages)
    for name in wanted:
        if name in device.providers:
            yield ok("provider", name)
        elif plugin:
            yield ok("provider", f"{name} comes with the plugin {package}, which is installed")
        else:
            has = ", ".join(device.providers)
            mend = f"pip uninstall -y onnxruntime, then pip install {package}"
            yield error("provider", f"expected {name}, got {has}", mend)


def _features(device: Device, target: Target) -> Finding:
    """Whether the CPU has what the profile counts on."""
    expected = expected_device(target).features or frozenset()
    if device.features is None:
        return warning("CPU", "its features are not known", "install numpy there, and write its facts again")
    if missing := sorted(expected - device.features):
        mend = "take the target of that board, or of its family: edgeonnx targets list"
        return error("CPU", f"{target.name} has {', '.join(missing)}, this device has not", mend)
    return ok("CPU", ", ".join(sorted(device.features)) or "no features that matter here")


def stands_in(target: Target) -> bool:
    """Whether this machine, with the onnxruntime of this interpreter, can stand in for the device."""
    missing = {provider.name for provider in target.providers} - set(ort.get_available_providers())
    return runs_here(target) and not missing


def _here(target: Target) -> Finding:
    if stands_in(target):
        return ok("this machine", f"is of the kind of {target.name}: what is timed here counts")
    return ok("this machine", f"is not of the kind of {target.name}: nothing is timed here, and --device tells more")
