"""Libraries of custom operators: read by their headers, tried, and in use where they were given."""

import platform
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from models import build

import edgeonnx
from edgeonnx.errors import InputError, ModelError
from edgeonnx.libraries import custom_ops, foreign_operators, given_libraries, libraries_here
from edgeonnx.libraries.binary import read_binary
from edgeonnx.runtime._platform import platform_name, this_platform
from tests import native

TEXT = f"(float[N,1,H,W] x) => (float[N,1,H,W] y) {{ [clean] y = {native.DOMAIN}.MedianFilter(x) }}"
linux = pytest.mark.skipif(platform.system() != "Linux", reason="reads this machine's own ELF files")


@pytest.fixture
def filtered():
    return build(TEXT, domains=[native.DOMAIN])


@linux
def test_headers_of_this_machine():
    binary = read_binary(Path(np.linalg._umath_linalg.__file__).read_bytes())
    assert binary.platforms == (this_platform(),)
    assert re.fullmatch(r"glibc 2\.\d+", binary.libc)
    assert "libc.so.6" in binary.needs


def pe(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine)


def fat(*machines: int) -> bytes:
    entries = b"".join(struct.pack(">5I", machine, 0, 0, 0, 0) for machine in machines)
    return b"\xca\xfe\xba\xbe" + struct.pack(">I", len(machines)) + entries


@pytest.mark.parametrize(
    ("data", "platforms"),
    [
        (pe(0x8664), ("windows-x86_64",)),
        (pe(0xAA64), ("windows-aarch64",)),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C), ("macos-aarch64",)),
        (fat(0x01000007, 0x0100000C), ("macos-x86_64", "macos-aarch64")),
    ],
)
def test_headers_of_other_systems(data, platforms):
    assert read_binary(data).platforms == platforms


@pytest.mark.parametrize(
    "data", [b"", b"MZ", b"\x7fELF", b"#!/bin/sh\n", b"\xca\xfe\xba\xbe\0\0\0\x34", b"MZ" + bytes(100)]
)
def test_what_is_no_library(data):
    assert read_binary(data) is None


