import json
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
        (b'{"schema": 1}', "manifest.json is of schema 1, this runtime knows 2; package the model again"),
        (b'{"schema": 3}', "manifest.json is of schema 3, this runtime knows 2; pip install -U edgeonnx-runtime"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "manifest.json is not JSON: "),
        (b'{"a": ' * 50_000, "manifest.json is not JSON"),
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
    assert all(bundle.read(name) == expected.read(name) for name in expected.manifest.files)
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


def end_of(data: bytes) -> int:
    return data.rindex(b"PK\5\6")


def first_record(data: bytes) -> int:
    return data.index(b"PK\1\2")


def altered(path, tmp_path, at, layout, *values):
    """The bundle with fields of its zip overwritten at an offset."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, at(data), *values)
    (tmp_path / "a.edge").write_bytes(data)
    return tmp_path / "a.edge"


TERABYTE_32 = 0xFFFFFFFE


@pytest.mark.parametrize(
    ("at", "layout", "values", "message"),
    [
        pytest.param(lambda d: first_record(d) + 20, "<2L", (TERABYTE_32,) * 2, "differ", id="a size of 4 GiB"),
        pytest.param(lambda d: first_record(d) + 20, "<2L", (0xFFFFFFFF,) * 2, "differ", id="zip64 size"),
        pytest.param(lambda d: first_record(d) + 42, "<L", (1 << 31,), "expected to begin at byte", id="far offset"),
        pytest.param(lambda d: first_record(d) + 42, "<L", (1,), "expected to begin at byte 0, got 1", id="overlap"),
        pytest.param(lambda d: first_record(d) + 10, "<H", (8,), "compressed, expected stored", id="deflated"),
        pytest.param(lambda d: first_record(d) + 8, "<H", (1,), "compressed, expected stored", id="encrypted"),
        pytest.param(lambda d: first_record(d) + 16, "<L", (1,), "its header and the directory differ", id="crc"),
        pytest.param(lambda d: first_record(d) + 28, "<H", (60000,), "its directory is cut short", id="long name"),
        pytest.param(lambda d: 18, "<2L", (5, 5), "its header and the directory differ", id="local size"),
        pytest.param(lambda d: 26, "<H", (60000,), "its header and the directory differ", id="local name"),
        pytest.param(lambda d: 28, "<H", (60000,), "is cut short", id="local extra"),
        pytest.param(lambda d: end_of(d) + 8, "<2H", (65534,) * 2, "should hold 65534 entries", id="many entries"),
        pytest.param(lambda d: end_of(d) + 8, "<2H", (0xFFFF,) * 2, "Zip64", id="zip64 count"),
        pytest.param(lambda d: end_of(d) + 12, "<2L", (0, 0xFFFFFFFF), "Zip64", id="zip64 offset"),
        pytest.param(lambda d: end_of(d) + 12, "<L", (TERABYTE_32,), "contradicts itself", id="large directory"),
        pytest.param(lambda d: end_of(d) + 16, "<L", (TERABYTE_32,), "contradicts itself", id="directory elsewhere"),
        pytest.param(lambda d: end_of(d) + 4, "<H", (3,), "contradicts itself", id="several disks"),
        pytest.param(lambda d: end_of(d) + 20, "<H", (9,), "contradicts itself", id="comment"),
    ],
)
def test_a_zip_that_lies(add_bundle, tmp_path, at, layout, values, message):
    path = altered(add_bundle, tmp_path, at, layout, *values)
    tracemalloc.start()
    try:
        assert message in refuse(path, verify=False)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_bytes_that_belong_to_no_entry(add_bundle, tmp_path):
    data = add_bundle.read_bytes()
    end = end_of(data)
    directory = struct.unpack_from("<L", data, end + 16)[0]
    padded = bytearray(data[:directory] + b"hidden" + data[directory:])
    struct.pack_into("<L", padded, end + 6 + 16, directory + 6)
    (tmp_path / "a.edge").write_bytes(padded)
    assert "6 bytes that belong to no entry" in refuse(tmp_path / "a.edge")


def test_a_sparse_file_of_a_terabyte(add_bundle, tmp_path):
    path = tmp_path / "a.edge"
    path.write_bytes(add_bundle.read_bytes())
    try:
        os.truncate(path, 1 << 40)
    except OSError:
        pytest.skip("this file system has no files of that size")
    assert "its directory is missing" in refuse(path)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_fuzzed_archives_are_refused_or_unchanged(add_bundle, tmp_path_factory, data):
    """Runs of bytes replaced, moved and taken out anywhere."""
    whole, expected = add_bundle.read_bytes(), open_bundle(add_bundle)
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(len(whole), start + 64)))
    new = data.draw(st.binary(max_size=64) | st.just(whole[-64:]) | st.just(b"PK\5\6" + bytes(18)))
    path = tmp_path_factory.getbasetemp() / "fuzzed.edge"
    path.write_bytes(whole[:start] + new + whole[stop:])
    outcome(path, expected)


def test_a_file_that_is_cut_after_it_was_opened(add_bundle, tmp_path):
    path = tmp_path / "a.edge"
    path.write_bytes(add_bundle.read_bytes())
    bundle = open_bundle(path)
    os.truncate(path, 100)
    with pytest.raises(BundleError, match=r"a\.edge: model\.onnx is cut short"):
        bundle.read("model.onnx")
    with pytest.raises(BundleError, match="does not match its hash"):
        bundle.verify()
    path.unlink()
    with pytest.raises(BundleError, match="can't be read: No such file"):
        bundle.verify()


def test_python_reads_it_too(add_bundle):
    bundle = open_bundle(add_bundle)
    with zipfile.ZipFile(add_bundle) as archive:
        assert archive.testzip() is None
        assert all(archive.read(name) == bundle.read(name) for name in archive.namelist())
