"""Which variant a device takes, and what it says of those it passes over."""

import re
import warnings

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_bundles import golden_outputs, model, npy, variant_of, write_bundle

from edgeonnx.runtime import BundleError, DeviceError, InputError, load
from edgeonnx.runtime._manifest import Tolerance, Variant
from edgeonnx.runtime._variants import FEATURES, agrees, cpu_features, unmet

SAMPLE = {"x": np.array([[1, -2, 3]], np.float32)}


def scaled(factor):
    """y = x * factor, of shape [1, 3]."""
    value = (TensorProto.FLOAT, [1, 3])
    nodes = [helper.make_node("Mul", ["x", "factor"], ["y"])]
    return model(nodes, [("x", *value)], [("y", *value)], {"factor": np.float32(factor)})


def several(tmp_path, *variants):
    """A bundle of variants, each (name, what the model multiplies by, what its golden output says, features)."""

    def change(manifest, entries):
        manifest["variants"] = []
        for name, factor, golden, features in variants:
            proto = scaled(factor)
            entries[f"{name}.onnx"] = proto.SerializeToString()
            entries[f"golden/0/{name}/output0.npy"] = npy(golden_outputs(scaled(golden), SAMPLE)[0])
            manifest["variants"].append({**variant_of(proto, name, f"{name}.onnx"), "features": features})
        del entries["model.onnx"], entries["golden/0/float32/output0.npy"]
        manifest["files"] = hashed(entries)

    return write_bundle(tmp_path / "a.edge", scaled(1), [SAMPLE], change=change)


def hashed(entries):
    import hashlib

    return {n: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in entries.items()}


@pytest.fixture(autouse=True)
def vnni(monkeypatch):
    """A CPU with VNNI, whatever this one has."""
    monkeypatch.setattr("edgeonnx.runtime._load.cpu_features", lambda: frozenset({"avx2", "vnni"}))


def test_the_first_that_the_cpu_has_the_features_for(tmp_path):
    path = several(tmp_path, ("arm", 2, 2, ["dotprod"]), ("vnni", 3, 3, ["vnni"]), ("any", 4, 4, []))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = load(path)
    assert (opened.variant.name, opened.notices) == ("vnni", ())
    np.testing.assert_array_equal(opened.run(SAMPLE)["y"], 3 * SAMPLE["x"])


def test_one_that_differs_gives_way_and_it_says_so(tmp_path):
    path = several(tmp_path, ("fast", 2, 2.5, []), ("safe", 3, 3, []))
    notice = "fast: y differs from the first golden sample's"
    with pytest.warns(RuntimeWarning, match=rf"^a\.edge: {re.escape(notice)}; safe runs in its place$") as caught:
        opened = load(path)
    assert caught[0].filename == __file__
    assert (opened.variant.name, opened.notices) == ("safe", (notice,))


def test_one_that_does_not_load_gives_way(tmp_path):
    def broken(manifest, entries):
        proto = scaled(1)
        entries["new.onnx"] = b"junk"
        manifest["files"] = hashed(entries)
        newest = {**variant_of(proto, "newest"), "minimum": "99.0"}
        manifest["variants"] = [newest, variant_of(proto, "new", "new.onnx"), *manifest["variants"]]

    path = write_bundle(tmp_path / "a.edge", scaled(1), [SAMPLE], change=broken)
    with pytest.warns(RuntimeWarning):
        opened = load(path)
    assert opened.variant.name == "float32"
    assert [notice.partition(":")[0] for notice in opened.notices] == ["newest", "new"]
    assert "expected 99.0 or newer" in opened.notices[0]
    assert "can't load new.onnx" in opened.notices[1]


def test_none_that_does_names_each_reason(tmp_path):
    path = several(tmp_path, ("arm", 2, 2, ["dotprod", "neon"]), ("wrong", 3, 4, []))
    with pytest.raises(DeviceError) as caught:
        load(path)
    assert str(caught.value) == (
        "a.edge: no variant runs here: arm: needs a CPU with dotprod, neon, this one has avx2, vnni; "
        "wrong: y differs from the first golden sample's; package one for this device"
    )


def test_an_altered_variant_is_refused_and_not_passed_over(tmp_path):
    path = several(tmp_path, ("one", 2, 2, []), ("other", 3, 3, []))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"factor", b"faktor"))
    with pytest.raises(BundleError, match=r"one\.onnx does not match its hash"):
        load(path)


def test_one_by_name(tmp_path):
    path = several(tmp_path, ("arm", 2, 2, ["dotprod"]), ("any", 4, 4, []))
    assert load(path, variant="arm").variant.name == "arm"
    with pytest.raises(InputError, match="variant: expected one of arm, any, got 'x'"):
        load(path, variant="x")


def test_one_alone_is_not_tried_on_its_sample(tmp_path):
    assert load(several(tmp_path, ("one", 2, 3, []))).variant.name == "one"


# What the CPU has


def test_this_machines_features_are_known():
    found = cpu_features()
    assert found <= set(FEATURES)
    assert found & {"avx2", "neon"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_vnni\n", {"avx2", "avx512", "vnni"}),
        ("flags : avx2 avx_vnni\nflags : avx2\n", {"avx2"}),
        ("Features\t: fp asimd asimddp i8mm\n\nFeatures\t: fp asimd asimddp\n", {"neon", "dotprod"}),
        ("processor : 0\n", set()),
    ],
)
def test_what_every_cpu_names(tmp_path, text, expected):
    import os

    (tmp_path / "cpuinfo").write_text(text)
    own = {"neon"} if os.uname().machine == "aarch64" else set()
    assert cpu_features(str(tmp_path / "cpuinfo")) == expected | own


def test_where_the_kernel_says_nothing(tmp_path):
    assert cpu_features(str(tmp_path / "none")) <= {"neon"}


def test_unmet():
    variant = Variant("a", "a.onnx", "int8", 17, 8, "1.19", ("vnni", "avx2"), "all", {})
    assert unmet(variant, frozenset({"avx2"})) == ("vnni",)
    assert unmet(variant._replace(features=()), frozenset()) == ()


# How near is near enough


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "near"),
    [
        ([1.0, 2.0], [1.1, 2.0], (0.11, 0), True),
        ([1.0, 2.0], [1.1, 2.0], (0.09, 0), False),
        ([100.0], [101.0], (0, 0.01), True),
        ([np.nan, np.inf], [np.nan, np.inf], (1, 1), True),
        ([np.inf], [-np.inf], (1, 1), False),
        ([np.nan], [0.0], (1, 1), False),
        ([np.nan], [np.nan], (0, 0), True),
        ([1, 2], [1, 2], (0, 0), True),
        ([1, 2], [1, 3], (0, 0), False),
        ([1, 2], [1.0, 2.0], (0, 0), False),
        ([[1]], [1], (1, 1), False),
        (["a"], ["a"], (0, 0), True),
        (["a"], ["b"], (9, 9), False),
    ],
)
def test_agrees(got, expected, tolerance, near):
    assert agrees(np.array(got), np.array(expected), Tolerance(*tolerance)) == near


def test_strings_of_onnxruntime_agree_with_those_of_a_file():
    assert agrees(np.array(["a", "bc"], object), np.array(["a", "bc"]), Tolerance(0, 0))
