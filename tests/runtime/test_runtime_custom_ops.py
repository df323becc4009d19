"""Bundles with libraries of custom operators: written for this user alone, checked, registered, taken away."""

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from runtime_bundles import add_model, dump, write_bundle, write_zip
from test_runtime_isolation import SITE, isolated

from edgeonnx.runtime import _custom_ops, load
from edgeonnx.runtime.__main__ import main
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._errors import BundleError, DeviceError, SignatureError
from edgeonnx.runtime._platform import this_platform
from edgeonnx.verbs.sign import keygen, sign
from tests import native

FILE = "custom_ops/0/libmedian_filter.so"
PLATFORM = this_platform()


def filter_model():
    value = (TensorProto.FLOAT, ["n", 1, 6, 6])
    node = helper.make_node("MedianFilter", ["x"], ["y"], domain=native.DOMAIN)
    infos = [helper.make_tensor_value_info(name, *value) for name in "xy"]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(native.DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def write(path: Path, library: Path, platforms=(PLATFORM,), names=(FILE,)) -> Path:
    """A bundle with a library's bytes under each name, said to be for each platform."""

    def carry(manifest, entries):
        data = library.read_bytes()
        for name in names:
            entries[name] = data
            manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        libraries = [{"file": name, "platform": each} for name in names for each in platforms]
        manifest["custom_ops"] = {"operators": [native.OPERATOR], "libraries": libraries}

    return write_bundle(path, filter_model(), runtime=True, change=carry)


@pytest.fixture(scope="module")
def bundle(median, tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("filter") / "filter.edge", median)


@pytest.fixture(autouse=True)
def nothing_written_yet(monkeypatch, tmp_path):
    """Each test as in a process of its own, which writes to a folder of its own."""
    monkeypatch.setattr(_custom_ops, "_written", {})
    (tmp_path / "libraries").mkdir()
    monkeypatch.setenv(_custom_ops.FOLDER, str(tmp_path / "libraries"))


def test_it_runs(bundle):
    x = np.zeros((1, 1, 6, 6), np.float32)
    x[0, 0, 2, 2] = 1  # salt
    assert not load(bundle).run({"x": x})["y"].any()


def test_info_names_operators_and_libraries(bundle, capsys):
    assert main([str(bundle), "info"]) == 0
    said = capsys.readouterr().out
    assert f"custom operators    {native.OPERATOR}" in said
    assert f"{FILE}, for {PLATFORM}, sha256 " in said


def test_what_is_written_is_this_users_alone(bundle, tmp_path):
    model = load(bundle, sessions=2)
    (folder,) = (tmp_path / "libraries").iterdir()  # one for both sessions
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o500
    assert model.notices == (f"{FILE}: native code, of a bundle whose signature was not asked for (public_key)",)


def test_a_file_that_was_swept_away_is_written_again(bundle, tmp_path):
    load(bundle).close()
    (folder,) = (tmp_path / "libraries").iterdir()
    (folder / "libmedian_filter.so").unlink()
    assert load(bundle).run({"x": np.zeros((1, 1, 6, 6), np.float32)})["y"].shape == (1, 1, 6, 6)


def test_without_the_sdk_and_nothing_is_left_behind(bundle, tmp_path):
    code = f"""
import os
os.environ[{_custom_ops.FOLDER!r}] = {str(tmp_path / "libraries")!r}
import edgeonnx_runtime
print(edgeonnx_runtime.load({str(bundle)!r}).outputs, len(os.listdir(os.environ[{_custom_ops.FOLDER!r}])))
"""
    done = isolated(code, [str(bundle), *SITE])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 1\n")
    assert not list((tmp_path / "libraries").iterdir())


def test_a_child_process_takes_nothing_away(tmp_path):
    (tmp_path / "folder").mkdir()
    _custom_ops._remove(str(tmp_path / "folder"), os.getpid() + 1)
    assert (tmp_path / "folder").is_dir()
    _custom_ops._remove(str(tmp_path / "folder"), os.getpid())
    assert not (tmp_path / "folder").exists()


def test_another_platform_is_named_with_what_there_is(median, tmp_path):
    path = write(tmp_path / "b.edge", median, ("linux-riscv64", "macos-aarch64"))
    said = rf"b\.edge: {native.OPERATOR}: expected a library of custom operators for {PLATFORM}, got those for "
    with pytest.raises(DeviceError, match=said + "linux-riscv64, macos-aarch64"):
        load(path)


def test_of_several_libraries_those_of_this_platform_are_registered(median, tmp_path):
    load(write(tmp_path / "b.edge", median, ("linux-riscv64", PLATFORM)))
    assert len(list((tmp_path / "libraries").iterdir())) == 1


def altered(bundle: Path, copy: Path, hashed: bool) -> Path:
    """A copy with a byte of the library changed; `hashed`: and the manifest's hash with it, as an attacker would."""
    with zipfile.ZipFile(bundle) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    library = bytearray(entries[FILE])
    library[-1] ^= 1
    entries[FILE] = bytes(library)
    if hashed:
        manifest = json.loads(entries["manifest.json"])
        manifest["files"][FILE]["sha256"] = hashlib.sha256(entries[FILE]).hexdigest()
        entries["manifest.json"] = dump(manifest)
    write_zip(copy, entries)
    return copy


@pytest.mark.parametrize("verify", [True, False])
def test_an_altered_library_is_not_loaded(bundle, tmp_path, verify):
    """Not even where the hashes of everything else are left out."""
    with pytest.raises(BundleError, match=f"{FILE} does not match its hash"):
        load(altered(bundle, tmp_path / "b.edge", hashed=False), verify=verify)
    assert not list((tmp_path / "libraries").iterdir())


def test_a_signature_is_checked_before_anything_is_loaded(bundle, tmp_path):
    signed = tmp_path / "signed.edge"
    signed.write_bytes(bundle.read_bytes())
    keys = keygen(tmp_path / "release")
    sign(signed, keys.private)
    assert load(signed, public_key=keys.public).notices == ()
    before = set((tmp_path / "libraries").iterdir())
    altered(bundle, signed, hashed=True)
    with pytest.raises(SignatureError, match="is not the file that was signed"):
        load(signed, public_key=keys.public)
    assert set((tmp_path / "libraries").iterdir()) == before
    assert load(signed).notices  # without the key nothing vouches for it, and that is said


@pytest.mark.parametrize("name", ["unlinked", "entryless", "refuses"])
def test_what_onnxruntime_does_not_take(name, tmp_path):
    path = write(tmp_path / "b.edge", native.broken(name, tmp_path))
    with pytest.raises(DeviceError, match=rf"b\.edge: onnxruntime {ort.__version__} can't load {FILE}"):
        load(path)


def test_a_library_that_is_none(tmp_path):
    (tmp_path / "text").write_text("not a library")
    with pytest.raises(DeviceError, match=f"can't load {FILE}"):
        load(write(tmp_path / "b.edge", tmp_path / "text"))


def test_a_library_without_the_operator(median, tmp_path):
    path = write(tmp_path / "b.edge", median)
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    entries["model.onnx"] = entries["model.onnx"].replace(b"MedianFilter", b"MediumFilter")
    manifest = json.loads(entries["manifest.json"])
    manifest["files"]["model.onnx"]["sha256"] = hashlib.sha256(entries["model.onnx"]).hexdigest()
    entries["manifest.json"] = dump(manifest)
    write_zip(path, entries)
    with pytest.raises(DeviceError, match="MediumFilter"):
        load(path)


def test_a_folder_that_can_not_be_written(bundle, monkeypatch, tmp_path):
    monkeypatch.setenv(_custom_ops.FOLDER, str(tmp_path / "missing"))
    with pytest.raises(DeviceError, match=rf"can't be written to .*missing.*name a folder .* in {_custom_ops.FOLDER}"):
        load(bundle)


def test_a_folder_that_nothing_may_run_from():
    """What glibc says on a file system that is mounted noexec."""
    said = "/tmp/edgeonnx-1/lib.so: failed to map segment from shared object"
    advice = _custom_ops._advice(said, "/tmp/edgeonnx-1")
    assert _custom_ops.FOLDER in advice
    assert "nothing may run from /tmp/edgeonnx-1" in advice


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a file system of its own")
def test_a_folder_on_a_noexec_file_system(bundle, tmp_path):
    folder = tmp_path / "libraries"
    script = f"mount -t tmpfs -o noexec tmpfs {folder} && exec {sys.executable} {bundle} bench --runs 1"
    command = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 2
    assert re.search(f"nothing may run from {folder}.*{_custom_ops.FOLDER}", done.stderr)


def test_a_manifest_that_names_a_library_that_is_not_there(tmp_path):
    def change(manifest, _entries):
        libraries = [{"file": "custom_ops/0/lib.so", "platform": PLATFORM}]
        manifest["custom_ops"] = {"operators": ["a::B"], "libraries": libraries}

    path = write_bundle(tmp_path / "b.edge", add_model(), change=change)
    with pytest.raises(BundleError, match=r"custom_ops\.libraries\[0\]\.file: expected an entry of files"):
        open_bundle(path)


@pytest.mark.parametrize(
    "value", [{}, {"operators": "x", "libraries": []}, {"operators": [], "libraries": [{"file": 1}]}]
)
def test_a_damaged_manifest(value, tmp_path):
    path = write_bundle(tmp_path / "b.edge", add_model(), change=lambda manifest, _: manifest.update(custom_ops=value))
    with pytest.raises(BundleError, match=r"custom_ops\.(operators|libraries)"):
        open_bundle(path)


def test_a_bundle_made_before_there_were_any(add_bundle):
    assert open_bundle(add_bundle).manifest.custom_ops is None
