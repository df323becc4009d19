"""What a device makes of a bundle."""

from collections.abc import Iterator
from pathlib import Path

from edgeonnx.doctor.cpu import check_variants
from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.doctor.libraries import check_library
from edgeonnx.doctor.memory import check_memory, least
from edgeonnx.doctor.trial import run_once
from edgeonnx.doctor.wheels import check_wheel
from edgeonnx.errors import BundleError
from edgeonnx.libraries.binary import read_binary
from edgeonnx.runtime._bundle import Bundle
from edgeonnx.runtime._manifest import Manifest
from edgeonnx.runtime._platform import platform_name
from edgeonnx.targets import Target
from edgeonnx.verbs.device_checks import stands_in
from edgeonnx.versions import numbers


def bundle_findings(bundle: Bundle, target: Target, device: Device) -> Iterator[Finding]:
    """The bundle's own health, then its manifest against the device."""
    manifest = bundle.manifest
    yield _hashes(bundle)
    yield _target(manifest, target)
    yield _onnxruntime(manifest, target, device)
    yield from _extensions(manifest, device)
    yield from _libraries(bundle, device)
    yield check_variants({variant.name: variant.features for variant in manifest.variants}, device)
    yield from _run(bundle, target, device)


def _hashes(bundle: Bundle) -> Finding:
    try:
        bundle.verify()
    except BundleError as problem:
        return error("hashes", str(problem), "copy it again, or package the model again")
    return ok("hashes", f"{len(bundle.manifest.files)} entries are as they were written")


def _target(manifest: Manifest, target: Target) -> Finding:
    if manifest.target == target.name:
        return ok("target", manifest.target)
    return warning(
        "target",
        f"it was packaged for {manifest.target}, and is looked at for {target.name}",
        f"edgeonnx package MODEL --target {target.name}",
    )


def _onnxruntime(manifest: Manifest, target: Target, device: Device) -> Finding:
    """Whether the device's release loads the variants; on one that was not looked at, whether a wheel does."""
    package, needed = target.onnxruntime.package, {variant.name: variant.minimum for variant in manifest.variants}
    if not device.real:
        return check_wheel(package, device, max(needed.values(), key=numbers))
    there = device.onnxruntime
    if there is None:
        return error("bundle needs", f"onnxruntime {manifest.onnxruntime.minimum} or newer", f"pip install {package}")
    late = {name: minimum for name, minimum in needed.items() if numbers(there) < numbers(minimum)}
    if late:
        told = ", ".join(f"{name} needs {minimum}" for name, minimum in late.items())
        newest = max(late.values(), key=numbers)
        return error("bundle needs", f"{told}, the device has {there}", f"pip install '{package}>={newest}'")
    return ok("bundle needs", f"onnxruntime {manifest.onnxruntime.minimum} or newer, the device has {there}")


def _extensions(manifest: Manifest, device: Device) -> Iterator[Finding]:
    if manifest.extensions is None:
        return
    if not device.real:
        yield check_wheel("onnxruntime-extensions", device)
    elif device.extensions is None or numbers(device.extensions) < numbers(manifest.extensions):
        got = device.extensions or "none"
        mend = f"pip install 'onnxruntime-extensions>={manifest.extensions}'"
        yield error("extensions", f"expected onnxruntime-extensions {manifest.extensions} or newer, got {got}", mend)
    else:
        yield ok("extensions", f"onnxruntime-extensions {device.extensions}")


def _libraries(bundle: Bundle, device: Device) -> Iterator[Finding]:
    """The libraries of custom operators for the device."""
    needs = bundle.manifest.custom_ops
    if needs is None or device.os is None or device.machine is None:
        return
    platform = platform_name(device.os, device.machine)
    own = [library for library in needs.libraries if library.platform == platform]
    for library in own:
        binary = read_binary(bundle.read(library.file))
        if binary is None or platform not in binary.platforms:
            yield error("library", f"{library.file} is not for {platform}", "package the model again")
        else:
            yield check_library(library.file, binary, device)
    if not own:
        names, there = ", ".join(needs.operators), ", ".join(library.platform for library in needs.libraries)
        mend = f"package the model with --custom-op for {platform}"
        yield error("library", f"{names}: expected a library for {platform}, got those for {there}", mend)


def _run(bundle: Bundle, target: Target, device: Device) -> Iterator[Finding]:
    """Its self-test, where this machine can stand in for the device, and the memory it takes."""
    weights = sum(bundle.manifest.files[name].bytes for name in _files(bundle.manifest))
    if not stands_in(target):
        yield check_memory(least(weights), device)
        return
    trial = run_once(Path(bundle.path))
    if trial.failure is not None:
        yield error("self-test here", trial.failure, trial.mend)
    else:
        yield ok("self-test here", "its golden samples give their outputs")
    yield check_memory(trial.need or least(weights), device)


def _files(manifest: Manifest) -> tuple[str, ...]:
    """The model and weights of the variant that is largest."""
    variants = [(variant.file, *variant.weights) for variant in manifest.variants]
    return max(variants, key=lambda names: sum(manifest.files[name].bytes for name in names))
