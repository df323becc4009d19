"""Whether this machine is of a target's kind, so that a time taken here says something about the target."""

import platform
from pathlib import Path

from edgeonnx.targets.profile import Target

_SYSTEMS = {"linux": "Linux", "macos": "Darwin", "windows": "Windows", "android": "Android"}

# The words of /proc/cpuinfo that mean an instruction set is there; any one of them does.
# https://docs.kernel.org/arch/arm64/elf_hwcaps.html and https://docs.kernel.org/arch/x86/cpuinfo.html
_FLAGS = {
    "neon": {"asimd"},
    "dotprod": {"asimddp"},
    "i8mm": {"i8mm"},
    "avx2": {"avx2"},
    "vnni": {"avx512_vnni", "avx_vnni"},
}


def runs_here(target: Target, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this machine has the target's system, architecture and INT8 instructions.

    A CPU with more than the target has is of its kind too, with one exception: where the target's products saturate
    (AVX2), a CPU with VNNI runs other kernels, with other results and at another speed, so it is not.

    Args:
        target: the profile to compare with.
        cpuinfo: what the kernel says of the CPU; only Linux has it, elsewhere system and architecture decide.
    """
    if platform.system() != _SYSTEMS.get(target.platform.os) or platform.machine() != target.platform.machine:
        return False
    if target.arithmetic.isa not in _FLAGS:
        return False  # an accelerator: the CPU says nothing about it
    if not cpuinfo.is_file():
        return target.platform.os != "linux"
    here = cpu_flags(cpuinfo.read_text("utf-8", errors="replace"))
    saturates = not here & _FLAGS["vnni"]
    wanted_saturates = target.arithmetic.u8s8 == "saturating"
    return bool(here & _FLAGS[target.arithmetic.isa]) and (saturates or not wanted_saturates)


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """Feature words of the first CPU in the text of `/proc/cpuinfo` (`flags` on x86, `Features` on ARM)."""
    for line in cpuinfo.splitlines():
        key, _, words = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            return frozenset(words.split())
    return frozenset()
