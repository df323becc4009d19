"""`quantize`: every form of data, the budget, and what is written."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from PIL import Image

from edgeonnx import Model
from tests.cli.models import linear, noise

FLOAT_SAMPLES = """
import numpy as np

def samples():
    rng = np.random.default_rng(7)
    for _ in range(24):
        yield {"x": rng.standard_normal((1, 4), np.float32)}
"""
# Says that it was called, then takes its time: somebody presses Ctrl-C meanwhile.
SLOW_SAMPLES = """
import time
from pathlib import Path
import numpy as np

def samples():
    for index in range(10_000):
        yield {"x": np.ones((1, 4), np.float32) * index}
        if index == 5:
            Path(__file__).with_name("begun").touch()
        if index > 5:
            time.sleep(0.01)
"""
# `python -m edgeonnx` that hears Ctrl-C: what a shell starts in the background ignores it, and so do its children.
LISTENING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("edgeonnx", run_name="__main__")
"""
METRIC = """
import numpy as np

def score(predict):
    return float(predict({"x": np.ones((1, 4), np.float32)})["y"].sum())
"""


def as_npz(folder, pictures, labels, tensors):
    np.savez(folder / "data.npz", input=pictures, labels=labels)
    return folder / "data.npz"


def as_compressed_npz(folder, pictures, labels, tensors):
    np.savez_compressed(folder / "data.npz", input=pictures, labels=labels)
    return folder / "data.npz"


def as_class_folders(folder, pictures, labels, tensors):
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        (folder / "photos" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[:, :, 0]).save(folder / "photos" / str(label) / f"{index}.png")
    return folder / "photos"


def as_pictures(folder, pictures, labels, tensors):
    for index, picture in enumerate(pictures):
        Image.fromarray(picture[:, :, 0]).save(folder / f"{index:02}.png")
    return folder


def as_float_npz(folder, pictures, labels, tensors):
    np.savez(folder / "data.npz", input=tensors)
    return folder / "data.npz"


def as_npy_folder(folder, pictures, labels, tensors):
    for index, tensor in enumerate(tensors):
        np.save(folder / f"{index:02}.npy", tensor)
    return folder


def as_function(folder, pictures, labels, tensors):
    np.save(folder / "all.npy", tensors)
    (folder / "data.py").write_text(
        "from pathlib import Path\nimport numpy as np\n"
        "def samples():\n"
        "    for array in np.load(Path(__file__).with_name('all.npy')):\n"
        "        yield {'input': array[np.newaxis]}\n"
    )
    return f"{folder / 'data.py'}:samples"


@pytest.mark.parametrize(
    ("write", "piped", "metric"),
    [
        (as_npz, True, "top-1"),
        (as_compressed_npz, True, "top-1"),
        (as_class_folders, True, "top-1"),
        (as_pictures, True, "agreement with float"),
        (as_float_npz, False, "agreement with float"),
        (as_npy_folder, False, "agreement with float"),
        (as_function, False, "agreement with float"),
    ],
)
def test_data_in_every_form(edgeonnx, examples, tmp_path, out, pictures, labels, tensors, write, piped, metric):
    folder = tmp_path / "data"
    folder.mkdir()
    data = write(folder, pictures, labels, tensors)
    pipeline = ["--pipeline", examples / "pipeline.toml"] if piped else []
    made = out / "fashion.int8.onnx"
    common = ["--data", data, *pipeline, "--target", "raspberrypi", "--max-drop", "0.2", "-o", made, "--json"]
    ran = edgeonnx("quantize", examples / "mobilenetv1.onnx", *common)
    assert (ran.code, ran.err) == (0, "")
    result = json.loads(ran.out)
    assert result["metric"] == metric
    assert (result["calibration_samples"], result["evaluation_samples"]) == (30, 30)
    assert result["score"] > 0.75
    assert list(out.iterdir()) == [made]
    assert _agreement(examples / "mobilenetv1.onnx", made, tensors) > 0.8


def test_what_it_prints(edgeonnx, examples, out):
    data = ["--data", examples / "calibration.npz", "--pipeline", examples / "pipeline.toml", "--recipe", "fast"]
    words = [*data, "--target", "raspberrypi", "-o", out / "m.onnx"]
    ran = edgeonnx("quantize", examples / "mobilenetv1.onnx", *words)
    assert (ran.code, ran.err) == (0, "")
    assert "on 968 samples" in ran.out
    assert "recipe" in ran.out
    assert "fast, 32 calibration samples" in ran.out
    assert "not measured: this machine is not a raspberrypi" in ran.out
    assert "reads 1 channels, fewer than 4" in ran.out


def test_without_a_target_it_is_timed_here(edgeonnx, tmp_path, out):
    """Forced, since whether so small a product is faster in INT8 is the machine's affair."""
    data = write_samples(tmp_path)
    words = ["--data", data, "--recipe", "fast", "--force", "-o", out / "m.onnx", "--json"]
    ran = edgeonnx("quantize", linear(tmp_path / "model.onnx"), *words)
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["speed"]["first"]["median"] > 0
    assert result["speed"]["low"] <= result["speed"]["ratio"] <= result["speed"]["high"]


