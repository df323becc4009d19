"""`edgeonnx prune`, and `quantize --prune`, as a person types them."""

import json
import shutil

import numpy as np
import onnx
import pytest

from edgeonnx.model import Model
from tests.cli.models import linear

TARGET = "raspberrypi"  # not this machine, so nothing is timed


@pytest.fixture
def words(examples):
    """What every call names."""
    return (
        examples / "mobilenetv1.onnx",
        "--data",
        examples / "calibration.npz",
        "--eval-data",
        examples / "test.npz",
        "--pipeline",
        examples / "pipeline.toml",
    )


def test_a_ratio(edgeonnx, words, tmp_path):
    """Fewer multiply-accumulates, within a hundredth of the score, with the same inputs and outputs."""
    output, masks = tmp_path / "small.onnx", tmp_path / "masks.npz"
    ran = edgeonnx("prune", *words, "--ratio", 0.3, "--target", TARGET, "-o", output, "--export-masks", masks, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["macs"] <= 0.7 * found["float_macs"]
    assert found["score"] >= found["float_score"] - 0.01
    assert found["speed"] is None
    assert "not a raspberrypi" in found["speed_note"]
    before, after = Model.load(words[0]), Model.load(output)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert after.record["pruned"]["wish"] == "ratio 0.3"
    with np.load(masks) as kept:
        weights = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(words[0]).graph.initializer}
        assert set(kept) <= set(weights)
        assert all(kept[name].shape == weights[name].shape and not kept[name].all() for name in kept)
        small = {w.name: w.dims for w in onnx.load(output).graph.initializer}
        assert all(np.prod(small[name]) == kept[name].sum() for name in kept)


def test_what_the_refit_does_is_seen_without_it(edgeonnx, words, tmp_path):
    ran = edgeonnx(
        "prune", *words, "--ratio", 0.3, "--target", TARGET, "--no-refit", "-o", tmp_path / "raw.onnx", "--json"
    )
    assert ran.code == 3
    assert "top-1: expected at least" in ran.err
    assert (tmp_path / "raw.rejected.onnx").exists()
    assert not (tmp_path / "raw.onnx").exists()


def test_a_speedup_on_this_machine(edgeonnx, words, tmp_path):
    """Measured, whatever it comes to on a busy machine: the table says what."""
    ran = edgeonnx("prune", *words, "--speedup", "1.05x", "-o", tmp_path / "fast.onnx", "--force")
    assert ran.code == 0, ran.err
    assert "x, this machine" in ran.out
    assert "it is the model's output logits" in ran.out


def test_a_speedup_elsewhere_is_foretold(edgeonnx, words, tmp_path):
    ran = edgeonnx("prune", *words, "--speedup", "1.2", "--target", TARGET, "-o", tmp_path / "fast.onnx", "--force")
    assert ran.code == 0, ran.err
    assert "foretold from multiply-accumulates" in ran.err


def test_zeros(edgeonnx, words, tmp_path):
    ran = edgeonnx("prune", *words, "--sparsity", "0.25", "-o", tmp_path / "sparse.onnx", "--force")
    assert ran.code == 0, ran.err
    assert "zeros change nothing for CPUs" in ran.out
    assert "compressed" in ran.out
    assert "0% fewer" in ran.out


def test_the_same_twice(edgeonnx, words, tmp_path):
    for name in ("one", "two"):
        ran = edgeonnx("prune", *words, "--ratio", 0.2, "--target", TARGET, "-o", tmp_path / f"{name}.onnx")
        assert ran.code == 0, ran.err
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


def test_quantize_after_pruning(edgeonnx, words, tmp_path):
    """One budget for both."""
    output = tmp_path / "both.onnx"
    ran = edgeonnx(
        "quantize", *words, "--prune", "1.2x", "--target", TARGET, "-o", output, "--max-drop", 0.02, "--force"
    )
    assert ran.code == 0, ran.err
    made = Model.load(output)
    assert made.record["pruned"]["wish"] == "speedup 1.2"
    assert made.weight_bytes < Model.load(words[0]).weight_bytes / 3
    looked = edgeonnx("inspect", output)
    assert looked.code == 0, looked.err
    assert "speedup 1.2: channels by reconstruction" in looked.out


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ((), "a speedup, a ratio or a sparsity"),
        (("--ratio", 0.3, "--speedup", "2x"), "a speedup, a ratio or a sparsity"),
        (("--ratio", 1.2), "between 0 and 1"),
        (("--speedup", 0.9), "more than 1"),
        (("--sparsity", "5:4"), "2:4"),
        (("--ratio", 0.99, "--target", TARGET), "more would empty a layer"),
        (("--ratio", 0.3, "--target", "toaster"), "toaster"),
    ],
)
def test_bad_wishes(edgeonnx, words, wish, told, tmp_path):
    assert told in edgeonnx("prune", *words, *wish, "-o", tmp_path / "x.onnx").complains()
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_read_is_written_over(edgeonnx, words, tmp_path):
    """Neither the samples by the masks, nor the model by them."""
    data = shutil.copy(words[2], tmp_path / "samples.npz")
    for more in (("-o", tmp_path / "a.onnx", "--export-masks", data), ("-o", data)):
        ran = edgeonnx("prune", words[0], "--data", data, *words[5:], "--ratio", 0.3, *more)
        assert (ran.code, "is the file to read from" in ran.err) == (2, True), ran.err
    both = ("-o", tmp_path / "a.onnx", "--export-masks", tmp_path / "a.onnx")
    ran = edgeonnx("prune", *words, "--ratio", 0.3, *both)
    assert (ran.code, "can't be both the model and its masks" in ran.err) == (2, True), ran.err


def test_a_factor_that_is_none(edgeonnx, words):
    ran = edgeonnx("prune", *words, "--speedup", "fast")
    assert ran.code == 2
    assert "expected a factor, as 1.5x" in ran.err


def test_nothing_to_prune(edgeonnx, tmp_path):
    """It says which nodes, and why not."""
    model = linear(tmp_path / "linear.onnx")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32))
    line = edgeonnx("prune", model, "--data", tmp_path / "data.npz", "--ratio", 0.3).complains()
    assert "has no channels that can be pruned" in line
    assert "model's output y" in line


def test_a_quantized_model(edgeonnx, words, fashion_int8):
    line = edgeonnx("prune", fashion_int8, *words[1:], "--ratio", 0.3).complains()
    assert "is quantized; prune the float model" in line


def test_data_that_does_not_fit(edgeonnx, words, tmp_path):
    np.savez(tmp_path / "other.npz", other=np.zeros((20, 5), np.float32))
    line = edgeonnx("prune", words[0], "--data", tmp_path / "other.npz", "--ratio", 0.3).complains()
    assert "other.npz" in line
