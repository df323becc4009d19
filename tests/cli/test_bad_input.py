"""Bad input, as people give it: one line that says what is wrong, exit code 2, and nothing written."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from edgeonnx.runtime._manifest import SCHEMA
from tests.cli.models import linear, noise, write_model

USER_CODE = """
import numpy as np

def raises(predict):
    raise KeyError("accuracy")

def nan(predict):
    return float("nan")

def text(predict):
    return "good"

def drifts(predict, calls=[]):
    calls.append(1)
    return float(len(calls))

def no_samples():
    return iter(())

def breaks_off():
    yield {"x": np.ones((1, 4), np.float32)}
    raise OSError("the camera is gone")
"""
QUANTIZE = "quantize {model} --data {data} --target raspberrypi -o {out}/m.onnx"
PACKAGE = "package {model} --target raspberrypi -o {out}/m.edge"
BARE = "package {float} --target raspberrypi -o {out}/m.edge"
FASHION = "package {fashion} --target raspberrypi -o {out}/m.edge"
SIZE = ["size.npz, input 'x': expected shape (N,4), got (1,5)"]

MODELS = {
    "no such model": ("{here}/none.onnx", ["none.onnx", "no such file"]),
    "a folder": ("{here}", ["is a folder; expected an ONNX model"]),
    "text": ("{here}/text.onnx", ["text.onnx is not an ONNX model"]),
    "empty": ("{here}/empty.onnx", ["empty.onnx is not an ONNX model"]),
    "a picture": ("{here}/picture.onnx", ["picture.onnx is not an ONNX model"]),
    "cut short": ("{here}/cut.onnx", ["cut.onnx", "cut short"]),
    "external data missing": ("{here}/bare.onnx", ["bare.onnx.data", "does not exist"]),
    "external data cut short": ("{here}/short.onnx", ["short.onnx.data is cut short", "expected 48 bytes, got 20"]),
}
DATA = {
    "no such data": ("{here}/none.npz", ["none.npz does not exist"]),
    "not a data file": ("{here}/text.txt", ["expected an .npz", "text.txt"]),
    "one array": ("{here}/x.npy", ["expected an .npz", "np.savez"]),
    "not an npz": ("{here}/text.npz", ["can't be read as .npz"]),
    "npz cut short": ("{here}/cut.npz", ["cut.npz can't be read as .npz"]),
    "another name": ("{here}/name.npz", ["'x'", "'images'"]),
    "an array missing": ("{here}/labels.npz", ["'x'"]),
    "another dtype": ("{here}/dtype.npz", ["expected float32", "got float64"]),
    "another rank": ("{here}/rank.npz", ["expected an array (n,4)", "got (6)"]),
    "another size": ("{here}/size.npz", SIZE),
    "no samples": ("{here}/none_in.npz", ["expected samples along the first axis, got none"]),
    "one sample": ("{here}/one.npz", ["expected at least 2 samples", "got 1"]),
    "NaN": ("{here}/nan.npz", ["nan.npz, sample 1", "NaN"]),
    "infinity": ("{here}/inf.npz", ["inf.npz, sample 1"]),
    "an empty folder": ("{here}/empty", ["got an empty folder"]),
    "a mixed folder": ("{here}/mixed", ["expected files of one kind"]),
    "labels of other length": ("{here}/few_labels.npz", ["expected labels of shape (6)", "got (4)"]),
    "labels beyond the classes": ("{here}/label.npz", ["label 9", "0 to 2"]),
    "pictures undeclared": ("{here}/photos", ["--pipeline"]),
    "no such function": ("{here}/code.py:sampels", ["sampels does not exist"]),
    "no such file of code": ("{here}/none.py:samples", ["none.py does not exist"]),
    "a function forgotten": ("{here}/code.py", ["expected FILE.py:FUNC"]),
    "a function without samples": ("{here}/code.py:no_samples", ["expected at least one sample, got none"]),
    "a function that breaks off": ("{here}/code.py:breaks_off", ["OSError: the camera is gone", "line 22,"]),
    "code with a syntax error": ("{here}/wrong.py:samples", ["SyntaxError", "line 2,"]),
}
OTHERS = {
    "pictures for tensors": (
        "quantize {float} --data {here}/nhwc.npz -o {out}/m.onnx",
        ["nhwc.npz, input 'input': expected shape (N,1,28,28), got (1,28,28,1)", "use .transpose(0, 3, 1, 2)"],
    ),
    "an unknown target": (QUANTIZE + " --target raspberypi", ["'raspberypi'", "Near: raspberrypi"]),
    "an unknown target to package for": (FASHION + " --target x86-64-vnnii", ["x86-64-vnni"]),
    "an unknown target to show": ("targets show jetson", ["jetson-orin"]),
    "a broken profile": ("targets show {here}/text.toml", ["text.toml"]),
    "an unknown recipe": (QUANTIZE + " --recipe balancd", ["no recipe balancd", "Near: balanced"]),
    "a broken recipe": (QUANTIZE + " --recipe {here}/recipe.toml", ["recipe.toml", "samples"]),
    "a metric that raises": (QUANTIZE + " --metric {here}/code.py:raises", ["KeyError: 'accuracy'", "line 5,"]),
    "a metric of NaN": (QUANTIZE + " --metric {here}/code.py:nan", ["nan"]),
    "a metric of text": (QUANTIZE + " --metric {here}/code.py:text", ["str"]),
    "a metric that drifts": (QUANTIZE + " --metric {here}/code.py:drifts", ["1.0", "2.0"]),
    "no such metric": (QUANTIZE + " --metric {here}/code.py:nann", ["nann does not exist", "Near: nan"]),
    "quantized already": (
        "quantize {fashion} --data {data} -o {out}/m.onnx",
        ["is quantized already", "give the float model"],
    ),
    "nothing to quantize": ("quantize {here}/relu.onnx --data {data} -o {out}/m.onnx", ["nothing to quantize"]),
    "no such pipeline": (FASHION + " --pipeline {here}/none.toml", ["none.toml: no such file"]),
    "a pipeline that is no TOML": (FASHION + " --pipeline {here}/text.toml", ["is not TOML"]),
    "a pipeline with an unknown field": (
        FASHION + " --pipeline {here}/field.toml",
        ["field.toml: input.input.sizes is not a known field. Near: resize"],
    ),
    "a pipeline for another input": (
        BARE + " --pipeline {here}/input.toml",
        ["input.input.to: the model has no input 'photo'; it has input"],
    ),
    "a pipeline of other channels": (BARE + " --pipeline {here}/rgb.toml", ["expected 1 channels, got 3"]),
    "no pipeline where it was quantized through one": (FASHION, ["--pipeline", "--bare"]),
    "another pipeline than quantized through": (
        FASHION + " --pipeline {here}/other.toml",
        ["quantized through the pipeline", "package it with the same spec"],
    ),
    "labels too few": (FASHION + " --bare --labels {here}/two.txt", ["expected 10", "got 2"]),
    "no such labels": (FASHION + " --bare --labels {here}/none.txt", ["none.txt", "can't be read"]),
    "labels in another encoding": (FASHION + " --bare --labels {here}/latin.txt", ["latin.txt", "UTF-8"]),
    "an empty file of labels": (FASHION + " --bare --labels {here}/empty.onnx", ["empty.onnx", "no names"]),
    "labels for several outputs": (
        "package {here}/outputs.onnx --target raspberrypi --labels {here}/two.txt -o {out}/m.edge",
        ["several outputs"],
    ),
    "golden samples of NaN": (PACKAGE + " --data {here}/nan.npz", ["nan.npz"]),
    "golden samples that do not fit": (PACKAGE + " --data {here}/size.npz", SIZE),
    "an opset too high to quantize": (
        "quantize {here}/opset.onnx --data {data} --target raspberrypi -o {out}/m.onnx",
        ["opset: expected at most 22", "got 24"],
    ),
    "an opset too high to package": (
        "package {here}/opset.onnx --target raspberrypi -o {out}/m.edge",
        ["opset: expected at most 22", "got 24"],
    ),
    "an opset too low to raise": (
        "quantize {here}/old.onnx --data {data} -o {out}/m.onnx",
        ["opset 1 can't be raised to 13", "export the model again with opset 13"],
    ),
    "a free shape where none may be": (
        "package {here}/free.onnx --target qualcomm-hexagon -o {out}/m.edge",
        ["input shapes: expected numbers"],
    ),
    "no such folder to write to": (
        "quantize {model} --data {data} -o {out}/none/m.onnx",
        ["none does not exist", "create it"],
    ),
    "a file for a folder": ("quantize {model} --data {data} -o {model}/m.onnx", ["model.onnx is a file, not a folder"]),
    "a folder for a file": ("package {model} --target raspberrypi -o {out}", ["is a folder; name the file"]),
    "a folder that takes no files": ("package {model} --target raspberrypi -o /proc/m.edge", ["/proc"]),
    "the model itself to write to": (
        "quantize {model} --data {data} --target raspberrypi -o {model}",
        ["model.onnx is the file to read from"],
    ),
    "the model itself for a bundle": (
        "package {model} --target raspberrypi -o {here}/photos/../model.onnx",
        ["model.onnx is the file to read from"],
    ),
    "a path for a name": (PACKAGE + " --name a/b", ["expected text without '/', got 'a/b'"]),
    "a bench of nothing": ("bench {here}/none.onnx", ["none.onnx: no such file"]),
    "a bench of no such bundle": ("bench {here}/none.edge", ["none.edge"]),
    "a bench against nothing": ("bench {model} --vs {here}/none.onnx", ["none.onnx: no such file"]),
    "a bench on bad data": ("bench {model} --data {here}/size.npz", SIZE),
}
RUNS = {
    "no such bundle": ("{here}/none.edge {shirt}", ["none.edge"]),
    "a model for a bundle": ("{model} {shirt}", ["model.onnx"]),
    "a bundle cut short": ("{here}/cut.edge {shirt}", ["cut.edge"]),
    "a newer schema": ("{here}/newer.edge {shirt}", [f"schema {SCHEMA + 1}", "edgeonnx-runtime"]),
    "an entry too many": ("{here}/more.edge {shirt}", ["extra.txt"]),
    "no such picture": ("{bundle} {here}/none.png", ["none.png"]),
    "text for a picture": ("{bundle} {here}/text.png", ["text.png"]),
    "a picture of another size": ("{bundle} {here}/small.png", ["expected", "28", "got", "8"]),
    "an array of another dtype": ("{bundle} {here}/x.npy", ["expected", "uint8", "float32"]),
    "an npz of other names": ("{bundle} {here}/name.npz", ["input", "images"]),
    "a name that is no input": ("{bundle} picture={shirt}", ["picture"]),
}


@pytest.fixture(scope="session")
def places(examples, fashion_int8, fashion_bundle, shirt_png, tmp_path_factory):
    """What the words in braces stand for; `here` is a folder of everything that can be wrong."""
    here = tmp_path_factory.mktemp("wrong")
    model = linear(here / "model.onnx")
    _write_models(here, model, shirt_png)
    _write_data(here)
    _write_specs(here, examples)
    _write_bundles(here, fashion_bundle)
    return {
        "here": here,
        "model": model,
        "data": here / "good.npz",
        "float": examples / "mobilenetv1.onnx",
        "fashion": fashion_int8,
        "bundle": fashion_bundle,
        "shirt": shirt_png,
    }


@pytest.fixture
def refused(edgeonnx, places, out):
    """Give a command and see it refused; what its one line must say."""

    def check(command, said):
        before = written(places["here"])
        line = edgeonnx(*(word.format(out=out, **places) for word in command.split())).complains()
        assert [words for words in said if words not in line] == [], line
        assert not re.search(r"Traceback|0x[0-9a-f]{6}|<class|\bObject\b", line)
        assert list(out.rglob("*")) == []
        assert written(places["here"]) == before

    return check


@pytest.mark.parametrize(("model", "said"), MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("verb", ["inspect {}", "quantize {} --data {{data}} -o {{out}}/m.onnx", "bench {}"])
def test_a_model_that_is_none(refused, verb, model, said):
    refused(verb.format(model), said)


@pytest.mark.parametrize(("data", "said"), DATA.values(), ids=DATA)
def test_data_that_does_not_fit(refused, data, said):
    refused(f"quantize {{model}} --data {data} --target raspberrypi -o {{out}}/m.onnx", said)


@pytest.mark.parametrize(("command", "said"), OTHERS.values(), ids=OTHERS)
def test_anything_else(refused, command, said):
    refused(command, said)


@pytest.mark.parametrize(("words", "said"), RUNS.values(), ids=RUNS)
def test_a_bundle_or_an_input_that_does_not_suit(refused, words, said):
    refused(f"run {words}", said)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
def test_a_model_cut_anywhere(refused, places, tmp_path, share):
    whole, part = places["model"].read_bytes(), tmp_path / "part.onnx"
    part.write_bytes(whole[: int(len(whole) * share)])
    refused(f"inspect {part}", ["part.onnx"])


@pytest.mark.parametrize("verb", ["run {} {{shirt}}", "bench {}"])
def test_a_bundle_with_one_byte_changed_names_the_file(refused, places, tmp_path, verb):
    with zipfile.ZipFile(places["bundle"]) as archive:
        entries = [e for e in archive.infolist() if e.file_size and e.filename != "manifest.json"]
    for entry in entries:
        altered = bytearray(places["bundle"].read_bytes())
        altered[entry.header_offset + 30 + len(entry.filename) + entry.file_size // 2] ^= 1
        (tmp_path / "altered.edge").write_bytes(altered)
        refused(verb.format(tmp_path / "altered.edge"), ["altered.edge", entry.filename])


def test_outputs_that_can_not_be_written(edgeonnx, places, out):
    """The result is printed all the same: it was asked for too, and is there."""
    ran = edgeonnx("run", places["bundle"], places["shirt"], "-o", out / "none" / "y.npz")
    assert ran.code == 2
    assert "Shirt" in ran.out
    (line,) = ran.err.splitlines()
    assert line == f"error: {out / 'none' / 'y.npz'} can't be written: No such file or directory"
    assert list(out.iterdir()) == []


def test_a_command_in_a_shell_leaves_no_traceback(typed, places, out):
    ran = typed("quantize", places["here"] / "text.onnx", "--data", places["data"], "-o", out / "m.onnx")
    assert "text.onnx is not an ONNX model" in ran.complains()
    assert list(out.iterdir()) == []


def written(folder):
    """Files in a folder, but for what Python keeps of code it has compiled."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


