"""Samples: every form data may take gives the same feeds, lazily; every misfit is told in one line."""

import re
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeonnx.calibration.readers import FileReader, RowReader
from edgeonnx.calibration.samples import open_samples
from edgeonnx.errors import DataError
from edgeonnx.model import TensorSpec

IMAGE = (TensorSpec("x", "float32", ("N", 1, 4, 6)),)
TWO = (TensorSpec("a", "float32", (None, 2)), TensorSpec("b", "int64", ()))


def images(count=5):
    return np.arange(count * 24, dtype="float32").reshape(count, 1, 4, 6)


def same(got, expected):
    got, expected = list(got), list(expected)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.dtype == other[name].dtype
            assert array.shape == other[name].shape
            np.testing.assert_array_equal(array, other[name])


def refused(match, data, inputs=IMAGE, **more):
    """Opening and reading it all raises one line that matches."""
    with pytest.raises(DataError, match=match) as caught:
        for _ in open_samples(data, inputs, **more).feeds():
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Forms


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_of_either_kind_and_order(tmp_path, save, order):
    x, labels = np.asarray(images(), order=order), np.array([3, 1, 4, 1, 5])
    save(tmp_path / "d.npz", x=x, labels=labels)
    samples = open_samples(tmp_path / "d.npz", IMAGE)
    assert (samples.count(), samples.has_labels, samples.classes) == (5, True, None)
    same(samples.feeds(), [{"x": x[i : i + 1]} for i in range(5)])
    same(samples.feeds([4, 1, 4]), [{"x": x[i : i + 1]} for i in (1, 4)])
    assert [label for _, label in samples.labelled([0, 2])] == [3, 4]
    assert all(feeds["x"].flags.c_contiguous and type(feeds["x"]) is np.ndarray for feeds in samples.feeds())


def test_rank_decides_between_cutting_and_indexing():
    batches = np.ones((3, 2, 2), "float32")
    scalars = np.arange(3)
    same(
        open_samples({"a": batches, "b": scalars}, TWO).feeds(),
        [{"a": batches[i], "b": np.asarray(scalars[i])} for i in range(3)],
    )
    unknown = (TensorSpec("x", "float32", None),)
    assert next(open_samples({"x": images()}, unknown).feeds())["x"].shape == (1, 1, 4, 6)


def test_one_unnamed_array_is_the_only_input(tmp_path):
    np.savez(tmp_path / "d.npz", images())
    same(open_samples(tmp_path / "d.npz", IMAGE).feeds([1]), [{"x": images()[1:2]}])


def test_an_input_named_labels_is_an_input():
    inputs = (TensorSpec("labels", "int64", ("N",)),)
    samples = open_samples({"labels": [5, 6]}, inputs)
    assert not samples.has_labels
    same(samples.feeds(), [{"labels": np.array([5])}, {"labels": np.array([6])}])


def test_big_endian_data_is_turned_round(tmp_path):
    np.savez(tmp_path / "d.npz", x=images().astype(">f4"))
    same(open_samples(tmp_path / "d.npz", IMAGE).feeds(), open_samples({"x": images()}, IMAGE).feeds())


def elements(dtype):
    if dtype == "U4":
        return st.text("abcé", max_size=4)
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.startswith("float") else {}
    return hnp.from_dtype(np.dtype(dtype), **finite)


