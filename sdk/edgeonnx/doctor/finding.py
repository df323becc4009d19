"""What a check found: one line, and the command that mends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """A line of the diagnosis.

    Attributes:
        level: `ok`; `warning`: it runs, but not as it could, or that could not be seen; `error`: it will not run.
        subject: what was looked at, in a word or two.
        message: what is there, and what was expected.
        mend: the command or the change that mends it; empty where all is well.
    """

    level: Level
    subject: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" + (f"; {self.mend}" if self.mend else "")


def ok(subject: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, message)


def warning(subject: str, message: str, mend: str) -> Finding:
    """It runs, but not as it could; or that could not be seen from here."""
    return Finding("warning", subject, message, mend)


def error(subject: str, message: str, mend: str) -> Finding:
    """It will not run."""
    return Finding("error", subject, message, mend)


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level among them; `ok` of none."""
    levels = {finding.level for finding in findings}
    return "error" if "error" in levels else "warning" if "warning" in levels else "ok"