@linux
def test_damaged_headers_are_survived():
    """Whatever the numbers say, it ends, and nothing but None or a reading comes of it."""
    whole = Path(np.linalg._umath_linalg.__file__).read_bytes()
    rng = np.random.default_rng(0)
    for size in (5, 20, 63, 64, 100, 4000, len(whole) // 2):
        read_binary(whole[:size])
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(4, 1024, 12):
            damaged[place] = rng.integers(256)
        read_binary(bytes(damaged))


def test_names_of_platforms():
    assert platform_name("linux", "armv8l") == "linux-armv7l"
    assert platform_name("windows", "AMD64") == "windows-x86_64"
    assert platform_name("macos", "arm64") == "macos-aarch64"


def test_in_use_inside_the_block_alone(median, filtered):
    assert given_libraries() == ()
    with custom_ops(median) as (library,):
        assert given_libraries() == (library,)
        assert given_libraries("linux-riscv64") == ()
        with custom_ops(median):  # given twice, once in use
            assert libraries_here() == [library.sha256]
        filtered.session()
    assert given_libraries() == ()
    with pytest.raises(ModelError, match="give one with --custom-op"):
        filtered.session()


def test_a_library_in_use_serves_every_thread(median, filtered):
    with custom_ops(median), ThreadPoolExecutor(1) as executor:
        assert executor.submit(filtered.session).result().get_outputs()[0].name == "y"


def test_it_is_asked_what_it_has(median):
    with custom_ops(median) as (library,):
        assert library.has(native.OPERATOR)
        assert not library.has("example.vision::MeanFilter")
        assert not library.has("other::MedianFilter")
        assert library.api == 17


def test_a_median_filter(median, filtered):
    """Against numpy's medians, with the border repeated, in both types."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 9, 7)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), "edge"), (5, 5), (2, 3)
    )
    text = f"(float[N,C,H,W] x) => (y) {{ y = {native.DOMAIN}.MedianFilter<size = 5>(x) }}"
    with custom_ops(median):
        (got,) = build(text, domains=[native.DOMAIN]).session().run(None, {"x": x})
        small = build(text.replace("float", "uint8"), domains=[native.DOMAIN])
        (small_got,) = small.session().run(None, {"x": (x * 30 + 128).astype(np.uint8)})
    np.testing.assert_array_equal(got, np.median(windows, axis=(-1, -2)))
    assert small_got.dtype == np.uint8
    with custom_ops(median), pytest.raises(Exception, match="odd number from 1 to 15, got 4"):
        build(text.replace("5", "4"), domains=[native.DOMAIN]).session()


def test_operators_that_onnxruntime_lacks():
    functions = ['<domain: "own", opset_import: ["" : 17, "far" : 1]> Twice (x) => (z) { z = far.Double(x) }']
    model = build(
        """(bool c, float[N] x) => (float[N] y) {
            g = com.microsoft.Gelu(x)
            t = own.Twice(g)
            y = If(c) <
                then_branch = a () => (p) { [inner] p = near.Half(t) },
                else_branch = b () => (q) { q = Identity(t) }
            >
        }""",
        domains=["com.microsoft", "own", "near", "far"],
        functions=functions,
    )
    found = foreign_operators(model.ir)
    assert set(found) == {"near::Half", "far::Double"}
    assert found["near::Half"].name == "inner"


def test_a_missing_library_is_named_with_operator_node_and_option(filtered):
    with pytest.raises(
        ModelError, match=r"node 'clean' is the custom operator example\.vision::MedianFilter.*--custom-op"
    ):
        filtered.session()


def test_a_library_that_lacks_the_operator(median):
    model = build(TEXT.replace("Median", "Mean"), domains=[native.DOMAIN])
    with (
        custom_ops(median),
        pytest.raises(ModelError, match=r"MeanFilter: expected it in libmedian_filter\.so, which lacks"),
    ):
        model.session()


def test_a_library_of_another_platform_alone(tmp_path, filtered):
    with (
        custom_ops(foreign(tmp_path)),
        pytest.raises(ModelError, match=f"expected a library for {this_platform()}, got"),
    ):
        filtered.session()


def foreign(folder: Path, name: str = "MedianFilter") -> Path:
    """What passes for a library of Windows on Arm, by its headers and the names in it."""
    library = folder / f"{name}.dll"
    library.write_bytes(pe(0xAA64) + b"\0RegisterCustomOps\0" + name.encode() + b"\0")
    return library


def test_a_library_of_another_platform_is_known_by_the_names_in_it(tmp_path):
    with custom_ops(foreign(tmp_path)) as (library,):
        assert library.has(native.OPERATOR)
        assert not library.has("example.vision::Median")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("too-new", "built for version 999 of the C API"),
        ("crashes", "built for version 999 of the C API"),
        ("refuses", "not today"),
        ("unlinked", "uses nowhere, which neither it nor what it is linked with has"),
        ("entryless", "it has no function RegisterCustomOps"),
    ],
)
def test_a_library_that_does_not_work(name, said, tmp_path):
    path = native.broken(name, tmp_path)
    with pytest.raises(InputError, match=rf"--custom-op.*lib{name}\.so.*{said}"), custom_ops(path):
        pass
    assert given_libraries() == ()


@pytest.mark.parametrize(
    ("name", "said"), [("missing.so", "No such file"), ("", "directory"), ("text.so", "ELF, Mach-O or PE")]
)
def test_a_file_that_is_no_library(name, said, tmp_path):
    (tmp_path / "text.so").write_text("not a library")
    with pytest.raises(InputError, match=said), custom_ops(tmp_path / name):
        pass


def test_it_is_public():
    assert edgeonnx.custom_ops is custom_ops