@given(data=st.data(), count=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_all_forms_give_the_same_feeds(data, count):
    arrays, inputs = {}, []
    for number in range(data.draw(st.integers(1, 3))):
        dtype = data.draw(st.sampled_from(["float32", "float64", "float16", "int64", "uint8", "bool", "U4"]))
        shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=3))
        kept = bool(shape) and shape[0] == 1
        array = data.draw(hnp.arrays(dtype, (count, *shape[kept:]), elements=elements(dtype)))
        arrays[f"in/{number}"] = np.asarray(array, order=data.draw(st.sampled_from("CF")))
        inputs.append(TensorSpec(f"in/{number}", "str" if dtype == "U4" else dtype, shape))
    indexes = data.draw(st.none() | st.sets(st.integers(0, count - 1)))

    def cut(array, spec, i):
        return array[i : i + 1] if array.ndim == len(spec.shape) else array[i, ...]

    feeds = [
        {spec.name: cut(arrays[spec.name], spec, i) for spec in inputs}
        for i in (range(count) if indexes is None else sorted(indexes))
    ]
    everything = [{spec.name: cut(arrays[spec.name], spec, i) for spec in inputs} for i in range(count)]
    cuts = sorted(data.draw(st.sets(st.integers(1, count), max_size=2)) - {count})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "stored.npz", **arrays)
        np.savez_compressed(folder / "packed.npz", **arrays)
        (folder / "parts").mkdir()
        for start, stop in zip([0, *cuts], [*cuts, count], strict=True):
            part = {key: array[start:stop] for key, array in arrays.items()}
            np.savez_compressed(folder / "parts" / f"{start}.npz", **part)
        for form in (
            folder / "stored.npz", str(folder / "packed.npz"), folder / "parts", arrays, everything, lambda: everything,
        ):  # fmt: skip
            samples = open_samples(form, inputs)
            assert samples.count() == count
            same(samples.feeds(indexes), feeds)
            same(samples.feeds(indexes), feeds)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_200_megabytes_take_little_memory(tmp_path, save, order):
    save(tmp_path / "d.npz", x=np.zeros((200, 4, 256, 256), "float32", order=order))
    tracemalloc.start()
    try:
        samples = open_samples(tmp_path / "d.npz", (TensorSpec("x", "float32", ("N", 4, 256, 256)),))
        assert sum(feeds["x"].shape[0] for feeds in samples.feeds()) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


# Folders


def test_folder_of_npy_takes_samples_with_and_without_the_batch_axis(tmp_path):
    np.save(tmp_path / "b.npy", images()[1])
    np.save(tmp_path / "a.npy", images()[0:1])
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    samples = open_samples(tmp_path, IMAGE)
    same(samples.feeds(), [{"x": images()[0:1]}, {"x": images()[1:2]}])
    np.save(tmp_path / "c.npy", images())
    np.save(tmp_path / "d.npy", images()[0, 0])
    same(open_samples(tmp_path, IMAGE).feeds([2]), [{"x": images()}])
    refused(r"d\.npy, input 'x': expected one sample, shaped \(N,1,4,6\).*got \(4,6\)", tmp_path)


def test_subfolders_are_classes(tmp_path):
    for number, (name, files) in enumerate({"dog": ["1.npy", "0.npy"], "cat": ["x.npy"], "eel": []}.items()):
        (tmp_path / name).mkdir()
        for file in files:
            np.save(tmp_path / name / file, np.full((1, 4, 6), number, "float32"))
    samples = open_samples(tmp_path, IMAGE)
    assert samples.classes == ("cat", "dog", "eel")
    assert [(feeds["x"].flat[0], label) for feeds, label in samples.labelled()] == [(1, 0), (0, 1), (0, 1)]


def test_npz_in_class_folders_is_labelled_by_the_folder(tmp_path):
    for name in ("yes", "no"):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "d.npz", x=images(2))
    assert [label for _, label in open_samples(tmp_path, IMAGE).labelled()] == [0, 0, 1, 1]
    assert [label for _, label in open_samples(tmp_path, IMAGE).labelled([1, 2])] == [0, 1]
    np.savez(tmp_path / "no" / "d.npz", x=images(2), labels=[0, 0])
    np.savez(tmp_path / "yes" / "d.npz", x=images(2), labels=[0, 0])
    refused("labels come from the subfolders", tmp_path)


def decode(path):
    from PIL import Image  # the tests' decoder; the product's reads the files of devices

    return np.asarray(Image.open(path).convert("RGB"))[..., ::-1]


PICTURES = (FileReader("picture", "x", decode),)


