"""What this machine is and has, for `edgeonnx doctor --device`; onnxruntime may be missing or broken here."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import Any

from ._platform import machine, system

SCHEMA = 1

_CPU_LISTS = ("possible", "present")
_CPUS = "sys/devices/system/cpu"
_PROBE = "import json, onnxruntime as o; print(json.dumps([o.__version__, o.get_available_providers()]))"
_PROBE_SECONDS = 120
# What a process ends with that could not become another: posix_spawn under an emulator does not say it otherwise.
_NOT_STARTED = 127
_MIB = 1 << 20


def facts(root: str = "/") -> dict[str, Any]:
    """This machine's facts, as JSON has them; None where the system does not tell.

    onnxruntime is imported by a process of its own, for it ends one on some machines.

    Args:
        root: where `proc`, `sys` and `lib` are.
    """
    total, available = _memory(root)
    return {
        "facts": SCHEMA,
        "os": system(),
        "machine": machine(),
        "python": _python(),
        "libc": _libc(root),
        "features": _features(),
        "cpus": _cpus(),
        "cpu_lists": _cpu_lists(root),
        "memory_mb": total,
        "available_mb": available,
        **_installed(),
        **_onnxruntime(),
    }


def describe(as_json: bool) -> str:
    """The facts as text."""
    import json

    found = facts()
    if as_json:
        return json.dumps(found, indent=2)
    told = {name: ", ".join(value) if isinstance(value, list) else value for name, value in found.items()}
    return "\n".join(f"{name:<14}{'unknown' if value is None else value}" for name, value in told.items())


def _python() -> str:
    """`3.13.1`, with a `t` behind it where threads are free."""
    import sysconfig

    return platform.python_version() + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")


def _libc(root: str) -> str | None:
    """`glibc 2.36` or `musl 1.2.3`."""
    if not sys.platform.startswith(("linux", "android")):
        return None
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc":
            return f"glibc {version}"
    except (AttributeError, ValueError, OSError):  # musl has no such name
        pass
    return _musl(os.path.join(root, "lib"))


def _musl(folder: str) -> str | None:
    """The loader of musl says its version when it is run without a program (PEP 656)."""
    import glob
    import re

    for loader in glob.glob(os.path.join(glob.escape(folder), "ld-musl-*.so.1")):
        try:
            said = subprocess.run([loader], check=False, capture_output=True, text=True).stderr
        except OSError:
            said = ""
        found = re.search(r"Version (\d+\.\d+)", said)
        return f"musl {found[1]}" if found else "musl"
    return None


def _features() -> list[str] | None:
    try:
        from ._variants import cpu_features
    except ImportError:  # numpy is missing
        return None
    return sorted(cpu_features())


def _cpus() -> int:
    from ._cpus import find_cpus

    return find_cpus().limit


def _cpu_lists(root: str) -> bool | None:
    """Whether Linux lists its CPUs where onnxruntime looks for them."""
    if not sys.platform.startswith(("linux", "android")):
        return None
    return all(os.path.isfile(os.path.join(root, _CPUS, name)) for name in _CPU_LISTS)


def _memory(root: str) -> tuple[int | None, int | None]:
    """Memory in all and what is free of it, in units of 2^20 bytes; no more than the container grants."""
    found = {}
    try:
        with open(os.path.join(root, "proc/meminfo"), encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, amount = line.partition(":")
                found[name] = amount.split()
    except OSError:
        return _memory_of_system(), None
    limits = [int(found[name][0]) // 1024 if name in found else None for name in ("MemTotal", "MemAvailable")]
    granted = _granted(root)
    if granted is not None:
        limits = [granted if limit is None else min(limit, granted) for limit in limits]
    return limits[0], limits[1]


def _granted(root: str) -> int | None:
    """The container's limit: memory.max of Linux's admin-guide/cgroup-v2.rst, or version 1's limit_in_bytes."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            with open(os.path.join(root, "sys/fs/cgroup", name), encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():  # "max" is no limit
            return int(text) // _MIB
    return None


def _memory_of_system() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _installed() -> dict[str, Any]:
    """Versions of the packages that matter; every distribution that brings a module named onnxruntime."""
    from importlib import metadata

    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name == "numpy" or name.startswith("onnxruntime"):
            versions[name] = distribution.version
    runtimes = [name for name in versions if name.startswith("onnxruntime") and name != "onnxruntime-extensions"]
    return {
        "numpy": versions.get("numpy"),
        "extensions": versions.get("onnxruntime-extensions"),
        "packages": sorted(f"{name} {versions[name]}" for name in runtimes),
    }


def _onnxruntime() -> dict[str, Any]:
    """Its version and providers, or why it can't be imported."""
    import json

    try:
        code, out, errors = _probe()
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"onnxruntime": None, "providers": None, "broken": f"onnxruntime can't be asked: {error}"}
    if code == 0:
        version, providers = json.loads(out.splitlines()[-1])
        return {"onnxruntime": version, "providers": providers, "broken": None}
    why = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    said = " ".join(errors.split())[-2000:]
    return {"onnxruntime": None, "providers": None, "broken": f"import onnxruntime: {why}: {said}"}


def _probe() -> tuple[int, str, str]:
    """Exit code, output and errors of a process that imports onnxruntime."""
    command = [sys.executable, "-c", _PROBE]
    forks = hasattr(os, "fork")
    try:
        ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_PROBE_SECONDS)
    except OSError:  # an emulated interpreter can't be started by name
        if not forks:
            raise
        return _forked()
    if ran.returncode == _NOT_STARTED and forks:
        return _forked()
    return ran.returncode, ran.stdout, ran.stderr


def _forked() -> tuple[int, str, str]:
    """The same in a copy of this process."""
    import tempfile

    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        sys.stdout.flush()  # or the copy would write it again
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            code = 1
            try:
                exec(_PROBE, {})
                code = 0
            except BaseException as error:
                os.write(2, str(error).encode())
            finally:
                sys.stdout.flush()
                os._exit(code)
        status = os.waitpid(child, 0)[1]
        out.seek(0)
        errors.seek(0)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        return code, out.read(), errors.read()
