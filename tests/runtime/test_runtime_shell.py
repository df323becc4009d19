"""The runtime as a person types it: every call is a process of its own, from the archive or from the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from runtime_bundles import add_model, identity_model, kinds_model, model, npy, write_bundle

from edgeonnx.runtime import load
from edgeonnx.runtime.__main__ import main


def python(*arguments, cwd=None):
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, timeout=120)


def fail(*arguments, cwd=None) -> str:
    done = python(*arguments, cwd=cwd)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_info(fashion):
    done = python(fashion, "info")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test 1 for desktop" in done.stdout
    assert "input  uint8 (height, width, 1), image" in done.stdout
    assert "classification from logits, labels in labels.txt" in done.stdout
    assert "3 samples, generated" in done.stdout


def test_info_json_is_the_manifest(fashion):
    manifest = json.loads(python(fashion, "info", "--json").stdout)
    assert manifest == load(fashion).manifest.to_dict()


def test_run_a_picture(fashion, picture):
    done = python(fashion, "run", picture, picture)
    assert (done.returncode, done.stderr) == (0, "")
    expected = load(fashion)(picture)
    line = f"{picture}  " + ", ".join(f"{guess.label} {guess.score:.2f}" for guess in expected.top)
    assert done.stdout == f"{line}\n{line}\n"


def test_run_json_and_output(fashion, picture, tmp_path):
    out = tmp_path / "out.npz"
    done = python(fashion, "run", picture, "--json", "--output", out)
    expected = load(fashion)(picture)
    assert json.loads(done.stdout) == [
        {
            "source": str(picture),
            "top": [dict(zip(("label", "index", "score"), guess, strict=True)) for guess in expected.top],
        }
    ]
    with np.load(out) as arrays:
        assert arrays.files == ["logits"]
        np.testing.assert_array_equal(arrays["logits"], expected.outputs["logits"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.npz", "shirt.png"]


def test_selftest(fashion):
    done = python(fashion, "selftest")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout == "logits  difference 0, allowed 0: ok\nplacement: CPUExecutionProvider 6\nok (3 golden samples)\n"
    )
    report = json.loads(python(fashion, "selftest", "--json").stdout)
    assert report["ok"] is True
    assert report["outputs"][0]["name"] == "logits"


def test_bench(fashion):
    done = python(fashion, "bench", "--runs", "5", "--warmup", "1", "--threads", "1", "--no-verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "over 5 runs" in done.stdout
    report = json.loads(python(fashion, "bench", "--runs", "5", "--sessions", "2", "--json").stdout)
    assert (report["runs"], report["sessions"]) == (5, 2)
    assert report["per_second"] > 0
    assert 0 < report["median_us"] <= report["p95_us"]


def test_errors_are_one_line(fashion, tmp_path):
    assert "VERB" in fail(fashion)
    assert "invalid choice: 'walk'" in fail(fashion, "walk")
    assert "INPUT" in fail(fashion, "run")
    assert "none.png: No such file" in fail(fashion, "run", "none.png", cwd=tmp_path)
    assert "invalid int value" in fail(fashion, "bench", "--runs", "many")
    assert "at least 1 run" in fail(fashion, "bench", "--runs", "0")
    assert "no such file" in fail("-m", "edgeonnx.runtime", "none.edge", "info", cwd=tmp_path)
    assert "BUNDLE" in fail("-m", "edgeonnx.runtime")


def test_help_ends_in_examples(fashion):
    done = python(fashion, "--help")
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("python fashion.edge facts --json > facts.json")
    assert python("-m", "edgeonnx.runtime", "--version").stdout.startswith("edgeonnx-runtime 0.")


def test_a_closed_pipe_is_no_error(fashion):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-W", "error", str(fashion), "info"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


# The rest in this process: the same main().


def test_differs_exits_1(tmp_path, capsys):
    def change(manifest, entries):
        import hashlib

        name, data = "golden/0/float32/output0.npy", npy(np.array([np.inf, 1], np.float32))
        entries[name] = data
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    sample = {"x": np.ones(2, np.float32)}
    path = write_bundle(tmp_path / "a.edge", identity_model(TensorProto.FLOAT, [2]), [sample], change=change)
    assert main([str(path), "selftest"]) == 1
    assert (
        capsys.readouterr().out == "y  difference inf, allowed 0: differs in golden sample 0\n"
        "placement: CPUExecutionProvider 1\ndiffers (1 golden sample)\n"
    )
    assert main([str(path), "selftest", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outputs"][0]["difference"] is None


@pytest.fixture
def arrays(tmp_path) -> Path:
    np.save(tmp_path / "a.npy", np.array([[1, 2, 3]], np.float32))
    np.save(tmp_path / "b.npy", np.array([[1, 1, 1]], np.float32))
    np.savez(tmp_path / "both.npz", a=np.ones((2, 3), np.float32), b=np.ones((2, 3), np.float32))
    return tmp_path


def test_pairs_make_one_sample(add_bundle, arrays, capsys, monkeypatch):
    monkeypatch.chdir(arrays)
    assert main([str(add_bundle), "run", "a=a.npy", "b=b.npy"]) == 0
    assert capsys.readouterr().out == "a=a.npy b=b.npy\n  total  float32 (1, 3)  min 2  max 4  mean 3\n"


def test_npz_and_several_samples(add_bundle, arrays, capsys, monkeypatch):
    monkeypatch.chdir(arrays)
    assert main([str(add_bundle), "run", "both.npz", "both.npz", "--json", "--output", "out.npz"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == second
    assert first["outputs"]["total"] == {"dtype": "float32", "shape": [2, 3], "min": 2, "max": 2, "mean": 2}
    with np.load("out.npz") as outputs:
        assert outputs.files == ["0/total", "1/total"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["a.npy"], "a.npy: the model has 2 inputs (a, b); give name=file pairs or an .npz"),
        (["a=a.npy"], "a=a.npy: expected the inputs a, b; got a"),
        (["a=a.npy", "a=b.npy"], "expected each input once"),
        (["a=a.npy", "b.npy"], "expected files or name=file pairs, got both"),
        (["a=a.npy", "c=b.npy"], "c=b.npy: expected an input named one of a, b, got c"),
        (["a=a.npy", "b=none.npy"], "none.npy: No such file"),
        (["none.npz"], "none.npz is not a readable .npz file"),
        (["fake.npz"], "fake.npz is not a readable .npz file"),
        (["a=a.npy", "b=wide.npy"], "a=a.npy b=wide.npy: input b: expected shape (batch, 3), got (1, 4)"),
        (["both.npz", "--output", "no/such/out.npz"], "no/such/out.npz can't be written: No such file"),
        (["both.npz", "--threads", "-1"], "threads: expected 0"),
    ],
)
def test_bad_inputs(add_bundle, arrays, capsys, monkeypatch, inputs, message):
    monkeypatch.chdir(arrays)
    np.save("wide.npy", np.ones((1, 4), np.float32))
    Path("fake.npz").write_bytes(Path("a.npy").read_bytes())
    assert main([str(add_bundle), "run", *inputs]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not list(arrays.glob("*.partial"))


def test_a_file_whose_name_holds_an_equals_sign(tmp_path, capsys):
    path = write_bundle(tmp_path / "a.edge", identity_model(TensorProto.FLOAT, [2]))
    np.save(tmp_path / "lr=0.1.npy", np.ones(2, np.float32))
    assert main([str(path), "run", str(tmp_path / "lr=0.1.npy")]) == 0
    assert "mean 1" in capsys.readouterr().out


def test_strings_and_odd_names_are_written(tmp_path, capsys):
    proto = kinds_model()
    for value in (proto.graph.output[0],):
        value.name = "file"
    proto.graph.node[0].output[0] = "file"
    path = write_bundle(tmp_path / "a.edge", proto)
    feed = {"words": np.array(["ß", "long"]), "flags": np.array([True, False])}
    feed |= {"ids": np.zeros((1, 0), np.int64), "scale": np.array(2, np.float32)}
    np.savez(tmp_path / "x.npz", **feed)
    assert main([str(path), "run", str(tmp_path / "x.npz"), "--output", str(tmp_path / "out.npz")]) == 0
    assert "  file  str (2,)\n" in capsys.readouterr().out
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert arrays["file"].tolist() == ["ß", "long"]
        assert arrays["ids_out"].shape == (1, 0)
    assert main([str(path), "run", str(tmp_path / "x.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["outputs"]["scale_out"]["min"] == 2


def test_json_has_null_for_infinity(tmp_path, capsys):
    value = (TensorProto.FLOAT, [2])
    proto = model([helper.make_node("Log", ["x"], ["y"])], [("x", *value)], [("y", *value)])
    np.save(tmp_path / "x.npy", np.array([0, 1], np.float32))
    assert main([str(write_bundle(tmp_path / "a.edge", proto)), "run", str(tmp_path / "x.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["outputs"]["y"]["min"] is None


def test_output_keeps_what_was_there_when_it_fails(add_bundle, arrays, capsys, monkeypatch):
    monkeypatch.chdir(arrays)
    Path("out.npz").write_bytes(b"before")
    assert main([str(add_bundle), "run", "both.npz", "a.npy", "--output", "out.npz"]) == 2
    assert Path("out.npz").read_bytes() == b"before"


def test_add_model_is_what_the_names_say():
    assert [value.name for value in add_model().graph.input] == ["a", "b"]