def test_pictures_are_read_as_declared(tmp_path):
    from PIL import Image

    for number in range(2):
        Image.new("RGB", (6, 4), (10 * number, 20, 30)).save(tmp_path / f"{number}.png")
    inputs = (TensorSpec("x", "uint8", ("H", "W", 3)),)
    samples = open_samples(tmp_path, inputs, PICTURES)
    assert [tuple(feeds["x"][0, 0]) for feeds in samples.feeds()] == [(30, 20, 0), (30, 20, 10)]
    assert [record.file.name for record in samples.records()] == ["0.png", "1.png"]
    (alone,) = open_samples(tmp_path / "1.png", inputs, PICTURES).feeds()
    assert tuple(alone["x"][0, 0]) == (30, 20, 10)
    batched = (TensorSpec("x", "uint8", (1, 4, 6, 3)),)
    assert {feeds["x"].shape for feeds in open_samples(tmp_path, batched, PICTURES).feeds()} == {(1, 4, 6, 3)}
    refused(r"holds picture files, but input 'x' is not declared to be read from such.*--pipeline", tmp_path, inputs)
    refused(r"no input is declared to be read from a picture.*--pipeline", tmp_path / "1.png", inputs)
    (tmp_path / "1.png").write_bytes(b"not a picture")
    refused(r"1\.png can't be read as a picture", tmp_path, inputs, readers=PICTURES)
    skipping = open_samples(tmp_path, inputs, PICTURES, skip_bad=True)
    assert (len(list(skipping.feeds())), list(skipping.skipped)) == (1, [1])


def test_a_large_folder_is_read_one_file_at_a_time(tmp_path):
    read = []
    for number in range(2000):
        (tmp_path / f"{number:04}.txt").touch()
    reader = FileReader("text", "x", lambda path: read.append(path.name) or np.array([path.stem]))
    samples = open_samples(tmp_path, (TensorSpec("x", "str", (1,)),), [reader])
    assert (samples.count(), read) == (2000, [])
    assert [feeds["x"].tolist() for feeds in samples.feeds([1500])] == [["1500"]]
    assert read == ["1500.txt"]


