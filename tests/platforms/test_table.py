"""The table of platforms."""

from tests.platforms.report import Difference, Platform, from_json, from_text, read_results, table
from tests.platforms.table import DOCUMENT

FIRST = Platform("a", "A board", "1.2", "emulated", (Difference("int8", "y", 0.0, 1e-3, True),))
SECOND = Platform("b", "A machine", "1.3", "native", (Difference("float32", "y", 2.5e-7, 1e-4, True),))


def test_a_column_for_each_variant():
    assert table([FIRST, SECOND]).splitlines() == [
        "| platform | onnxruntime | ran | int8 | float32 |",
        "| --- | --- | --- | --- | --- |",
        "| A board | 1.2 | emulated | 0 of 0.001 |  |",
        "| A machine | 1.3 | native |  | 2.5e-07 of 0.0001 |",
    ]


def test_outputs_are_named_where_there_are_several():
    both = (Difference("int8", "y", 0.0, 1.0, True), Difference("int8", "z", 0.5, 1.0, True))
    assert "y: 0 of 1; z: 0.5 of 1" in table([Platform("a", "A", "1", "native", both)])


def test_what_runs_natively_comes_first(tmp_path):
    import json

    for platform in (FIRST, SECOND):
        (tmp_path / f"{platform.name}.json").write_text(json.dumps(platform.to_dict()), "utf-8")
    assert read_results(tmp_path) == [SECOND, FIRST]


def test_lines_and_json_say_the_same():
    """An infinite difference is null in JSON, which has no infinity."""
    output = {"name": "y", "difference": None, "allowed": 0.5, "sample": 0, "ok": False}
    got = from_json([{"variant": "int8", "outputs": [output]}])
    assert (
        from_text("int8: y  difference inf, allowed 0.5: differs\n")
        == got
        == (Difference("int8", "y", float("inf"), 0.5, False),)
    )


def test_the_document_holds_a_table():
    """Its rows come from runs, on machines that have everything; its form is the code's."""
    header = table([]).splitlines()[0]
    assert any(line.startswith(header.rstrip(" |")) for line in DOCUMENT.read_text("utf-8").splitlines())
