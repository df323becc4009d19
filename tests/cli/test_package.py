"""`package`, then `run` and `bench` on what it made."""

import json

import numpy as np
import pytest

from edgeonnx import Model
from tests.cli.models import linear, noise, two_inputs


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """A model of two inputs and its bundle, float, with noise for golden samples."""
    import edgeonnx

    folder = tmp_path_factory.mktemp("masked")
    model = two_inputs(folder / "masked.onnx")
    return model, edgeonnx.package(model, "raspberrypi", folder / "masked.edge").path


def package_words(examples, fashion_int8):
    extras = ["--pipeline", examples / "pipeline.toml", "--labels", examples / "labels.txt"]
    return ["package", fashion_int8, "--target", "raspberrypi", *extras, "--data", examples / "test.npz", "-o"]


def test_package(edgeonnx, examples, fashion_int8, out):
    ran = edgeonnx(*package_words(examples, fashion_int8), out / "f.edge")
    assert (ran.code, ran.err) == (0, "")
    assert "python f.edge selftest" in ran.out
    assert "3, data" in ran.out
    assert [path.name for path in out.iterdir()] == ["f.edge"]


def test_package_as_json(edgeonnx, examples, fashion_int8, out):
    words = [*package_words(examples, fashion_int8), out / "f.edge", "--name", "shop", "--version", "7", "--json"]
    said = json.loads(edgeonnx(*words).out)
    assert (said["manifest"]["name"], said["manifest"]["version"]) == ("shop", "7")
    assert said["bytes"] == (out / "f.edge").stat().st_size
    assert said["manifest"]["inputs"] == [
        {"name": "input", "dtype": "uint8", "shape": [28, 28, 1], "media": {"type": "image", "color": "grey"}}
    ]
    assert said["manifest"]["result"]["labels"] == "labels.txt"
    assert said["manifest"]["provenance"]["recipe"] == "balanced"


def test_the_same_inputs_give_the_same_bytes(edgeonnx, typed, examples, fashion_int8, out):
    words = package_words(examples, fashion_int8)
    one, other = out / "one.edge", out / "other.edge"
    assert edgeonnx(*words, one, "--name", "fashion").code == 0
    assert typed(*words, other, "--name", "fashion").code == 0
    assert one.read_bytes() == other.read_bytes()


def test_bare_leaves_the_pipeline_to_the_device(edgeonnx, fashion_int8, out):
    ran = edgeonnx("package", fashion_int8, "--target", "raspberrypi", "--bare", "-o", out / "f.edge", "--json")
    assert json.loads(ran.out)["manifest"]["inputs"][0]["shape"] == ["N", 1, 28, 28]


def test_the_output_has_a_name_of_its_own_by_default(edgeonnx, out):
    assert edgeonnx("package", linear(out / "model.onnx"), "--target", "raspberrypi").code == 0
    assert sorted(path.name for path in out.iterdir()) == ["model.edge", "model.onnx"]


def test_labels_alone_make_a_classifier(edgeonnx, tmp_path, out):
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    np.save(tmp_path / "x.npy", noise(1, 4))
    words = ["--target", "raspberrypi", "--labels", tmp_path / "labels.txt", "-o", out / "m.edge"]
    assert edgeonnx("package", linear(tmp_path / "m.onnx"), *words).code == 0
    (result,) = json.loads(edgeonnx("run", out / "m.edge", tmp_path / "x.npy", "--json").out)
    assert {guess["label"] for guess in result["top"]} == {"cat", "dog", "bird"}


def test_run_a_picture(edgeonnx, typed, fashion_bundle, shirt_png):
    ran = edgeonnx("run", fashion_bundle, shirt_png)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{shirt_png}  Shirt ")
    assert typed("run", fashion_bundle, shirt_png) == ran


def test_labels_beyond_the_terminals_letters(typed, monkeypatch, tmp_path, out):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "labels.txt").write_text("Bär\nHund\nVogel\n", "utf-8")
    np.save(tmp_path / "x.npy", noise(1, 4))
    words = ["--target", "raspberrypi", "--labels", tmp_path / "labels.txt", "-o", out / "m.edge"]
    assert typed("package", linear(tmp_path / "m.onnx"), *words).code == 0
    ran = typed("run", out / "m.edge", tmp_path / "x.npy")
    assert (ran.code, ran.err) == (0, "")
    assert "B\\xe4r" in ran.out