def test_classes_named_by_numbers_come_in_their_order(tmp_path):
    for name in ("10", "9", "2"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", np.full((1, 4, 6), int(name), "float32"))
    samples = open_samples(tmp_path, IMAGE)
    assert samples.classes == ("2", "9", "10")
    assert [(feeds["x"].flat[0], label) for feeds, label in samples.labelled()] == [(2, 0), (9, 1), (10, 2)]


def rows(path):
    yield from (line.split() for line in path.read_text().splitlines())


def row(words):
    if len(words) < 2:
        raise ValueError("expected two words")
    return {"x": np.array([words[0]]), "labels": int(words[1])}


WORDS = ((TensorSpec("x", "str", (1,)),), (RowReader("text", rows, row),))


def test_a_file_with_a_sample_a_row(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("one 1\ntwo 2\nthree 3\n")
    samples = open_samples(path, *WORDS)
    assert (samples.count(), samples.has_labels) == (3, True)
    assert [(feeds["x"].tolist(), label) for feeds, label in samples.labelled([2, 0])] == [(["one"], 1), (["three"], 3)]
    assert len(list(samples.feeds())) == len(list(samples.feeds())) == 3
    assert re.fullmatch("[0-9a-f]{64}", samples.fingerprint())
    path.write_text("one 1\nbad\nthree 3\n")
    refused(r"words\.txt, sample 1: expected two words", path, WORDS[0], readers=WORDS[1])
    skipping = open_samples(path, *WORDS, skip_bad=True)
    assert [label for _, label in skipping.labelled()] == [1, 3]
    path.write_text("")
    refused("expected a text with at least one row, got none", path, WORDS[0], readers=WORDS[1])
    path.write_bytes(b"\xff 1")
    refused(r"words\.txt can't be read as a text", path, WORDS[0], readers=WORDS[1])


def test_nan_stands_for_what_is_missing_where_it_may():
    inputs = (TensorSpec("x", "float32", (1, 2)), TensorSpec("y", "float32", (1, 2)))
    hole, whole = [[np.nan, 1]], [[0, 1]]
    assert len(list(open_samples([{"x": hole, "y": whole}], inputs, missing=["x"]).feeds())) == 1
    refused("input 'y': holds NaN", [{"x": whole, "y": hole}], inputs, missing=["x"])
    refused("input 'x': holds infinity", [{"x": [[np.inf, np.nan]], "y": whole}], inputs, missing=["x"])


def test_folders_that_cannot_be_understood(tmp_path):
    refused("empty folder", tmp_path)
    np.save(tmp_path / "a.npy", images(1))
    refused(r"npy files hold one input, the model has 2, 'a', 'b'", tmp_path, TWO)
    np.savez(tmp_path / "b.npz", x=images(1))
    refused(r"one kind, got npy \(a\.npy\) and npz \(b\.npz\)", tmp_path)
    (tmp_path / "a.npy").unlink()
    np.savez(tmp_path / "c.npz", x=images(1), labels=[1])
    refused(r"labels in all files or in none; .*b\.npz has none", tmp_path)
    (tmp_path / "cat").mkdir()
    refused(r"got both, such as b\.npz and cat/", tmp_path)
    (tmp_path / "b.npz").unlink()
    (tmp_path / "c.npz").unlink()
    refused("empty folder", tmp_path)
    (tmp_path / "cat" / "more").mkdir()
    refused("a folder inside a class's folder", tmp_path)
    (tmp_path / "cat" / "more").rmdir()
    (tmp_path / "cat" / "notes.doc").write_text("hello")
    refused(r"got notes\.doc", tmp_path)


# Functions and lists

USER = """
import helper

def good():
    for i in range(4):
        yield {"x": helper.make(i), "labels": i % 2}

def plain():
    yield {"x": [[[[0.5] * 6] * 4]]}

def broken():
    yield next(good())
    raise ValueError("no such\\nrecord")

def forgot():
    good()

def nothing():
    return []

def table():
    return {"x": [1]}

def bare():
    yield helper.make(0)

def some():
    yield {"x": helper.make(0)}
    yield {"x": helper.make(0), "labels": 1}

def many():
    yield {"x": helper.make(0), "labels": [1, 2]}

NUMBER = 3
"""


@pytest.fixture
def user(tmp_path):
    (tmp_path / "helper.py").write_text(
        "import numpy as np\n\ndef make(i):\n    return np.full((1, 1, 4, 6), i, 'float32')\n"
    )
    file = tmp_path / "feeds.py"
    file.write_text(USER)
    return file


def test_a_function_in_a_file(user):
    samples = open_samples(f"{user}:good", IMAGE)
    assert (samples.has_labels, samples.count(), samples.fingerprint()) == (True, 4, None)
    assert [(feeds["x"].flat[0], label) for feeds, label in samples.labelled([1, 3])] == [(1, 1), (3, 1)]
    assert len(list(samples.feeds())) == 4
    plain = next(open_samples(f"{user}:plain", IMAGE).feeds())["x"]
    assert (plain.dtype, plain.shape) == (np.float32, (1, 1, 4, 6))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", r"feeds\.py: broken\(\), line 13, raised ValueError: no such record"),
        ("forgot", r"forgot\(\) returned NoneType, expected an iterator"),
        ("table", r"table\(\) returned dict, expected an iterator; yield one dict per sample"),
        ("nothing", r"nothing\(\): expected at least one sample, got none"),
        ("bare", r"bare\(\), sample 0: expected a dict .* got ndarray; yield \{\"x\": \.\.\.\}"),
        ("some", r"sample 1: expected labels with all samples or with none"),
        ("many", r"sample 0: expected one integer under 'labels', got int64 of 2 values"),
        ("godo", r"godo does not exist\. Near: good"),
        ("NUMBER", r"NUMBER is not a function"),
        ("", r"expected FILE\.py:FUNC"),
    ],
)
def test_what_a_function_gets_wrong(user, function, message):
    refused(message, f"{user}:{function}")


def test_a_file_that_cannot_be_imported(tmp_path):
    refused(r"gone\.py does not exist", f"{tmp_path / 'gone.py'}:f")
    (tmp_path / "bad.py").write_text("x = 1\ny = (\n")
    refused(r"bad\.py, line 2, raised SyntaxError", f"{tmp_path / 'bad.py'}:f")
    (tmp_path / "stop.py").write_text("import sys\nsys.exit('bye')\n")
    refused(r"stop\.py, line 2, raised SystemExit: bye when it was imported", f"{tmp_path / 'stop.py'}:f")
    refused(r"expected FILE\.py:FUNC; name the function too", str(tmp_path / "stop.py"))