def _write_models(here, model, picture):
    (here / "text.onnx").write_text("To be exported on Monday.")
    (here / "empty.onnx").touch()
    shutil.copy(picture, here / "picture.onnx")
    (here / "cut.onnx").write_bytes(model.read_bytes()[:100])
    linear(here / "bare.onnx", external=True)
    (here / "bare.onnx.data").unlink()
    linear(here / "short.onnx", external=True)
    (here / "short.onnx.data").write_bytes(b"0" * 20)
    write_model(here / "relu.onnx", "(float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    write_model(here / "free.onnx", "(float[N,T] x) => (float[N,T] y) { y = Relu(x) }")
    write_model(here / "outputs.onnx", "(float[N,4] x) => (float[N,4] y, float[N,4] z) { y = Relu(x) z = Neg(x) }")
    linear(here / "opset.onnx", opset=24)
    halves = "(float[1,4] x) => (float[1,2] y, float[1,2] z) { y, z = Split <axis = 1> (x) }"
    write_model(here / "old.onnx", halves, opset=1)


def _write_data(here):
    x = noise(6, 4)
    arrays = {
        "good": {"x": noise(12, 4)},
        "name": {"images": x, "y": x},
        "labels": {"labels": np.zeros(6, np.int64)},
        "dtype": {"x": x.astype(np.float64)},
        "rank": {"x": x[:, 0]},
        "size": {"x": noise(6, 5)},
        "none_in": {"x": x[:0]},
        "nhwc": {"input": noise(6, 28, 28, 1)},
        "one": {"x": x[:1]},
        "nan": {"x": np.where(np.arange(24).reshape(6, 4) == 5, np.float32("nan"), x)},
        "inf": {"x": np.where(np.arange(24).reshape(6, 4) == 5, np.float32("inf"), x)},
        "few_labels": {"x": x, "labels": np.zeros(4, np.int64)},
        "label": {"x": x, "labels": np.full(6, 9)},
    }
    for name, content in arrays.items():
        np.savez(here / f"{name}.npz", **content)
    np.save(here / "x.npy", x[:1])
    (here / "text.txt").write_text("text")
    (here / "text.npz").write_text("text")
    (here / "cut.npz").write_bytes((here / "good.npz").read_bytes()[:150])
    (here / "code.py").write_text(USER_CODE)
    (here / "wrong.py").write_text("import numpy\ndef samples(:\n")
    for folder in ("empty", "mixed", "photos"):
        (here / folder).mkdir()
    (here / "mixed" / "notes.txt").touch()
    np.save(here / "mixed" / "x.npy", x[:1])
    (here / "text.png").write_text("text")
    Image.new("L", (8, 8)).save(here / "photos" / "a.png")
    Image.new("L", (8, 8)).save(here / "small.png")


def _write_specs(here, examples):
    spec = (examples / "pipeline.toml").read_text()
    (here / "text.toml").write_text("To be written on Monday.")
    (here / "field.toml").write_text(spec.replace("layout =", "sizes ="))
    (here / "input.toml").write_text(spec.replace("[input.input]", '[input.input]\nto = "photo"'))
    (here / "rgb.toml").write_text(spec.replace('"grey"', '"rgb"'))
    (here / "other.toml").write_text(spec.replace("scale = 255", "scale = 256"))
    (here / "recipe.toml").write_text('title = "mine"\n[calibration]\nsamples = 0\n')
    (here / "two.txt").write_text("cat\ndog\n")
    (here / "latin.txt").write_bytes("Müll\n".encode("latin-1") * 10)


def _write_bundles(here, bundle):
    whole = bundle.read_bytes()
    (here / "cut.edge").write_bytes(whole[: len(whole) // 2])
    shutil.copy(bundle, here / "more.edge")
    with zipfile.ZipFile(here / "more.edge", "a") as archive:
        archive.writestr("extra.txt", "more")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(here / "newer.edge", "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "manifest.json":
                data = json.dumps(json.loads(data) | {"schema": SCHEMA + 1}).encode()
            new.writestr(entry, data)
