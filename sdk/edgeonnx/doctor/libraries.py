"""Libraries of custom operators: whether a device's loader would take them."""

import re

from edgeonnx.doctor.device import Device
from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.libraries.binary import Binary
from edgeonnx.versions import numbers

# What a device that runs onnxruntime has: the wheels are linked with these.
_COMMON = re.compile(r"(lib(c|m|stdc\+\+|gcc_s|pthread|dl|rt|c\.musl.*)|ld-(linux|musl).*)\.so(\.\d+)*")
_BUILD = "build it on a system as old as the device's, or in a container of that"


def check_library(name: str, binary: Binary, device: Device) -> Finding:
    """Whether the C library and the other libraries that it asks for are on the device.

    Args:
        name: its file's.
        binary: what its headers say; it is for the device's platform.
        device: what is known of it.
    """
    there = device.libc
    if binary.libc and there and (told := _libc(name, binary.libc, there)):
        # A profile names the oldest C library there may be; a device that was looked at, its own.
        return error("library", told, _BUILD) if device.real else warning("library", told, _BUILD)
    if foreign := [needed for needed in binary.needs if not _COMMON.fullmatch(needed)]:
        told = f"{name} is linked with {', '.join(foreign)}, which the device needs too"
        return warning("library", told, "install them there, or link them into it")
    asks = f", asks for {binary.libc}" if binary.libc else ""
    return ok("library", f"{name} is for {', '.join(binary.platforms)}{asks}")


def _libc(name: str, wanted: str, there: str) -> str | None:
    """How the C libraries don't go together; None where they do."""
    kind, _, version = wanted.partition(" ")
    if kind != there.partition(" ")[0] or numbers(version) > numbers(there.partition(" ")[2]):
        newer = " or newer" if version else ""
        return f"{name} asks for {wanted}{newer}, the device has {there}"
    return None