def test_a_metric_of_ones_own(edgeonnx, tmp_path, out):
    (tmp_path / "metric.py").write_text(METRIC)
    model, data = linear(tmp_path / "model.onnx"), write_samples(tmp_path)
    metric = ["--metric", f"{tmp_path / 'metric.py'}:score", "--max-drop", "0.5"]
    words = ["--data", data, *metric, "--target", "raspberrypi", "-o", out / "m.onnx", "--json"]
    result = json.loads(edgeonnx("quantize", model, *words).out)
    expected = Model.load(model).session().run(None, {"x": np.ones((1, 4), np.float32)})[0].sum()
    assert result["float_score"] == pytest.approx(expected)
    assert result["score"] == pytest.approx(expected, abs=0.2)
    assert result["evaluation_samples"] is None
    assert result["calibration_samples"] == 24


def test_the_output_has_a_name_of_its_own_by_default(edgeonnx, tmp_path, out):
    model = linear(out / "model.onnx")
    edgeonnx("quantize", model, "--data", write_samples(tmp_path), "--target", "raspberrypi")
    assert sorted(path.name for path in out.iterdir()) == ["model.int8.onnx", "model.onnx"]


def test_weights_beside_the_model(edgeonnx, tmp_path, out):
    model = linear(tmp_path / "model.onnx", external=True)
    made = out / "m.onnx"
    ran = edgeonnx("quantize", model, "--data", write_samples(tmp_path), "--target", "raspberrypi", "-o", made)
    assert ran.code == 0, ran.err
    x = noise(50, 4, seed=3).clip(-1, 1)  # well inside what it was calibrated on
    expected, got = (Model.load(path).session().run(None, {"x": x})[0] for path in (model, made))
    np.testing.assert_allclose(got, expected, atol=0.05 * np.abs(expected).max())


def test_a_missed_accuracy_budget(edgeonnx, tmp_path, out):
    words = ["--data", write_samples(tmp_path), "--target", "raspberrypi", "-o", out / "m.onnx"]
    model = linear(tmp_path / "model.onnx")
    refused = edgeonnx("quantize", model, *words, "--max-drop", "-0.5")
    assert refused.code == 3
    *warnings, line = refused.err.splitlines()
    assert all(warning.startswith("Warning: ") for warning in warnings)
    assert line.startswith("Error: agreement with float: expected at least 1.5000 (float 1.0000), got ")
    assert "--max-drop" in line
    assert "--force" in line
    assert "agreement with float" in refused.out
    assert [path.name for path in out.iterdir()] == ["m.rejected.onnx"]
    assert {"QuantizeLinear", "DequantizeLinear"} <= {n.op_type for n in onnx.load(out / "m.rejected.onnx").graph.node}
    forced = edgeonnx("quantize", model, *words, "--max-drop", "-0.5", "--force")
    assert (forced.code, forced.err.splitlines()) == (0, warnings)
    assert (out / "m.onnx").read_bytes() == (out / "m.rejected.onnx").read_bytes()


def test_a_budget_that_is_no_number_lets_nothing_through(edgeonnx, tmp_path, out):
    words = ["--data", write_samples(tmp_path), "--target", "raspberrypi", "-o", out / "m.onnx", "--max-drop", "nan"]
    assert edgeonnx("quantize", linear(tmp_path / "model.onnx"), *words).code == 3
    assert not (out / "m.onnx").exists()


def test_calibration_that_tells_nothing_is_caught(edgeonnx, examples, out, tmp_path):
    """Black pictures only: every range collapses, and the score shows it."""
    np.savez(tmp_path / "black.npz", input=np.zeros((8, 28, 28, 1), np.uint8))
    data = ["--data", tmp_path / "black.npz", "--eval-data", examples / "calibration.npz"]
    words = [*data, "--pipeline", examples / "pipeline.toml", "--target", "raspberrypi", "-o", out / "m.onnx", "--json"]
    ran = edgeonnx("quantize", examples / "mobilenetv1.onnx", *words)
    assert ran.code == 3
    result = json.loads(ran.out)
    assert result["score"] < result["float_score"] - 0.1
    assert result["output"] == str(out / "m.rejected.onnx")
    tried = [candidate["scope"] for candidate in result["candidates"]]
    assert tried[:2] == ["all", "compute"]
    assert all(scope.endswith("layers in float") for scope in tried[2:])


