"""Wheels, versions and what is known to fail."""

import datetime
import shutil
import subprocess
import sys
import tomllib

import pytest

from edgeonnx.data import folder
from edgeonnx.doctor.collect import document, parse
from edgeonnx.doctor.device import Device
from edgeonnx.doctor.known_bad import Scene, check_known_bad, known_bad, versions_of
from edgeonnx.doctor.wheels import check_wheel, newest, releases
from edgeonnx.errors import InputError
from edgeonnx.versions import numbers, within

PI = Device(os="linux", machine="aarch64", python="3.11", libc="glibc 2.36")


def device(**changes):
    return PI.model_copy(update=changes)


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("1.21.0", ">=1.21,<1.21.1", True),
        ("1.21.1", ">=1.21,<1.21.1", False),
        ("1.22", "==1.22.0", True),
        ("2.0.0rc1", ">=2", True),
        ("1.9", "<1.19", True),
        ("1.19", ">1.9,<=1.19", True),
    ],
)
def test_bounds(version, bounds, expected):
    assert within(version, bounds) is expected


@pytest.mark.parametrize("bounds", ["", "1.2", "~=1.2", ">=one"])
def test_bounds_that_are_none(bounds):
    with pytest.raises(InputError, match="expected bounds such as"):
        within("1.0", bounds)


def test_the_facts_of_wheels_are_whole():
    """A file that was written from an empty answer would tell everybody that nothing can be installed."""
    facts = tomllib.loads((folder("targets") / "facts" / "wheels.toml").read_text("utf-8"))
    assert facts["seen"] >= datetime.date(2026, 11, 1)
    for package in ("onnxruntime", "onnxruntime-extensions", "onnxruntime-openvino", "onnxruntime-qnn", "numpy"):
        named = [one.release for one in releases(package)]
        assert named == sorted(named, key=numbers)
        assert len(set(named)) == len(named) > 3


@pytest.mark.parametrize(
    ("package", "there", "expected"),
    [
        ("onnxruntime", {"python": "3.10"}, "1.23.2"),  # the last for 3.10
        ("onnxruntime", {"python": "3.12", "libc": "glibc 2.17"}, None),  # 1.16 had no 3.12
        ("onnxruntime", {"libc": "glibc 2.17"}, "1.16.3"),
        ("onnxruntime", {"libc": "glibc 2.27"}, "1.28.0"),
        ("onnxruntime", {"libc": "musl 1.2"}, None),
        ("onnxruntime", {"machine": "armv7l"}, None),
        ("onnxruntime-extensions", {"python": "3.14"}, None),
        ("onnxruntime-extensions", {"os": "windows", "machine": "ARM64", "libc": None}, None),
        ("onnxruntime-extensions", {"os": "windows", "machine": "AMD64", "libc": None}, "0.15.0"),
        ("onnxruntime-openvino", {"machine": "x86_64"}, "1.24.1"),
        ("onnxruntime-openvino", {}, None),
    ],
)
def test_the_newest_release_with_a_wheel(package, there, expected):
    assert newest(package, device(**there)) == expected


def test_a_mac_of_either_kind_takes_universal_wheels():
    intel = device(os="macos", machine="x86_64", libc=None)
    assert newest("onnxruntime", intel) == "1.23.2"
    assert numbers(newest("onnxruntime", device(os="macos", machine="arm64", libc=None))) >= (1, 32)


@pytest.mark.parametrize(
    ("package", "there", "level", "mend"),
    [
        ("onnxruntime", {}, "ok", ""),
        ("onnxruntime", {"python": "3.9"}, "error", "install Python 3.11 to 3.14 there"),
        ("onnxruntime", {"libc": "glibc 2.17"}, "error", "it asks for glibc 2.27 or newer"),
        ("onnxruntime", {"libc": "musl"}, "error", "take an image with glibc"),
        ("onnxruntime", {"machine": "armv7l"}, "error", "install the 64-bit system"),
        ("onnxruntime", {"machine": "armv6l"}, "error", "take a board with a 64-bit CPU"),
        ("onnxruntime", {"machine": "riscv64"}, "error", "build onnxruntime from source for riscv64"),
        ("onnxruntime", {"machine": None}, "warning", "say it with --machine"),
        ("onnxruntime-gpu", {"python": "3.10"}, "error", "NVIDIA's own wheel"),
        ("onnxruntime-nothing", {}, "warning", "pip download onnxruntime-nothing"),
    ],
)
def test_a_wheel_that_is_missing_is_told_with_what_mends_it(package, there, level, mend):
    found = check_wheel(package, device(**there), "1.22")
    assert found.level == level
    assert mend in found.mend


def test_a_distribution_that_packages_an_older_release_is_named():
    """32-bit Arm has no wheel, but Debian's package is enough for a target that asks for no more."""
    found = check_wheel("onnxruntime", device(machine="armv7l"), "1.21")
    assert found.level == "warning"
    assert found.mend.startswith("apt install python3-onnxruntime; or ")


def test_without_a_python_all_are_named():
    assert "for Python 3.11 to 3.14" in check_wheel("onnxruntime", device(python=None), "1.32").message


