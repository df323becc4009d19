import json
import zipfile

import numpy as np
import pytest
from runtime_bundles import add_model, dump, write_bundle, write_zip

from edgeonnx.runtime import BundleError, load
from edgeonnx.runtime._bundle import open_bundle, runtime_files


def refuse(path, *, verify=True) -> str:
    with pytest.raises(BundleError) as caught:
        open_bundle(path, verify=verify)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path.name}: ")
    return message.removeprefix(f"{path.name}: ")


def entries_of(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_opens(add_bundle):
    bundle = open_bundle(add_bundle)
    assert bundle.name == "add.edge"
    assert bundle.manifest.name == "test"
    assert bundle.read("model.onnx") == add_model().SerializeToString()
    with pytest.raises(BundleError, match="no entry nothing"):
        bundle.read("nothing")


def test_no_such_file(tmp_path):
    assert refuse(tmp_path / "a.edge") == "no such file"


def test_a_folder(tmp_path):
    assert "a folder, not a bundle" in refuse(tmp_path)


def test_empty(tmp_path):
    (tmp_path / "a.edge").touch()
    assert refuse(tmp_path / "a.edge") == "empty; copy the bundle again"


def test_another_file(tmp_path):
    (tmp_path / "a.edge").write_bytes(add_model().SerializeToString())
    assert refuse(tmp_path / "a.edge") == "not a bundle; make one with `edgeonnx package`"


def test_another_zip(tmp_path):
    write_zip(tmp_path / "a.edge", {"readme.txt": b"hello"})
    assert "manifest.json is missing" in refuse(tmp_path / "a.edge")


def test_cut_short(add_bundle, tmp_path):
    (tmp_path / "a.edge").write_bytes(add_bundle.read_bytes()[:-100])
    assert "cut short or damaged" in refuse(tmp_path / "a.edge")


def test_an_altered_entry_is_named_with_both_hashes(add_bundle, tmp_path):
    entries = entries_of(add_bundle)
    entries["model.onnx"] = entries["model.onnx"].replace(b"graph", b"grabh")
    write_zip(tmp_path / "a.edge", entries)
    message = refuse(tmp_path / "a.edge")
    assert message.startswith("model.onnx does not match its hash: expected sha256 ")
    assert message.endswith("; copy the bundle again")
    assert open_bundle(tmp_path / "a.edge", verify=False).read("model.onnx") == entries["model.onnx"]


@pytest.mark.parametrize("verify", [True, False])
def test_entries_are_the_manifests(add_bundle, tmp_path, verify):
    path, entries = tmp_path / "a.edge", entries_of(add_bundle)
    write_zip(path, {**entries, "more.txt": b""})
    assert "more.txt is not in the manifest" in refuse(path, verify=verify)
    less = {name: data for name, data in entries.items() if name != "golden/1/input0.npy"}
    write_zip(path, less)
    assert "golden/1/input0.npy is in the manifest but not in the archive" in refuse(path, verify=verify)
    write_zip(path, {**entries, "model.onnx": b"short"})
    assert "model.onnx: expected " in refuse(path, verify=verify)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_twice(add_bundle, tmp_path):
    entries = entries_of(add_bundle)
    write_zip(tmp_path / "a.edge", [*entries.items(), ("model.onnx", entries["model.onnx"])])
    assert "model.onnx is in the archive twice" in refuse(tmp_path / "a.edge")


def test_compressed(add_bundle, tmp_path):
    write_zip(tmp_path / "a.edge", entries_of(add_bundle), zipfile.ZIP_DEFLATED)
    assert "manifest.json is compressed, expected stored" in refuse(tmp_path / "a.edge")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a\\evil", "C:evil", "a//b"])
def test_names_that_lead_out(tmp_path, name):
    def change(manifest, entries):
        entries[name] = b"x"
        manifest["files"][name] = {"bytes": 1, "sha256": "x"}

    write_bundle(tmp_path / "a.edge", add_model(), change=change)
    assert "leads out of the archive" in refuse(tmp_path / "a.edge")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "manifest.json is not JSON"),
        (b"\xff\xfe", "manifest.json is not JSON"),
        (b"[" * 100_000, "manifest.json is not JSON"),
        (b"[]", "the whole: expected an object"),
        (b'{"schema": NaN}', "manifest.json is not JSON: NaN"),
        (b'{"schema": 2}', "manifest.json is of schema 2, this runtime knows 1; pip install -U edgeonnx-runtime"),
    ],
)
def test_a_bad_manifest(tmp_path, data, message):
    write_zip(tmp_path / "a.edge", {"manifest.json": data})
    assert message in refuse(tmp_path / "a.edge")


def outcome(path, expected) -> bool:
    """Whether the bundle is refused; what is accepted must be what it was."""
    try:
        bundle = open_bundle(path)
    except BundleError as error:
        assert "\n" not in str(error)
        return True
    assert bundle.manifest == expected.manifest
    assert bundle._entries == expected._entries
    return False


def test_any_flipped_byte_is_refused_or_changes_nothing(add_bundle, tmp_path):
    """Every position of the archive: all bits of the byte, and one of them."""
    path, data, expected = tmp_path / "a.edge", bytearray(add_bundle.read_bytes()), open_bundle(add_bundle)
    refused = 0
    for i in range(len(data)):
        for mask in (0xFF, 1 << i % 8):
            data[i] ^= mask
            path.write_bytes(data)
            refused += outcome(path, expected)
            data[i] ^= mask
    # What may change unseen is what no reader looks at: times, modes and versions in the zip's headers.
    assert refused > 1.6 * len(data)


def test_any_cut_is_refused(add_bundle, tmp_path):
    path, data, expected = tmp_path / "a.edge", add_bundle.read_bytes(), open_bundle(add_bundle)
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert outcome(path, expected), size


def test_a_flipped_bundle_that_opens_also_loads(add_bundle, tmp_path):
    path, data = tmp_path / "a.edge", bytearray(add_bundle.read_bytes())
    feed = {"a": np.ones((1, 3), np.float32), "b": np.ones((1, 3), np.float32)}
    loaded = 0
    for i in range(0, len(data), 23):
        data[i] ^= 0xFF
        path.write_bytes(data)
        try:
            np.testing.assert_array_equal(load(path).run(feed)["total"], 2 * np.ones((1, 3)))
            loaded += 1
        except BundleError:
            pass
        data[i] ^= 0xFF
    assert loaded


def test_bytes_before_and_after_the_archive_change_nothing(add_bundle, tmp_path):
    data, expected = add_bundle.read_bytes(), open_bundle(add_bundle)
    (tmp_path / "a.edge").write_bytes(b"#!/usr/bin/env python3\n" + data)
    assert not outcome(tmp_path / "a.edge", expected)


def test_runtime_files_are_this_folders_modules(add_bundle):
    files = runtime_files()
    assert {"__init__.py", "__main__.py", "_bundle.py", "_version.py"} <= set(files)
    assert all(name.endswith(".py") and b"\r" not in data for name, data in files.items())


def test_the_manifest_can_not_vouch_for_itself(add_bundle, tmp_path):
    entries = entries_of(add_bundle)
    manifest = json.loads(entries["manifest.json"])
    manifest["files"]["manifest.json"] = {"bytes": 1, "sha256": "x"}
    write_zip(tmp_path / "a.edge", {**entries, "manifest.json": dump(manifest)})
    assert "manifest.json is in the manifest" in refuse(tmp_path / "a.edge")
