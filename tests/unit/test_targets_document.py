"""`docs/targets.md` is in step with the schema and the shipped profiles."""

from pathlib import Path

import pytest

from edgeonnx.targets.document import generated

DOCUMENT = Path(__file__).parents[2] / "docs" / "targets.md"


def test_the_generated_parts_are_in_step():
    text = DOCUMENT.read_text("utf-8")
    assert generated(text) == text, "run: python -m edgeonnx.targets.document docs/targets.md"


def test_every_field_is_described():
    assert "| None |" not in DOCUMENT.read_text("utf-8")


def test_a_document_without_markers_is_an_error():
    with pytest.raises(ValueError, match="fields: generated"):
        generated(DOCUMENT.read_text("utf-8").replace("<!-- fields: end -->", ""))