def test_the_log_of_pip_is_read():
    log = """
      Skipping link: none of the wheel's tags (cp311-cp311-x) are compatible: https://h/p/
a-1.2.0-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl (from https://h/a/)
      Skipping link: https://h/p/a-1.2.0-cp313-cp313t-win_amd64.whl#sha256=1 (from https://h/a/)
      Found link https://h/p/a-1.3-py3-none-any.whl#sha256=2 (from https://h/a/), version: 1.3
      Skipping link: https://h/p/a-1.2.0-cp39-abi3-musllinux_1_2_x86_64.whl (from https://h/a/)
      Skipping link: https://h/p/a-1.1.0-cp311-cp311-win_amd64.whl (from https://h/a/)
      Skipping link: https://h/p/a-2.0.dev1-cp311-cp311-win_amd64.whl (from https://h/a/)
    """.replace("/p/\na-", "/p/a-")
    assert parse(log, (1, 2)) == {
        "1.2.0": {"manylinux_2_27_aarch64": ["3.11"], "musllinux_1_2_x86_64": ["3.9+"], "win_amd64": ["3.13t"]},
        "1.3": {"any": ["3"]},
    }


@pytest.mark.parametrize(
    ("name", "there", "versions"),
    [
        ("numpy-2", {}, {"onnxruntime": "1.18.0", "numpy": "2.1.0"}),
        ("old-arm", {"features": frozenset({"neon"})}, {"onnxruntime": "1.21.0"}),
        ("cpu-lists", {"cpu_lists": False}, {"onnxruntime": "1.21.1"}),
        ("executable-stack", {}, {"onnxruntime-openvino": "1.22.0", "glibc": "2.41"}),
        ("two-onnxruntimes", {}, {"onnxruntime": "1.24.1", "onnxruntime-openvino": "1.24.1"}),
        ("sme", {"os": "android"}, {"onnxruntime-android": "1.23.2"}),
        ("python-3.14", {}, {"onnxruntime": "1.24.1", "python": "3.14"}),
        ("windows-runtime", {"os": "windows"}, {"onnxruntime": "1.22.0"}),
        ("ml-dtypes", {}, {"onnxruntime": "1.24.1", "onnx": "1.18.0"}),
    ],
)
def test_what_is_known_to_fail_is_found(name, there, versions):
    row = next(row for row in known_bad() if row.name == name)
    found = check_known_bad(Scene(device(**there), versions))
    assert [(finding.level, finding.mend) for finding in found] == [(row.level, row.mend)]
    assert row.source in found[0].message


@pytest.mark.parametrize(
    ("there", "versions"),
    [
        ({}, {}),
        ({}, {"onnxruntime": "1.18.0"}),  # numpy is not known
        ({"features": frozenset({"neon", "dotprod"})}, {"onnxruntime": "1.21.0"}),
        ({"features": None}, {"onnxruntime": "1.21.0"}),
        ({"cpu_lists": None}, {"onnxruntime": "1.21.1"}),
        ({}, {"onnxruntime": "1.32.0", "numpy": "2.4.6", "python": "3.13", "glibc": "2.36"}),
    ],
)
def test_what_is_not_known_to_fail_is_left_alone(there, versions):
    assert check_known_bad(Scene(device(**there), versions)) == []


def test_rows_on_models_are_held_against_models():
    versions = {"onnxruntime": "1.32.0", "numpy": "2.4.6"}
    quantized = frozenset({"QuantizeLinear", "Conv"})
    assert "QuantizeLinear" in check_known_bad(Scene(PI, versions, quantized, 28))[0].message
    assert check_known_bad(Scene(PI, versions, quantized, 27)) == []
    assert check_known_bad(Scene(PI, versions, frozenset({"Conv"}), 28)) == []


def test_every_row_has_a_source_and_conditions():
    for row in known_bad():
        assert row.source.startswith("https://")
        assert all(within("0", bounds) in (True, False) for bounds in row.versions.values())
    assert len({row.name for row in known_bad()}) == len(known_bad()) >= 9


def test_versions_that_a_device_tells():
    there = device(packages=("onnxruntime 1.24.1", "onnxruntime-openvino 1.24.1"), numpy="2.1.0", onnxruntime="1.24.1")
    expected = {"onnxruntime": "1.24.1", "onnxruntime-openvino": "1.24.1", "numpy": "2.1.0"}
    assert versions_of(there) == expected | {"python": "3.11", "glibc": "2.36"}


def test_facts_are_not_collected_without_pip(monkeypatch):
    """They would be written down as none."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(SystemExit, match="onnxruntime: expected pip to name its wheels, got none: it said nothing"):
        document(datetime.date(2026, 1, 1))


@pytest.mark.slow
def test_the_facts_of_wheels_are_still_what_pip_is_told(tmp_path):
    """Releases are added; those that were there are not taken away."""
    path = tmp_path / "wheels.toml"
    subprocess.run([sys.executable, "-m", "edgeonnx.doctor.collect", path], check=True)
    now = {
        (row["package"], release) for row in tomllib.loads(path.read_text())["wheels"] for release in row["releases"]
    }
    then = tomllib.loads((folder("targets") / "facts" / "wheels.toml").read_text("utf-8"))["wheels"]
    assert {(row["package"], release) for row in then for release in row["releases"]} <= now