def test_run_several_pictures_as_json(edgeonnx, fashion_bundle, shirt_png):
    results = json.loads(edgeonnx("run", fashion_bundle, shirt_png, shirt_png, "--json").out)
    assert [result["top"][0]["label"] for result in results] == ["Shirt", "Shirt"]
    assert results[0] == results[1]


def test_run_arrays_gives_what_the_joined_model_gives(edgeonnx, fashion_bundle, fashion_int8, pictures, tensors, out):
    np.save(out / "picture.npy", pictures[0])
    np.savez(out / "picture.npz", input=pictures[0])
    expected = Model.load(fashion_int8).session().run(None, {"input": tensors[:1]})[0]
    for name in ("picture.npy", "picture.npz"):
        assert edgeonnx("run", fashion_bundle, out / name, "-o", out / "result.npz").code == 0
        exponents = np.exp(expected - expected.max())
        with np.load(out / "result.npz") as result:
            # The pipeline multiplies by 1/255 where numpy divides by 255: a value may fall to the next step.
            np.testing.assert_allclose(result["probabilities"], exponents / exponents.sum(), atol=0.02)


def test_run_several_inputs(edgeonnx, masked, out):
    model, bundle = masked
    arrays = {"x": noise(2, 4, seed=1), "mask": noise(2, 4, seed=2)}
    np.savez(out / "both.npz", **arrays)
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", array)
    expected = Model.load(model).session().run(None, arrays)[0]
    for inputs in ([out / "both.npz"], [f"mask={out / 'mask.npy'}", f"x={out / 'x.npy'}"]):
        ran = edgeonnx("run", bundle, *inputs, "-o", out / "y.npz")
        assert (ran.code, ran.err) == (0, "")
        with np.load(out / "y.npz") as result:
            np.testing.assert_allclose(result["y"], expected, rtol=1e-5)


def test_bench(edgeonnx, examples, fashion_int8, fashion_bundle):
    float_model = examples / "mobilenetv1.onnx"
    for words in (
        [float_model],
        [fashion_bundle],
        [fashion_int8, "--vs", float_model],
        [fashion_bundle, "--vs", fashion_int8],
    ):
        ran = edgeonnx("bench", *words, "--seconds", "0.05")
        assert (ran.code, ran.err) == (0, "")
        assert ("x the speed of" in ran.out) == ("--vs" in words)


def test_bench_as_json(edgeonnx, examples, fashion_int8, tensors, tmp_path):
    np.savez(tmp_path / "data.npz", input=tensors)
    words = ["--vs", examples / "mobilenetv1.onnx", "--data", tmp_path / "data.npz", "--seconds", "0.05", "--json"]
    result = json.loads(edgeonnx("bench", fashion_int8, *words).out)
    assert result["latency"] == result["comparison"]["second"]
    assert result["latency"]["runs"] >= 30
    medians = [result["comparison"][side]["median"] for side in ("first", "second")]
    assert result["comparison"]["ratio"] == pytest.approx(medians[0] / medians[1])


def test_variants(edgeonnx, examples, fashion_int8, out):
    words = ["--target", "x86-64-vnni", "--bare"]
    ran = edgeonnx("package", fashion_int8, "--variant", examples / "mobilenetv1.onnx", *words, "-o", out / "f.edge")
    assert ran.code == 0, ran.err
    assert "int8, opset" in ran.out
    assert "float32, opset" in ran.out


def test_the_graph_can_be_kept(edgeonnx, fashion_int8, out):
    words = ["package", fashion_int8, "--target", "raspberrypi", "--bare", "--json", "-o", out / "f.edge"]
    levels = {}
    for extra in ("--json", "--keep-qdq"):
        said = json.loads(edgeonnx(*words, extra).out)
        assert [note for note in said["notes"] if not note.startswith("INT8: the CPU has no")] == []
        levels[extra] = (out / "f.edge").stat().st_size
    assert len(set(levels.values())) == 2
