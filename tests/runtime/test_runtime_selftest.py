import hashlib
import math

import numpy as np
import pytest
from onnx import TensorProto
from runtime_bundles import add_model, identity_model, kinds_model, npy, write_bundle

from edgeonnx.runtime import BundleError, InputError, SelftestError, load
from edgeonnx.runtime._bench import bench
from edgeonnx.runtime._manifest import Tolerance
from edgeonnx.runtime._selftest import compare_golden, selftest, worst_element


def replaced(path, proto, samples, name, data, **tolerance):
    """A bundle with entry `name` replaced, and another tolerance for the first output."""

    def change(manifest, entries):
        entries[name] = data
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        next(iter(manifest["variants"][0]["tolerance"].values())).update(tolerance)

    return write_bundle(path, proto, samples, change=change)


SAMPLES = [{"x": np.array([value, 1], np.float32)} for value in (1, 2)]
IDENTITY = identity_model(TensorProto.FLOAT, [2])


def test_the_same_machine_passes(add_bundle, fashion):
    for path, count in ((add_bundle, 2), (fashion, 3)):
        report = selftest(load(path))
        assert report.ok
        assert report.samples == count
        assert [output.difference for output in report.outputs] == [0.0]


def test_strings_booleans_and_integers_pass(tmp_path):
    sample = {"words": np.array(["ß", ""], object), "flags": np.array([True, False])}
    sample |= {"ids": np.array([[2**62]]), "scale": np.array(1, np.float32)}
    assert selftest(load(write_bundle(tmp_path / "a.edge", kinds_model(), [sample]))).ok


def test_a_difference_is_told_with_its_place(tmp_path):
    path = tmp_path / "a.edge"
    model = load(
        replaced(path, IDENTITY, SAMPLES, "golden/1/float32/output0.npy", npy(np.array([2.5, 1], np.float32)), atol=0.1)
    )
    report = compare_golden(model)
    assert not report.ok
    (output,) = report.outputs
    assert (output.name, output.difference, output.sample, output.ok) == ("y", 0.5, 1, False)
    assert output.allowed == pytest.approx(0.1)
    with pytest.raises(SelftestError, match=r"y differs in golden sample 1: expected .* at most 0\.1, got 0\.5"):
        selftest(model)


def test_the_tolerance_counts(tmp_path):
    path = tmp_path / "a.edge"
    golden = npy(np.array([2.5, 1], np.float32))
    assert selftest(load(replaced(path, IDENTITY, SAMPLES, "golden/1/float32/output0.npy", golden, atol=0.5))).ok
    assert selftest(load(replaced(path, IDENTITY, SAMPLES, "golden/1/float32/output0.npy", golden, rtol=0.2))).ok
    assert not compare_golden(
        load(replaced(path, IDENTITY, SAMPLES, "golden/1/float32/output0.npy", golden, rtol=0.19))
    ).ok


@pytest.mark.parametrize("data", [b"junk", npy(np.array(["a"]))[:-1]])
def test_a_golden_file_that_is_no_npy_is_a_bundle_error(tmp_path, data):
    model = load(replaced(tmp_path / "a.edge", IDENTITY, SAMPLES, "golden/0/float32/output0.npy", data))
    with pytest.raises(BundleError, match=r"a\.edge: golden/0/float32/output0\.npy is not a readable \.npy"):
        selftest(model)


def test_no_golden_samples(tmp_path):
    model = load(write_bundle(tmp_path / "a.edge", add_model()))
    for call in (selftest, bench):
        with pytest.raises(BundleError, match="there are no golden samples"):
            call(model)


def test_fewer_golden_files_than_samples(tmp_path):
    def change(manifest, entries):
        manifest["golden"]["samples"] = 3

    with pytest.raises(BundleError, match=r"there is no entry golden/2/input0\.npy"):
        selftest(load(write_bundle(tmp_path / "a.edge", IDENTITY, SAMPLES, change=change)))


INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("got", "expected", "dtype", "difference", "allowed"),
    [
        ([1, 2], [1, 2.5], "float32", 0.5, 0.1 + 0.25),
        ([10, 0.3], [9, 0], "float32", 0.3, 0.1),
        ([NAN, INF, -INF], [NAN, INF, -INF], "float32", 0, 0.1),
        ([NAN], [1], "float32", INF, 0.2),
        ([1], [NAN], "float32", INF, 0.1),
        ([1], [INF], "float32", INF, 0.1),
        ([-INF], [INF], "float32", INF, 0.1),
        ([3e38], [-3e38], "float16", INF, 0.1),
        ([], [], "float32", 0, 0.1),
        ([2**62], [2**62 + 1], "int64", 1, 0.1 + 0.1 * 2**62),
        ([250], [5], "uint8", 245, 0.6),
        ([True], [False], "bool", 1, 0.1),
        (["a"], ["b"], "str", INF, 0.1),
        (["a"], ["a"], "object", 0, 0.1),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_worst_element(got, expected, dtype, difference, allowed):
    result = worst_element(np.array(got, dtype), np.array(expected, dtype), Tolerance(0.1, 0.1))
    assert result == pytest.approx((difference, allowed))


def test_large_integers_that_float64_holds_equal_differ():
    assert worst_element(np.array([2**62]), np.array([2**62 + 1]), Tolerance(0, 0)) == (1.0, 0.0)


def test_another_shape_or_dtype_differs():
    tolerance = Tolerance(0.1, 0)
    assert worst_element(np.zeros(2), np.zeros(3), tolerance) == (INF, 0.1)
    assert worst_element(np.zeros(2), np.zeros((1, 2)), tolerance) == (INF, 0.1)
    assert worst_element(np.zeros(2, np.float32), np.zeros(2), tolerance) == (INF, 0.1)


def test_bench(fashion):
    model = load(fashion)
    report = bench(model, runs=20, warmup=2)
    assert report.runs == 20
    assert 0 < report.median_us <= report.p95_us
    assert report.load_ms == model.load_seconds * 1e3
    for runs, warmup in ((0, 1), (1, -1)):
        with pytest.raises(InputError, match="expected at least 1 run"):
            bench(model, runs, warmup)
