"""The C example, for this machine and for a 64-bit ARM board."""

import io
import platform
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import edgeonnx
from tests.device import lab
from tests.house.tree import ROOT
from tests.native import DOMAIN
from tests.platforms.report import Platform, from_text
from tests.unit import models

STRICT = "-O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror"


@pytest.fixture(scope="module")
def headers() -> str:
    return lab.ask("headers")


def build(folder: Path, headers: str, compiler: str, package: str, flags: str = STRICT) -> Path:
    if not shutil.which(compiler) or not shutil.which("make"):
        pytest.skip(f"no {compiler}; run: apt-get install make {package}")
    words = [f"CC={compiler}", f"BUILD={folder}", f"ORT_INCLUDE={headers}", f"CFLAGS={flags}"]
    made = subprocess.run(["make", "-C", ROOT / "examples/c", *words], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return folder / "selftest"


def library(site: Path) -> Path:
    """The shared library in an installed wheel."""
    return next((site / "onnxruntime" / "capi").glob("libonnxruntime.so.1*"))


@pytest.fixture(scope="module")
def native(headers, tmp_path_factory) -> list[str]:
    """The command, but for the bundle: compiled so that a wrong access ends the program."""
    if platform.system() != "Linux":
        pytest.skip("expected Linux")
    program = build(tmp_path_factory.mktemp("c"), headers, "cc", "gcc", f"{STRICT} -fsanitize=address,undefined")
    return [str(program), str(library(Path(onnxruntime.__file__).parents[1]))]


def run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)


def test_golden_samples(native, shared_bundle, record):
    ran = run(*native, shared_bundle)
    assert ran.returncode == 0, ran.stderr
    title = f"C, {platform.machine()}, Linux"
    record(Platform("c", title, onnxruntime.__version__, "native", from_text(ran.stdout)))


@pytest.mark.slow
def test_golden_samples_on_arm(headers, shared_bundle, record, tmp_path):
    root = Path(lab.ask("build"))
    program = build(tmp_path, headers, "aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    wheel = library(next(root.glob("usr/local/lib/python3*/dist-packages")))
    ran = run(lab.LAB, "run", program, wheel, shared_bundle)
    assert ran.returncode == 0, ran.stderr
    release = re.search(r"so\.(.*)", wheel.name)[1]
    record(Platform("c-aarch64", "C, Raspberry Pi 4 (Cortex-A72), 64 bits", release, "emulated", from_text(ran.stdout)))


def test_weights_outside_the_model(native, large_bundle):
    """onnxruntime gets them from the mapped bundle."""
    ran = run(*native, large_bundle)
    assert ran.returncode == 0, ran.stderr
    assert [each.ok for each in from_text(ran.stdout)] == [True]


def test_an_output_that_differs_exits_with_1(native, shared_bundle, tmp_path):
    moved = tmp_path / "moved.edge"
    with zipfile.ZipFile(shared_bundle) as old, zipfile.ZipFile(moved, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "golden/1/int8/output0.npy":
                buffer = io.BytesIO()
                np.save(buffer, np.load(io.BytesIO(data)) + np.float32(1))
                data = buffer.getvalue()
            new.writestr(info, data)
    ran = run(*native, moved)
    assert ran.returncode == 1, ran.stderr
    assert {each.variant: each.ok for each in from_text(ran.stdout)} == {"int8": False, "float32": True}


def test_custom_operators_are_refused(native, median, tmp_path):
    """Their libraries are not loaded here, and onnxruntime would say so less clearly."""
    model = models.build(
        f"(float[1,1,4,4] x) => (float[1,1,4,4] y) {{ y = {DOMAIN}.MedianFilter(x) }}", domains=[DOMAIN]
    )
    with edgeonnx.custom_ops(median):
        bundle = edgeonnx.package(model, "x86-64", tmp_path / "b.edge").path
    ran = run(*native, bundle)
    assert ran.returncode == 2
    assert ran.stderr == "error: the model has custom operators, whose libraries this program does not load\n"


@pytest.mark.parametrize("data", [b"", b"PK", bytes(1000)], ids=["empty", "short", "zeros"])
def test_what_is_no_bundle_is_said(native, tmp_path, data):
    broken = tmp_path / "broken.edge"
    broken.write_bytes(data)
    ran = run(*native, broken)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")


def test_a_bundle_cut_anywhere_is_refused(native, shared_bundle, tmp_path):
    """Nothing outside the file is read: the program is compiled to notice."""
    whole = shared_bundle.read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, len(whole) - 30):
        cut = tmp_path / "cut.edge"
        cut.write_bytes(whole[:size])
        ran = run(*native, cut)
        assert (ran.returncode, ran.stderr.splitlines()) == (2, ["error: not a bundle, or cut short"])


def test_a_damaged_directory_is_survived(native, shared_bundle, tmp_path):
    """Whatever its numbers say, nothing outside the file is read."""
    whole = shared_bundle.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole) - 400, len(whole) - 2, 6):
            damaged[place] = rng.integers(256)
        broken = tmp_path / "damaged.edge"
        broken.write_bytes(damaged)
        ran = run(*native, broken)
        assert "Sanitizer" not in ran.stderr
        assert ran.returncode in (0, 2), ran.stderr
