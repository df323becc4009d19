"""A bundle's bytes are docs/bundle.md's: order, times, modes, hashes; the same whenever it is written."""

import hashlib
import json
import struct
import zipfile

import numpy as np
import pytest
from models import build

from edgeonnx import load
from edgeonnx.bundle.archive import write_bundle
from edgeonnx.errors import InputError, OutputError
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._manifest import (
    Golden,
    InputSpec,
    Manifest,
    OutputSpec,
    Provenance,
    Requirement,
    Result,
    SessionSettings,
    Tolerance,
    Variant,
)

MODEL = build("(float[N,3] x) => (float[N,3] y) { y = Neg(x) }")
MANIFEST = Manifest(
    name="größe",
    version="1",
    target="raspberrypi",
    created_with={"onnx": "1", "edgeonnx": "2"},
    onnxruntime=Requirement("1.19", "1.22"),
    extensions=None,
    variants=(
        Variant("float32", "model.onnx", "float32", 17, 8, "1.19", (), "all", {"y": Tolerance(0.01, 0.001)}, ()),
    ),
    inputs=(InputSpec("x", "float32", ("N", 3)),),
    outputs=(OutputSpec("y", "float32", ("N", 3)),),
    result=Result("classification", {"scores": "y"}, "labels.txt", 2),
    stream=None,
    pipeline=None,
    health=None,
    session=SessionSettings(),
    golden=Golden(0, "generated"),
    provenance=Provenance(recipe="balanced", score=0.5),
    files={},
)


def entries():
    return {"model.onnx": MODEL.to_proto().SerializeToString(deterministic=True), "labels.txt": b"a\nb\nc\n"}


@pytest.fixture
def bundle(tmp_path):
    write_bundle(tmp_path / "b.edge", MANIFEST, entries())
    return tmp_path / "b.edge"


def test_the_same_inputs_give_the_same_bytes(bundle, tmp_path):
    write_bundle(tmp_path / "again.edge", MANIFEST, entries())
    assert (tmp_path / "again.edge").read_bytes() == bundle.read_bytes()


def test_entries_are_in_order_stored_and_bare(bundle):
    with zipfile.ZipFile(bundle) as archive:
        infos = archive.infolist()
        assert archive.comment == b""
    names = [info.filename for info in infos]
    runtime = [name for name in names if name.startswith("edgeonnx_runtime/")]
    assert names == ["manifest.json", "__main__.py", *sorted(runtime), "model.onnx", "labels.txt"]
    assert "edgeonnx_runtime/__init__.py" in runtime
    for info in infos:
        assert info.compress_type == zipfile.ZIP_STORED
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert (info.create_system, info.external_attr >> 16) == (3, 0o100644)
        assert (info.extra, info.comment, info.is_dir()) == (b"", b"", False)


def test_the_manifest_is_written_as_specified(bundle):
    with zipfile.ZipFile(bundle) as archive:
        text = archive.read("manifest.json").decode("utf-8")
        contents = {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}
    value = json.loads(text)
    assert text == json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert value["schema"] == 2
    assert value["name"] == "größe"
    assert value["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 3]}]
    assert value["provenance"]["float_score"] is None
    assert value["files"] == {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
    }


def test_it_returns_the_manifest_as_a_device_reads_it(bundle, tmp_path):
    written = write_bundle(tmp_path / "again.edge", MANIFEST, entries())
    model = load(bundle)
    assert model.manifest.to_dict() == written.to_dict()
    assert model.labels == ("a", "b", "c")
    x = np.array([[1, 2, 3]], np.float32)
    np.testing.assert_array_equal(model.run({"x": x})["y"], -x)


def test_nothing_is_left_where_writing_fails(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_bundle(tmp_path / "no" / "b.edge", MANIFEST, entries())
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "b.edge", MANIFEST._replace(created_with={"x": object()}), entries())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", range(0, 4200, 83))
def test_weights_begin_where_a_page_does(tmp_path, length):
    more = {
        **entries(),
        "labels.txt": b"a\nb\nc\n" + bytes(length),
        "weights/0.bin": b"w" * 5000,
        "weights/1.bin": b"v",
    }
    write_bundle(tmp_path / "b.edge", MANIFEST, more)
    data, bundle = (tmp_path / "b.edge").read_bytes(), open_bundle(tmp_path / "b.edge")
    for name in ("weights/0.bin", "weights/1.bin"):
        place = bundle.place(name)
        assert place.offset % 4096 == 0
        assert data[place.offset : place.offset + place.size] == more[name] == bundle.read(name)
    with zipfile.ZipFile(tmp_path / "b.edge") as archive:
        assert archive.testzip() is None
        extras = [info.extra for info in archive.infolist()]
        padded = [info.filename for info in archive.infolist() if info.extra]
    assert padded == ["weights/0.bin", "weights/1.bin"]
    for extra in filter(None, extras):
        assert extra[:6] == struct.pack("<3H", 0xD935, len(extra) - 4, 4096)
        assert not any(extra[6:])


def test_what_no_zip_of_the_old_form_holds(tmp_path):
    class Large(bytes):
        def __len__(self):
            return 1 << 31

    with pytest.raises(InputError, match="expected a bundle of less than 2 GiB"):
        write_bundle(tmp_path / "b.edge", MANIFEST, {**entries(), "weights/0.bin": Large()})
    assert list(tmp_path.iterdir()) == []
