"""The platform that this process is of: what a library must be built for to be loaded into it."""

from __future__ import annotations

import platform
import struct
import sys

_SYSTEMS = {"darwin": "macos", "win32": "windows"}
# A 32-bit Python on a 64-bit kernel, whose machine the kernel names.
_NARROW = {"aarch64": "armv7l", "arm64": "armv7l", "armv8l": "armv7l", "x86_64": "i686", "amd64": "i686"}
# Windows on Arm runs programs for x86-64 too, and names the processor.
_WINDOWS = {"win-amd64": "AMD64", "win-arm64": "ARM64", "win32": "x86"}
# Names of one machine on several systems.
_SAME = {"amd64": "x86_64", "arm64": "aarch64", "armv8l": "armv7l", "x86": "i686"}


def system() -> str:
    """`linux`, `macos`, `windows`, `android`."""
    if hasattr(sys, "getandroidapilevel"):  # Pythons before 3.13 call it linux
        return "android"
    return _SYSTEMS.get(sys.platform, sys.platform)


def machine() -> str:
    """As `platform.machine()` names it, but for the instructions that this Python is built for."""
    found = platform.machine()
    if sys.platform == "win32":
        from sysconfig import get_platform

        found = _WINDOWS.get(get_platform(), found)
    return _NARROW.get(found.lower(), found) if struct.calcsize("P") == 4 else found


def platform_name(os: str, machine: str) -> str:
    """A platform as libraries are known by: `linux-aarch64`, `macos-aarch64`, `windows-x86_64`.

    Args:
        os: `linux`, `macos`, `windows`, `android`.
        machine: as Python's platform.machine() names it there.
    """
    machine = machine.lower()
    return f"{os}-{_SAME.get(machine, machine)}"


def this_platform() -> str:
    """This process's."""
    return platform_name(system(), machine())