def test_the_same_inputs_give_the_same_bytes(edgeonnx, typed, tmp_path, out):
    words = [linear(tmp_path / "model.onnx"), "--data", write_samples(tmp_path), "--target", "raspberrypi", "-o"]
    one, other = out / "one.onnx", out / "other.onnx"
    assert edgeonnx("quantize", *words, one).code == 0
    assert typed("quantize", *words, other).code == 0
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_interrupted_it_leaves_nothing(tmp_path, out):
    (tmp_path / "slow.py").write_text(SLOW_SAMPLES)
    words = ["--data", f"{tmp_path / 'slow.py'}:samples", "--target", "raspberrypi", "-o", str(out / "m.onnx")]
    command = [sys.executable, "-c", LISTENING, "quantize", str(linear(tmp_path / "model.onnx")), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 30
        while not (tmp_path / "begun").exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGINT)
        written, said = running.communicate(timeout=30)
    assert (running.returncode, written) == (130, ""), said
    assert said.split() == ["Interrupted;", "nothing", "was", "written."]
    assert list(out.iterdir()) == []


def write_samples(folder):
    (folder / "samples.py").write_text(FLOAT_SAMPLES)
    return f"{folder / 'samples.py'}:samples"


def _agreement(model, other, tensors):
    first, second = (Model.load(path).session().run(None, {"input": tensors})[0] for path in (model, other))
    return float(np.mean(first.argmax(axis=1) == second.argmax(axis=1)))


def test_one_bad_file_among_many_is_named_and_skipped_when_asked(edgeonnx, tmp_path, out):
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(12):
        np.save(folder / f"{index:02}.npy", noise(1, 4, seed=index))
    (folder / "05.npy").write_bytes(b"\x93NUMPY cut short")
    np.save(folder / "07.npy", np.full((1, 4), np.nan, np.float32))
    words = [
        "quantize",
        linear(tmp_path / "model.onnx"),
        "--data",
        folder,
        "--target",
        "raspberrypi",
        "-o",
        out / "m.onnx",
    ]
    refused = edgeonnx(*words)
    assert refused.code == 2
    assert "05.npy" in refused.err
    assert list(out.iterdir()) == []
    taken = edgeonnx(*words, "--skip-bad", "--json")
    assert taken.code == 0, taken.err
    said = json.loads(taken.out)
    skipped = [warning for warning in said["warnings"] if warning.startswith("skipped: ")]
    assert ["05.npy" in skipped[0], "07.npy" in skipped[1], len(skipped)] == [True, True, 2]
    assert said["calibration_samples"] + said["evaluation_samples"] == 10


def test_a_calibration_method_in_place_of_the_recipes(edgeonnx, tmp_path, out):
    words = ["quantize", linear(tmp_path / "model.onnx"), "--data", write_samples(tmp_path), "--target", "raspberrypi"]
    assert edgeonnx(*words, "--calibration", "min-max", "-o", out / "m.onnx").code == 0
    assert "no calibration method maxmin" in edgeonnx(*words, "--calibration", "maxmin").complains()


def test_the_table_of_layers(edgeonnx, tmp_path, out):
    words = ["quantize", linear(tmp_path / "model.onnx"), "--data", write_samples(tmp_path), "--target", "raspberrypi"]
    ran = edgeonnx(*words, "--layers", "-o", out / "m.onnx")
    assert "SQNR, dB" in ran.out
    assert "Gemm" in ran.out or "MatMul" in ran.out


# Stands for a full disk: a file can't grow beyond this.
FULL_DISK = """
import resource, runpy, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
runpy.run_module("edgeonnx", run_name="__main__")
"""


def test_a_full_disk_leaves_nothing_behind(fashion_int8, out):
    words = ["package", fashion_int8, "--bare", "--target", "raspberrypi", "-o", out / "f.edge"]
    command = [sys.executable, "-c", FULL_DISK, *map(str, words)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith(f"Error: {out / 'f.edge'} can't be written: ")
    assert ran.stderr.count("\n") == 1
    assert list(out.iterdir()) == []


def test_a_kill_leaves_no_result_that_looks_whole(tmp_path, out):
    (tmp_path / "slow.py").write_text(SLOW_SAMPLES)
    words = ["quantize", linear(tmp_path / "model.onnx"), "--data", f"{tmp_path}/slow.py:samples", "-o", out / "m.onnx"]
    ran = subprocess.Popen([sys.executable, "-m", "edgeonnx", *map(str, words)], stderr=subprocess.DEVNULL)
    while not (tmp_path / "begun").exists() and ran.poll() is None:
        time.sleep(0.05)
    ran.kill()
    assert ran.wait() == -signal.SIGKILL
    assert not (out / "m.onnx").exists()


def test_data_that_looks_wrong_is_warned_of(edgeonnx, examples, out, tmp_path):
    """Pixels of 0 to 255 twice each, for a model that was trained on 0 to 1."""
    with np.load(examples / "calibration.npz") as arrays:
        pictures = arrays["input"][:20].astype(np.float32).transpose(0, 3, 1, 2)
    np.savez(tmp_path / "twice.npz", input=np.concatenate([pictures, pictures]))
    words = ["quantize", examples / "mobilenetv1.onnx", "--data", tmp_path / "twice.npz", "--target", "raspberrypi"]
    ran = edgeonnx(*words, "--eval-data", tmp_path / "twice.npz", "--force", "-o", out / "m.onnx")
    assert ran.code == 0
    assert any("20 of 40" in line for line in ran.err.splitlines()), ran.err
