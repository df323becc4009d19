"""Rows and texts on the device: from dicts, JSON, CSV and text files; errors name the line and the column."""

import json

import numpy as np
import pytest

from edgeonnx.runtime._errors import InputError
from edgeonnx.runtime._manifest import InputSpec, Media
from edgeonnx.runtime._table import columns, read_row, read_rows, row
from edgeonnx.runtime._text import as_text, read_text

SPECS = (
    InputSpec("row", "float32", (1, 2), Media("table", columns=("age", "height"))),
    InputSpec("row.categories", "str", (1, 1), Media("table", columns=("city",))),
    InputSpec("other", "float32", (1,)),
)
TEXT = InputSpec("text", "str", (1,), Media("text"))
VALUES = {"age": 3, "height": "1.5", "city": "Paris"}


def expect(found):
    assert list(found) == ["row", "row.categories"]
    assert found["row"].dtype == np.float32
    np.testing.assert_array_equal(found["row"], np.array([[3, 1.5]], np.float32))
    assert found["row.categories"].tolist() == [["Paris"]]


def test_a_row_from_a_dict():
    assert columns(SPECS) == ["age", "height", "city"]
    expect(row(SPECS, VALUES))
    expect(row(SPECS, {"city": np.str_("Paris"), "height": np.float64(1.5), "age": True + 2}))
    for missing in (None, "", " ", float("nan")):
        assert np.isnan(row(SPECS, {**VALUES, "age": missing})["row"][0, 0])
    assert row(SPECS, {**VALUES, "city": None})["row.categories"].tolist() == [[""]]
    assert row(SPECS, {**VALUES, "city": 3.0})["row.categories"].tolist() == [["3"]]


BAD_ROWS = [
    ({"age": 3, "city": "x"}, "the row: expected a value for 'height', got none"),
    ({**VALUES, "hight": 2}, "the row: there is no column 'hight'; near: height"),
    ({**VALUES, "zzz": 2}, "there is no column 'zzz'; there are: age, height, city"),
    ({**VALUES, "age": "old"}, "the row: age: expected a number, or nothing, got 'old'"),
    ({**VALUES, "age": [3]}, r"expected a number, or nothing, got \[3\]"),
    ({**VALUES, "city": "a\0b"}, "city: expected a text, got a NUL character at 1"),
]


@pytest.mark.parametrize(("values", "match"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_row_that_can_t_be(values, match):
    with pytest.raises(InputError, match=match):
        row(SPECS, values)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_a_csv(delimiter, start, end, tmp_path):
    lines = [["id", " city", "height", "age"], ["7", "Paris", "1.5", "3"]]
    text = start + end.join(delimiter.join(line) for line in lines) + end
    (tmp_path / "row.csv").write_bytes(text.encode())
    expect(read_row(tmp_path / "row.csv", SPECS))


def test_a_row_of_json(tmp_path):
    path = tmp_path / "row.json"
    path.write_text(json.dumps(VALUES))
    expect(read_row(path, SPECS))
    for text, match in (("[1]", "expected one object, column to value, got list"), ("{", "row.json is not JSON")):
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            read_row(path, SPECS)


def test_rows_with_labels(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('age,height,city,label\n3,1.5,Paris,cat\n\n4,,"Rome, north",dog\n', "utf-8")
    (first, cat), (second, dog) = read_rows(path, SPECS, label="label")
    expect(first)
    assert (cat, dog) == ("cat", "dog")
    assert np.isnan(second["row"][0, 1])
    assert second["row.categories"].tolist() == [["Rome, north"]]
    assert [label for _, label in read_rows(path, SPECS)] == [None, None]


BAD_FILES = [
    ("", "expected a column 'age' in the header, got none"),
    ("aeg,height,city\n1,2,x\n", "expected a column 'age' in the header, got none; near: aeg"),
    ("age,age,height,city\n1,2,3,x\n", "expected a column 'age' in the header, got twice"),
    ("age,height,city\n1,2\n", "rows.csv, line 2: expected 3 values, as the header has, got 2"),
    ("age,height,city\n1,2,x\n1,tall,y\n", "rows.csv, line 3: height: expected a number, or nothing, got 'tall'"),
    ('age,height,city\n1,2,"x\n', "rows.csv, line 2 is not CSV"),
]


@pytest.mark.parametrize(("text", "match"), BAD_FILES, ids=range(len(BAD_FILES)))
def test_a_csv_that_can_t_be(text, match, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=match):
        list(read_rows(path, SPECS))


def test_files_that_can_t_be_read(tmp_path):
    (tmp_path / "two.csv").write_text("age,height,city\n1,2,x\n3,4,y\n")
    (tmp_path / "latin.csv").write_bytes(b"age,height,city\n1,2,\xe9\n")
    for name, match in (("no.csv", "No such file"), ("two.csv", "expected one row, got 2"), ("latin.csv", "UTF-8")):
        with pytest.raises(InputError, match=match):
            read_row(tmp_path / name, SPECS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ""),
        (b"a\n", "a"),
        (b"a\r\n", "a"),
        (b"a\n\n", "a\n"),
        (b"\xef\xbb\xbfa b", "a b"),
        ("é\n☃".encode(), "é\n☃"),
    ],
)
def test_a_text_of_a_file(data, expected, tmp_path):
    (tmp_path / "a.txt").write_bytes(data)
    array = read_text(tmp_path / "a.txt", TEXT)
    assert (array.dtype, array.shape, array[0]) == (np.dtype(object), (1,), expected)


def test_a_text_that_can_t_be(tmp_path):
    path = tmp_path / "a.txt"
    for data, match in ((b"ab\xff", "takes a text in UTF-8, got the byte 0xff at 2"), (b"a\0", "NUL character at 1")):
        path.write_bytes(data)
        with pytest.raises(InputError, match=match):
            read_text(path, TEXT)
    with pytest.raises(InputError, match="No such file"):
        read_text(tmp_path / "no.txt", TEXT)
    with pytest.raises(InputError, match="input text: expected a text, got half a surrogate pair at 1"):
        as_text("a\ud800", "input text")
