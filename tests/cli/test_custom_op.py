"""`--custom-op`, as a person types it, in every verb that runs a model."""

import json
import shutil

import numpy as np
import onnx
import pytest

from edgeonnx.runtime._platform import this_platform
from tests import native
from tests.cli.models import noise

HERE = "arm64" if this_platform() == "linux-aarch64" else "x86-64"
GRAPH = f"""<ir_version: 8, opset_import: ["" : 17, "{native.DOMAIN}" : 1]>
graph (float[N,4,8,8] x) => (float[N,6] y) {{
    a = Conv<pads = [1,1,1,1]>(x, w)
    [clean] m = {native.DOMAIN}.MedianFilter(a)
    p = GlobalAveragePool(m)
    y = Flatten(p)
}}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, samples for it, and something that is no library."""
    folder = tmp_path_factory.mktemp("custom")
    model = onnx.parser.parse_model(GRAPH)
    model.graph.initializer.append(onnx.numpy_helper.from_array(noise(6, 4, 3, 3), "w"))
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "data.npz", x=noise(80, 4, 8, 8))
    (folder / "notes.so").write_text("not a library")
    return folder


def test_from_a_model_to_a_run(edgeonnx, folder, median, out):
    small, bundle, data = out / "small.onnx", out / "clean.edge", folder / "data.npz"
    words = ["--data", data, "--custom-op", median]
    ran = edgeonnx("quantize", folder / "model.onnx", *words, "--recipe", "fast", "--force", "-o", small)
    assert (ran.code, ran.err) == (0, "")
    assert f"operator of domain {native.DOMAIN}" in ran.out
    assert edgeonnx("package", small, *words, "--target", HERE, "-o", bundle).code == 0
    assert edgeonnx("bench", small, "--vs", folder / "model.onnx", "--seconds", "0.1", "--custom-op", median).code == 0
    np.save(out / "x.npy", noise(1, 4, 8, 8))
    ran = edgeonnx("run", bundle, out / "x.npy")  # it carries its own library
    assert (ran.code, ran.err) == (0, "")


def test_inspect_and_doctor_say_where_it_is(edgeonnx, folder, median):
    said = json.loads(edgeonnx("inspect", folder / "model.onnx", "--custom-op", median, "--json").out)
    assert said["custom_operators"] == {native.OPERATOR: [f"{median} ({this_platform()})"]}
    ran = edgeonnx("inspect", folder / "model.onnx")
    assert "example.vision::MedianFilter, in no library that was given" in ran.out
    ran = edgeonnx("doctor", folder / "model.onnx", "--target", HERE, "--custom-op", median)
    assert f"operators: {native.OPERATOR} is in libmedian_filter.so" in ran.out
    assert "error" not in ran.out.splitlines()[-2]
    ran = edgeonnx("targets", "check", folder / "model.onnx", "--target", HERE, "--custom-op", median)
    assert (ran.code, "no provider" in ran.out) == (0, False)


WITHOUT = {
    "quantize": ["--data", "data.npz"],
    "bench": ["--seconds", "0.1"],
    "package": ["--target", HERE],
}


@pytest.mark.parametrize("verb", WITHOUT)
def test_without_it_every_verb_says_what_is_missing(edgeonnx, folder, monkeypatch, verb):
    monkeypatch.chdir(folder)
    said = edgeonnx(verb, "model.onnx", *WITHOUT[verb]).complains()
    assert native.DOMAIN in said
    assert "--custom-op LIB.so" in said


@pytest.mark.parametrize(
    ("library", "said"),
    [
        ("notes.so", "expected a shared library (ELF, Mach-O or PE)"),
        ("missing.so", "No such file"),
        (".", "directory"),
        (np.linalg._umath_linalg.__file__, "no function RegisterCustomOps"),
    ],
)
@pytest.mark.parametrize("verb", ["quantize", "inspect"])
def test_what_is_no_library(edgeonnx, folder, monkeypatch, verb, library, said):
    monkeypatch.chdir(folder)
    words = ["--data", "data.npz"] if verb == "quantize" else []
    complaint = edgeonnx(verb, "model.onnx", *words, "--custom-op", library).complains()
    assert complaint.startswith("Error: --custom-op: ")
    assert said in complaint


def test_a_target_that_no_library_is_for(edgeonnx, folder, median, out):
    words = ["package", folder / "model.onnx", "--target", "raspberrypi-32", "--custom-op", median]
    said = edgeonnx(*words, "-o", out / "b.edge").complains()
    assert (
        f"raspberrypi-32 is linux-armv7l: expected a library for linux-armv7l, got those for {this_platform()}" in said
    )
    assert not list(out.iterdir())


def test_a_library_of_another_platform_alone(edgeonnx, folder, out):
    if not shutil.which("aarch64-linux-gnu-g++") or this_platform() == "linux-aarch64":
        pytest.skip("no aarch64-linux-gnu-g++; run: apt-get install g++-aarch64-linux-gnu")
    library = native.median_filter(out, "aarch64-linux-gnu-g++")
    said = edgeonnx("bench", folder / "model.onnx", "--custom-op", library).complains()
    assert f"node 'clean' is the custom operator {native.OPERATOR}" in said
    assert f"expected a library for {this_platform()}, got those for linux-aarch64" in said