def test_python_forms_that_cannot_be_used():
    once = iter([{"x": images()}])
    refused("gave 0 samples|got none", lambda: iter(()))
    refused("a function rather than an iterator", once)
    refused("empty list", [])
    refused("got ndarray; give an array by its input's name", images())
    samples = open_samples(lambda: once, IMAGE)
    assert samples.count() == 1
    with pytest.raises(DataError, match="yield them anew"):
        list(samples.feeds())


def test_lists_become_the_inputs_dtype_or_are_refused():
    inputs = (TensorSpec("x", "uint8", (3,)),)
    same(open_samples([{"x": [1, 2, 255]}], inputs).feeds(), [{"x": np.array([1, 2, 255], "uint8")}])
    for bad in ([1, 2, 256], [1, 2, -1], [1, 2, 0.5], [1, [2], 3], ["a", "b", "c"]):
        refused("sample 0, input 'x'", [{"x": bad}], inputs)


# Misfits


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": images()}, r"inputs, 'x', got 'y': missing 'x' and unknown 'y'"),
        ({"x": images(), "y": images()}, r"got 'x', 'y': unknown 'y'"),
        ({"x": images().astype("float64")}, r'expected float32, got float64; .*\.astype\("float32"\)'),
        (
            {"x": images().transpose(0, 2, 3, 1)},
            r"expected shape \(N,1,4,6\), got \(1,4,6,1\).*transpose\(0, 3, 1, 2\)",
        ),
        ({"x": images()[:, :, :3]}, r"expected shape \(N,1,4,6\), got \(1,1,3,6\)$"),
        ({"x": images()[0, 0]}, r"expected an array \(n,1,4,6\), .* got \(4,6\); reshape"),
        ({"x": images()[:0]}, "expected samples along the first axis, got none"),
        ({"x": images(), "labels": np.zeros(4, int)}, r"labels of shape \(5\), one per sample, got \(4\)"),
        ({"x": images(), "labels": np.eye(5, 3, dtype=int)}, r"got \(5,3\); use \.argmax\(axis=1\)"),
        ({"x": images(), "labels": np.zeros(5)}, r"integer labels, got float64"),
        ({"x": np.array([None] * 5)}, "pickled Python objects"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, save, arrays, message):
    save(tmp_path / "d.npz", **arrays)
    assert "d.npz" in refused(message, tmp_path / "d.npz")


def test_lengths_that_differ():
    refused(r"of one length, got 'a' 3, 'b' 2", {"a": np.ones((3, 2), "float32"), "b": np.arange(2)}, TWO)


@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (-np.inf, "infinity")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_values_that_are_not_finite(tmp_path, save, value, name):
    x = images()
    x[3, 0, 1, 1] = value
    save(tmp_path / "d.npz", x=x)
    refused(rf"d\.npz, sample 3, input 'x': holds {name}", tmp_path / "d.npz")
    same(open_samples(tmp_path / "d.npz", IMAGE).feeds([2, 4]), [{"x": x[2:3]}, {"x": x[4:5]}])


def test_hints_for_batches():
    fixed = (TensorSpec("x", "float32", (8, 1, 4, 6)),)
    refused(r"batch is fixed at 8.*\(n,8,\.\.\.\)", {"x": images(8)}, fixed)
    assert open_samples({"x": images(16).reshape(2, 8, 1, 4, 6)}, fixed).count() == 2
    refused(r"batch axis is missing: use array\[np\.newaxis\]", [{"x": images()[0]}])
    refused("transpose", [{"x": images(1).transpose(0, 2, 3, 1)}])
    refused(r"use array\[0\]", [{"x": images(1)}], (TensorSpec("x", "float32", (1, 4, 6)),))


def test_an_empty_input_is_refused_unless_others_hold_something():
    inputs = (TensorSpec("tokens", "int64", (1, None)), TensorSpec("past", "float32", (1, None, 4)))
    cache = np.zeros((1, 0, 4), "float32")
    assert open_samples([{"tokens": [[1]], "past": cache}], inputs).count() == 1
    refused(r"empty sample, 'tokens' \(1,0\)", [{"tokens": [[]], "past": cache}], inputs)


