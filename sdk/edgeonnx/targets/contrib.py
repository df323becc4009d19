"""Since which release onnxruntime has the operators that are not ONNX's own.

The facts are in `targets/facts/contrib.toml`, as measured.
"""

import tomllib
from collections.abc import Iterable
from functools import cache

import onnx.defs

from edgeonnx.data import folder
from edgeonnx.versions import numbers

MICROSOFT = "com.microsoft"
_STANDARD = ("", "ai.onnx")


def contrib_release(domain: str, operator: str, attributes: Iterable[str], opset: int) -> str | None:
    """The oldest release known to have an operator with these attributes, as `1.19`; None where none is known.

    Args:
        domain: `com.microsoft`, or ONNX's own, to which onnxruntime adds a few.
        operator: the node's type.
        attributes: names of those the node has.
        opset: the model's version of ONNX's own domain; what that has is not looked up: "0".
    """
    if domain in _STANDARD:
        if onnx.defs.has(operator, max_inclusive_version=opset):
            return "0"
        return _table()["standard"].get(operator)
    if domain != MICROSOFT:
        return None
    table = _table()["microsoft"]
    if operator not in table:
        return None
    found = [table[operator], *(table[name] for a in attributes if (name := f"{operator}.{a}") in table)]
    return max(found, key=numbers)


@cache
def _table() -> dict[str, dict[str, str]]:
    """Domain -> operator, or operator and attribute -> release."""
    rows = tomllib.loads((folder("targets") / "facts" / "contrib.toml").read_text("utf-8"))["releases"]
    return {kind: {name: row["release"] for row in rows for name in row[kind]} for kind in ("microsoft", "standard")}
