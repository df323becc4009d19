"""Whether edgeonnx is installed as it should be on this machine."""

import os
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from edgeonnx.doctor.finding import Finding, error, ok, warning
from edgeonnx.files import cache_folder
from edgeonnx.versions import within

# Extra -> the module that it brings, and what that is for.
_EXTRAS = {
    "images": ("PIL", "pictures besides PNG as calibration data"),
    "extensions": ("onnxruntime_extensions", "tokenizers and picture decoders inside the graph"),
    "sign": ("cryptography", "keys and signatures"),
}
_REQUIREMENT = re.compile(r"([\w.-]+)\s*([<>=!~][^;]*)?")


def check_installation() -> list[Finding]:
    """Packages, extras and the cache, a finding each."""
    return [*_packages(), *_extras(), check_cache(cache_folder("calibration"))]


def check_cache(folder: Path) -> Finding:
    """Whether what is kept between runs can be written."""
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return ok("cache", f"{folder} can be written")
    what = "is not writable" if existing.is_dir() else "is no folder"
    return warning(
        "cache", f"{existing} {what}: every calibration runs anew", "set EDGEONNX_CACHE to a folder of yours"
    )


def installed_versions(names: Iterator[str] | tuple[str, ...]) -> dict[str, str]:
    """Those of the packages that are installed, with their versions."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _packages() -> Iterator[Finding]:
    wanted = [line for line in requires("edgeonnx") or [] if "extra ==" not in line]
    bounds = {found[1]: (found[2] or ">=0").strip() for line in wanted if (found := _REQUIREMENT.match(line))}
    there = installed_versions(tuple(bounds))
    wrong = False
    for name, bound in bounds.items():
        if name not in there or not within(there[name], bound):
            wrong = True
            got = there.get(name, "none")
            yield error("packages", f"expected {name}{bound}, got {got}", f"pip install '{name}{bound}'")
    if not wrong:
        yield ok("packages", ", ".join(f"{name} {release}" for name, release in sorted(there.items())))


def _extras() -> Iterator[Finding]:
    for extra, (module, purpose) in _EXTRAS.items():
        if find_spec(module) is not None:
            yield ok(f"extra {extra}", f"installed: {purpose}")
        else:
            yield ok(f"extra {extra}", f"not installed; for {purpose}: pip install 'edgeonnx[{extra}]'")
