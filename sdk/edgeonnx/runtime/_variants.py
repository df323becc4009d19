"""What this CPU has, and which of a bundle's variants fits it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ._manifest import Tolerance, Variant

# What a manifest may ask of a CPU -> the words of /proc/cpuinfo that mean it; any one of them does.
# https://docs.kernel.org/arch/x86/cpuinfo.html and https://docs.kernel.org/arch/arm64/elf_hwcaps.html
FEATURES = {
    "avx2": {"avx2"},
    "avx512": {"avx512f"},
    "vnni": {"avx512_vnni", "avx_vnni"},
    "neon": {"asimd", "neon"},
    "dotprod": {"asimddp"},
    "i8mm": {"i8mm"},
}
# Apple's names: https://developer.apple.com/documentation/kernel/1387446-sysctlbyname
_APPLE = {
    "avx2": "hw.optional.avx2_0",
    "avx512": "hw.optional.avx512f",
    "neon": "hw.optional.AdvSIMD",
    "dotprod": "hw.optional.arm.FEAT_DotProd",
    "i8mm": "hw.optional.arm.FEAT_I8MM",
}
# Microsoft's numbers, of IsProcessorFeaturePresent; Windows has none for VNNI and I8MM.
_WINDOWS = {"avx2": 40, "avx512": 41, "neon": 19, "dotprod": 43}


def cpu_features(cpuinfo: str = "/proc/cpuinfo") -> frozenset[str]:
    """Which of `FEATURES` every CPU of this machine has, as its system says; what that does not tell is missing.

    Args:
        cpuinfo: where Linux says it.
    """
    if sys.platform == "darwin":
        return _apple_features()
    if sys.platform == "win32":
        return _windows_features()
    try:
        with open(cpuinfo, encoding="utf-8", errors="replace") as file:
            words = _words(file)
    except OSError:
        words = set()
    found = {feature for feature, meaning in FEATURES.items() if meaning & words}
    if os.uname().machine in ("aarch64", "arm64"):
        found.add("neon")  # no 64-bit Arm CPU that runs Linux lacks it
    return frozenset(found)


def unmet(variant: Variant, features: frozenset[str]) -> tuple[str, ...]:
    """What a variant needs and the CPU lacks."""
    return tuple(sorted(set(variant.features) - features))


def agrees(got: NDArray[Any], expected: NDArray[Any], tolerance: Tolerance) -> bool:
    """Whether an output is within its tolerance of the golden one."""
    kinds = {got.dtype.kind, expected.dtype.kind}
    if got.shape != expected.shape:
        return False
    if kinds <= {"O", "U"}:
        return bool((got.astype(str) == expected.astype(str)).all())
    if got.dtype != expected.dtype:
        return False
    if tolerance.atol == tolerance.rtol == 0:
        return bool(((got == expected) | ((got != got) & (expected != expected))).all())  # noqa: PLR0124  NaN
    wide, golden = got.astype(np.float64), expected.astype(np.float64)
    return bool(np.isclose(wide, golden, tolerance.rtol, tolerance.atol, equal_nan=True).all())


def _words(lines: Iterable[str]) -> set[str]:
    """The features that all CPUs of /proc/cpuinfo name."""
    common: set[str] | None = None
    for line in lines:
        key, _, words = line.partition(":")
        if key.strip() in ("flags", "Features"):
            own = set(words.split())
            common = own if common is None else common & own
    return common or set()


def _apple_features() -> frozenset[str]:
    import ctypes

    found = set()
    try:
        query = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError):
        return frozenset()
    for feature, name in _APPLE.items():
        value, size = ctypes.c_int64(0), ctypes.c_size_t(8)
        if query(name.encode(), ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)) == 0 and value.value:
            found.add(feature)
    return frozenset(found)


def _windows_features() -> frozenset[str]:
    import ctypes

    kernel: Any = vars(ctypes)["windll"].kernel32  # there on Windows alone
    return frozenset(name for name, number in _WINDOWS.items() if kernel.IsProcessorFeaturePresent(number))


def describe(reasons: Mapping[str, str]) -> str:
    """`NAME: why` for each variant that does not do."""
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())
