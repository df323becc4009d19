"""Files of every kind reach the model through the pipeline that declares them."""

import wave

import numpy as np
import pytest
from models import build
from pictures import encoded, picture

from edgeonnx.errors import DataError
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.verbs.data import Preparation, predictor


def prepare(model, folder=None, **sources):
    context = {} if folder is None else {"folder": folder}
    return Preparation(model, PipelineSpec.model_validate({"input": sources}, context=context))


def outputs(model, preparation, data, name="y"):
    predict = predictor(model, preparation)
    return [predict(feeds)[name] for feeds in preparation.open(data).feeds()]


def test_pictures_in_folders_of_classes(tmp_path):
    model = build("(float[1,3,8,6] x) => (float[1,144] y) { y = Flatten(x) }")
    for number, (name, kind) in enumerate([("cat", "PNG"), ("dog", "BMP")]):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"a.{kind.lower()}").write_bytes(encoded(picture(seed=number), kind))
    preparation = prepare(model, x={"type": "image"})
    assert [label for _, label in preparation.open(tmp_path).labelled()] == [0, 1]
    expected = [picture(seed=number).transpose(2, 0, 1).reshape(1, -1) for number in range(2)]
    np.testing.assert_array_equal(outputs(model, preparation, tmp_path), expected)


def test_encoded_pictures_as_files(tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    model = build("(float[1,3,8,6] x) => (float[1,144] y) { y = Flatten(x) }")
    (tmp_path / "a.png").write_bytes(encoded(picture(), "PNG"))
    sources = {"x": {"type": "image", "decode": True, "resize": {"height": 8, "width": 6}}}
    (got,) = outputs(model, prepare(model, **sources), tmp_path)
    np.testing.assert_array_equal(got, picture().transpose(2, 0, 1).reshape(1, -1))


def test_sound(tmp_path):
    model = build("(float[1,T] x) => (float[1,T] y) { y = Neg(x) }")
    samples = np.arange(-400, 400, dtype="<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    (got,) = outputs(model, prepare(model, x={"type": "audio", "rate": 8000}), tmp_path)
    np.testing.assert_allclose(got[0], samples / -32768, atol=1e-7)
    with pytest.raises(DataError, match=r"a\.wav can't be read as a sound: .*16000.*8000"):
        outputs(model, prepare(model, x={"type": "audio", "rate": 16000}), tmp_path)


def test_texts(tmp_path):
    pytest.importorskip("onnxruntime_extensions")
    model = build("(int64[1,T] ids) => (int64[1,T] y) { y = Identity(ids) }")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n")
    source = {"type": "text", "ids": "ids", "tokenizer": {"type": "wordpiece", "file": "vocab.txt"}}
    preparation = prepare(model, tmp_path, text=source)
    (tmp_path / "texts.txt").write_text("\ufeffHello world\n\nworld\n", "utf-8")
    (tmp_path / "folder").mkdir()
    for name, text in (("a", "Hello world\n"), ("b", "world")):
        (tmp_path / "folder" / f"{name}.txt").write_text(text)
    np.savez(tmp_path / "texts.npz", text=np.array(["Hello world", "world"]))
    forms = [
        *(tmp_path / name for name in ("texts.txt", "folder", "texts.npz")),
        {"text": ["Hello world", "world"]},
        lambda: ({"text": np.array([text])} for text in ("Hello world", "world")),
    ]
    for form in forms:
        assert [got.tolist() for got in outputs(model, preparation, form)] == [[[2, 5, 6, 3]], [[2, 6, 3]]]


COLUMNS = [{"name": "age", "mean": 40.0, "std": 10.0}, {"name": "pet", "categories": ["cat", "dog"]}]


def test_tables(tmp_path):
    model = build("(float[1,2] x) => (float[1,2] y) { y = Neg(x) }")
    preparation = prepare(model, x={"type": "table", "columns": COLUMNS})
    path = tmp_path / "people.csv"
    path.write_text("label;pet;age;name\n1;dog;50;Jo\n0;cat;30;Al\n")
    np.testing.assert_allclose(np.concatenate(outputs(model, preparation, path)), [[-1, -1], [1, 0]])
    assert [label for _, label in preparation.open(path).labelled()] == [1, 0]
    assert preparation.open(path).count() == 2
    path.write_text("pet,age\ndog,old\n")
    with pytest.raises(DataError, match=r"people\.csv, line 2: age: expected a number, or nothing, got 'old'"):
        outputs(model, preparation, path)
    path.write_text("pet,age,label\ndog,1,yes\n")
    with pytest.raises(DataError, match=r"line 2: label: expected a class's number, got 'yes'; number the classes"):
        outputs(model, preparation, path)
    path.write_text("pet,agee\ndog,1\n")
    with pytest.raises(DataError, match=r"people\.csv: expected a column 'age' in the header, got none; near: agee"):
        outputs(model, preparation, path)


def test_a_value_that_is_missing(tmp_path):
    model = build("(float[1,1] x) => (float[1,1] y) { y = Neg(x) }")
    column = {"name": "age", "missing": 7.0}
    (tmp_path / "t.csv").write_text("age,other\n,1\n2,1\n")
    got = outputs(model, prepare(model, x={"type": "table", "columns": [column]}), tmp_path / "t.csv")
    assert np.concatenate(got).ravel().tolist() == [-7, -2]
    tensor = {"type": "tensor", "shape": [1, 1], "missing": 7.0}
    assert outputs(model, prepare(model, x=tensor), {"x": np.array([[np.nan]], np.float32)})[0].item() == -7
    with pytest.raises(DataError, match="input 'x': holds NaN"):
        outputs(model, prepare(model), {"x": np.array([[np.nan]], np.float32)})