def test_strings(tmp_path):
    inputs = (TensorSpec("text", "str", ("N",)),)
    np.savez_compressed(tmp_path / "d.npz", text=np.array(["ab", "cé"]))
    same(open_samples(tmp_path / "d.npz", inputs).feeds([1]), [{"text": np.array(["cé"], "U2")}])
    assert next(open_samples({"text": np.array(["a"], object)}, inputs).feeds())["text"].tolist() == ["a"]
    refused("expected strings, got other objects", {"text": np.array([None], object)}, inputs)
    refused("expected strings, got int64", {"text": np.arange(3)}, inputs)


def test_files_that_are_missing_or_damaged(tmp_path):
    refused("does not exist; give an .npz", tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("hello")
    refused(r"text\.npz can't be read as \.npz", tmp_path / "text.npz")
    np.save(tmp_path / "x.npy", images())
    refused(r'expected an \.npz.*np\.savez\("data\.npz", \*\*\{"x": array\}\)', tmp_path / "x.npy")
    np.savez(tmp_path / "ok.npz", x=images())
    cut = (tmp_path / "ok.npz").read_bytes()[:-30]
    (tmp_path / "cut.npz").write_bytes(cut)
    refused("cut.npz can't be read", tmp_path / "cut.npz")
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive, zipfile.ZipFile(tmp_path / "ok.npz") as whole:
        archive.writestr("x.npy", whole.read("x.npy")[:-8])
    refused("x.npy is cut short", tmp_path / "short.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_bytes_changed_inside_a_file(tmp_path, save):
    """A local header that is gone is noticed in a stored member, a wrong checksum in a compressed one."""
    path = tmp_path / "d.npz"
    rng = np.random.default_rng(0)
    save(path, x=rng.random((50, 1, 4, 6), "float32"))
    samples = open_samples(path, IMAGE)
    blob = bytearray(path.read_bytes())
    place = 0 if save is np.savez else len(blob) // 2
    blob[place : place + 4] = bytes(byte ^ 0xFF for byte in blob[place : place + 4])
    path.write_bytes(blob)
    with pytest.raises(DataError, match=r"d\.npz can't be read"):
        list(samples.feeds())


# What else Samples tells


def test_labels_that_are_not_there():
    samples = open_samples({"x": images()}, IMAGE)
    with pytest.raises(DataError, match="expected labels, got none; add an integer array 'labels'"):
        list(samples.labelled())


def test_indexes_out_of_range():
    with pytest.raises(IndexError, match="numbered 0 to 4"):
        list(open_samples({"x": images()}, IMAGE).feeds([5]))


def test_fingerprint_follows_names_and_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "a.npy", images(1))
    one, two = (open_samples(tmp_path / name, IMAGE) for name in ("one", "two"))
    first = one.fingerprint()
    assert first == two.fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", first)
    np.save(tmp_path / "two" / "a.npy", images(1) + 1)
    assert two.fingerprint() != first
    (tmp_path / "one" / "a.npy").rename(tmp_path / "one" / "b.npy")
    assert open_samples(tmp_path / "one", IMAGE).fingerprint() != first
    assert open_samples({"x": images()}, IMAGE).fingerprint() is None


@given(count=st.integers(2, 400), calibration=st.integers(1, 300))
@settings(deadline=None)
def test_split_is_a_partition_that_leaves_half(count, calibration):
    samples = open_samples({"x": np.zeros((count, 1), "float32")}, (TensorSpec("x", "float32", (1, 1)),))
    chosen, rest = samples.split(calibration)
    assert sorted([*chosen, *rest]) == list(range(count))
    assert len(chosen) == min(calibration, count // 2)
    assert samples.split(calibration) == (chosen, rest)
    widest = max(np.diff([-1, *chosen, count]))
    assert widest <= 2 * -(-count // len(chosen))


@pytest.mark.parametrize("labels", [np.repeat(np.arange(10), 50), np.tile(np.arange(10), 50)])
def test_split_covers_classes_whether_sorted_or_taking_turns(labels):
    samples = open_samples({"x": np.zeros((500, 1), "float32")}, (TensorSpec("x", "float32", (1, 1)),))
    chosen, _ = samples.split(50)
    counts = np.bincount(labels[list(chosen)], minlength=10)
    assert counts.min() >= 3
    assert counts.max() <= 8


def test_split_needs_two_samples():
    with pytest.raises(DataError, match="at least 2 samples"):
        open_samples({"x": images(1)}, IMAGE).split(1)
