"""What known errors of onnxruntime and its quantizer mean, and what mends them.

The errors are data: `targets/facts/errors.toml`.
"""

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache

from edgeonnx.data import folder


@dataclass(frozen=True)
class Explanation:
    """A known error.

    Attributes:
        name: a word for it.
        cause: what brings it about, in a sentence without an end.
        fix: what mends it.
        source: documentation, or where it is reported.
        seen: `provoked` where edgeonnx' tests bring it about, `reported` where others did.
    """

    name: str
    cause: str
    fix: str
    source: str
    seen: str = "provoked"

    def __str__(self) -> str:
        return f"{self.cause}; {self.fix}"


@dataclass(frozen=True)
class Known:
    """An error as the file has it: cause and fix hold the pattern's named groups in braces."""

    pattern: re.Pattern[str]
    explanation: Explanation


def explain(message: str) -> Explanation | None:
    """What an error means; None where it is not a known one.

    Args:
        message: what was raised or logged; a whole traceback will do.
    """
    for known in known_errors():
        if found := known.pattern.search(message):
            return _filled(known.explanation, {name: text or "" for name, text in found.groupdict().items()})
    return None


@cache
def known_errors() -> tuple[Known, ...]:
    """All of them, the narrower first."""
    rows = tomllib.loads((folder("targets") / "facts" / "errors.toml").read_text("utf-8"))["errors"]
    return tuple(Known(re.compile(row.pop("pattern"), re.DOTALL | re.MULTILINE), Explanation(**row)) for row in rows)


def _filled(explanation: Explanation, caught: dict[str, str]) -> Explanation:
    cause, fix = explanation.cause.format(**caught), explanation.fix.format(**caught)
    return replace(explanation, cause=cause, fix=fix)
