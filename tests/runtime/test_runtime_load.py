"""What `load` is given, and how weights reach onnxruntime."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from runtime_bundles import add_model, model, write_bundle

from edgeonnx.runtime import BundleError, InputError, load
from edgeonnx.runtime import _session as session_module
from edgeonnx.runtime._weights import inline_weights, map_weights
from edgeonnx.runtime._zip import Place

X = np.arange(64, dtype=np.float32).reshape(1, 64)


def matmul():
    """y = x W + b, W of 16 KiB."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.standard_normal((64, 64), np.float32), "b": rng.standard_normal(64, np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])]
    value = (TensorProto.FLOAT, [1, 64])
    return model(nodes, [("x", *value)], [("y", *value)], weights)


def apart(proto, location="weights/0.bin", shift=0, extra=0):
    """The model with W as external data after `shift` bytes of its entry, and the entry's bytes."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    tensor = proto.graph.initializer[0]
    data = bytes(shift) + tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", shift), ("length", len(data) - shift + extra)):
        tensor.external_data.add(key=key, value=str(value))
    return proto, data


def external_bundle(path, **kind):
    proto, data = apart(matmul(), **kind)

    def change(manifest, entries):
        import hashlib

        entries["model.onnx"] = proto.SerializeToString()
        entries["weights/0.bin"] = data
        manifest["variants"][0]["weights"] = ["weights/0.bin"]
        manifest["files"] = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in entries.items()
        }

    return write_bundle(path, matmul(), change=change)


@pytest.fixture
def expected(tmp_path):
    return load(write_bundle(tmp_path / "whole.edge", matmul())).run({"x": X})["y"]


@pytest.mark.parametrize("memory", ["fast", "small"])
@pytest.mark.parametrize("shift", [0, 4, 64])
def test_weights_are_read_from_the_bundle(tmp_path, monkeypatch, expected, memory, shift):
    (tmp_path / "elsewhere").mkdir()
    path = external_bundle(tmp_path / "größe mit Leerzeichen.edge", shift=shift)
    monkeypatch.chdir(tmp_path / "elsewhere")
    opened = load(os.path.relpath(path), memory=memory)
    # repacked or not, sums are taken in another order
    np.testing.assert_allclose(opened.run({"x": X})["y"], expected, rtol=1e-4, atol=1e-3)


def test_an_onnxruntime_that_can_not_map_them_gets_them_inside(tmp_path, monkeypatch, expected):
    monkeypatch.setattr(session_module, "_FOLDER_OPTION", [99])
    opened = load(external_bundle(tmp_path / "a.edge", shift=8))
    np.testing.assert_array_equal(opened.run({"x": X})["y"], expected)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps are Linux's")
def test_weights_are_not_copied(tmp_path):
    opened = load(external_bundle(tmp_path / "a.edge"), memory="small")
    assert str(opened.path) in Path("/proc/self/maps").read_text()


def test_weights_that_were_altered(tmp_path):
    path = external_bundle(tmp_path / "a.edge")
    data = bytearray(path.read_bytes())
    data[data.index(apart(matmul())[1]) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"weights/0\.bin does not match its hash"):
        load(path)
    load(path, verify=False)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"location": "/etc/passwd"}, r"weights in '/etc/passwd', which the manifest does not list"),
        ({"location": "../weights/0.bin"}, r"weights in '\.\./weights/0\.bin', which the manifest does not list"),
        ({"extra": 4}, r"weights beyond the end of weights/0\.bin"),
        ({"extra": -(1 << 20)}, r"weights beyond the end of weights/0\.bin"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_weights_that_lead_elsewhere(tmp_path, monkeypatch, kind, message, mapped):
    if not mapped:
        monkeypatch.setattr(session_module, "_FOLDER_OPTION", [99])
    with pytest.raises(BundleError, match=rf"a\.edge: model\.onnx: {message}"):
        load(external_bundle(tmp_path / "a.edge", **kind))


def test_only_the_places_change():
    proto, _ = apart(matmul())
    data = proto.SerializeToString()
    placed = onnx.ModelProto.FromString(map_weights(data, b"a.edge", {"weights/0.bin": Place(640, 16384, 0)}))
    entries = {entry.key: entry.value for entry in placed.graph.initializer[0].external_data}
    assert entries == {"location": "a.edge", "offset": "640", "length": "16384"}
    for made in (proto, placed):
        del made.graph.initializer[0].external_data[:]
    assert placed == proto


def test_inlined_it_is_the_model_that_was_taken_apart():
    proto, data = apart(matmul(), shift=12)
    places = {"weights/0.bin": Place(0, len(data), 0)}
    whole = inline_weights(proto.SerializeToString(), places, lambda _: data)
    assert onnx.ModelProto.FromString(whole) == matmul()


def test_damaged_files_are_refused_or_left_as_they_are():
    """Any byte of the file replaced: an error of ours, or bytes."""
    proto, _ = apart(matmul())
    data = bytearray(proto.SerializeToString())
    for at in range(len(data)):
        for value in (0, 0x7F, 0xFF):
            before, data[at] = data[at], value
            try:
                assert isinstance(map_weights(bytes(data), b"a", {"weights/0.bin": Place(0, 16384, 0)}), bytes)
            except BundleError as error:
                assert "\n" not in str(error)
            data[at] = before


def test_several_sessions(tmp_path):
    opened = load(write_bundle(tmp_path / "a.edge", add_model()), sessions=2)
    ones = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(opened.run({"a": ones, "b": ones})["total"], 2 * ones)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"memory": "tiny"}, "memory: expected one of fast, small, got 'tiny'"),
        ({"sessions": 0}, "sessions: expected 1 or more, got 0"),
        ({"threads": -1}, "threads: expected 0"),
    ],
)
def test_arguments(add_bundle, arguments, message):
    with pytest.raises(InputError, match=message):
        load(add_bundle, **arguments)


def test_a_key_is_looked_at_before_anything_else(tmp_path):
    (tmp_path / "a.edge").write_bytes(b"junk")
    with pytest.raises(BundleError, match=r"key\.pem"):
        load(tmp_path / "a.edge", public_key=tmp_path / "key.pem")
