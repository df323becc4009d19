"""Bundles on emulated devices: an interpreter of another architecture that has numpy and onnxruntime and no more.

An emulated process that imports onnxruntime takes seconds: keep them few.
"""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeonnx.targets import load_target

# Raspberry Pi 3 and Zero 2 W, 4, and 5.
CPUS = ["cortex-a53", "cortex-a72", "cortex-a76"]
K = 64  # products in each sum of the arithmetic test


@pytest.mark.parametrize("cpu", CPUS)
def test_a_bundle_describes_itself(pi, fashion_bundle, cpu):
    ran = pi.python(fashion_bundle, "info", cpu=cpu)
    assert ran.returncode == 0, ran.stderr
    assert "raspberrypi" in ran.stdout


@pytest.mark.parametrize("cpu", CPUS)
def test_golden_samples_agree(pi, fashion_bundle, cpu):
    ran = pi.python(fashion_bundle, "selftest", cpu=cpu)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("cpu", CPUS)
def test_a_picture_gets_its_label(pi, fashion_bundle, shirt_png, cpu):
    ran = pi.python(fashion_bundle, "run", shirt_png, cpu=cpu)
    assert ran.returncode == 0, ran.stderr
    assert "Shirt" in ran.stdout.splitlines()[0]


def test_the_runtime_inside_a_bundle_is_a_package_of_its_own(pi, fashion_bundle):
    ran = pi.python("-m", "edgeonnx_runtime", fashion_bundle, "selftest", env={"PYTHONPATH": str(fashion_bundle)})
    assert ran.returncode == 0, ran.stderr


def test_the_device_has_nothing_of_the_sdk(pi):
    ran = pi.python(
        "-c",
        "from importlib.util import find_spec\n"
        "print(*(n for n in ('edgeonnx', 'onnx', 'click', 'pydantic', 'PIL', 'numpy') if find_spec(n)))",
    )
    assert ran.stdout.split() == ["numpy"], ran.stderr


def _with(bundle: Path, copy: Path, name: str, data: bytes) -> Path:
    """A copy of a bundle with other bytes in one entry, and the manifest's hash to fit: a bundle made that way."""
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as new:
        entries = {info.filename: old.read(info) for info in old.infolist()} | {name: data}
        manifest = json.loads(entries["manifest.json"])
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        entries["manifest.json"] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
        for info in old.infolist():
            new.writestr(info, entries[info.filename])
    return copy


def test_a_golden_output_that_differs_exits_with_1(pi, fashion_bundle, tmp_path):
    with zipfile.ZipFile(fashion_bundle) as archive:
        name = next(name for name in archive.namelist() if name.startswith("golden/0/") and "output0" in name)
        output = np.load(io.BytesIO(archive.read(name)))
    moved = io.BytesIO()
    np.save(moved, output + np.asarray(1000, output.dtype))
    ran = pi.python(_with(fashion_bundle, tmp_path / "moved.edge", name, moved.getvalue()), "selftest")
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_flipped_byte_exits_with_2_and_names_the_entry(pi, fashion_bundle, tmp_path):
    altered = bytearray(fashion_bundle.read_bytes())
    with zipfile.ZipFile(fashion_bundle) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(".onnx"))
    altered[info.header_offset + 30 + len(info.filename) + info.file_size // 2] ^= 1
    (tmp_path / "altered.edge").write_bytes(altered)
    ran = pi.python(tmp_path / "altered.edge", "selftest")
    assert ran.returncode == 2, ran.stderr
    assert info.filename in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def products(tmp_path_factory) -> Path:
    """A model that sums 64 products of a uint8 input and int8 weights of 127."""
    weights = numpy_helper.from_array(np.full((K, 8), 127, np.int8), "w")
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [4, K])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [4, 8])
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], ["y"])], "products", [x], [y], [weights])
    path = tmp_path_factory.mktemp("products") / "products.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    ("device", "cpu", "target"),
    [
        ("pi", "cortex-a53", "raspberrypi-3"),
        ("pi", "cortex-a76", "raspberrypi-5"),
        ("haswell", "Haswell", "x86-64"),
    ],
)
def test_products_saturate_where_the_profile_says_so(request, products, device, cpu, target):
    ran = request.getfixturevalue(device).python(
        "-c",
        "import sys, numpy as np, onnxruntime as ort\n"
        "session = ort.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])\n"
        f"print(*np.unique(session.run(None, {{'x': np.full((4, {K}), 255, np.uint8)}})[0]))",
        products,
        cpu=cpu,
    )
    assert ran.returncode == 0, ran.stderr
    sums = {"exact": K * 255 * 127, "saturating": K // 2 * (2**15 - 1)}
    assert ran.stdout.split()[-1:] == [str(sums[load_target(target).arithmetic.u8s8])]
