"""Libraries of custom operators, compiled for the tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.device import lab
from tests.house.tree import ROOT

STRICT = "-O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"
DOMAIN = "example.vision"
OPERATOR = f"{DOMAIN}::MedianFilter"

_ENTRY = """
#include "onnxruntime_c_api.h"
OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) { (void)options; %s }
"""
# Libraries that something is wrong with: their RegisterCustomOps.
BROKEN = {
    "too-new": _ENTRY % "base->GetApi(999); return 0;",
    "crashes": _ENTRY % "return base->GetApi(999)->CreateStatus(ORT_FAIL, 0);",
    "refuses": _ENTRY % 'return base->GetApi(16)->CreateStatus(ORT_FAIL, "not today");',
    "unlinked": "int nowhere(void);" + _ENTRY % "(void)base; return nowhere() ? 0 : 0;",
    "entryless": "int other(void); int other(void) { return 1; }",
}


def median_filter(folder: Path, compiler: str = "g++", package: str = "g++") -> Path:
    """The library of examples/custom_op; skips where it can't be compiled."""
    if not shutil.which(compiler) or not shutil.which("make"):
        pytest.skip(f"no {compiler}; run: apt-get install make {package}")
    words = [f"CXX={compiler}", f"BUILD={folder}", f"ORT_INCLUDE={lab.ask('headers')}", f"CXXFLAGS={STRICT}"]
    made = subprocess.run(
        ["make", "-C", ROOT / "examples" / "custom_op", *words], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder / "libmedian_filter.so"


def broken(name: str, folder: Path) -> Path:
    """One of `BROKEN`; skips where it can't be compiled."""
    if not shutil.which("cc"):
        pytest.skip("no cc; run: apt-get install gcc")
    source, library = folder / f"{name}.c", folder / f"lib{name}.so"
    source.write_text(BROKEN[name])
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{lab.ask('headers')}", source, "-o", library], check=True)
    return library
