"""What becomes of a result: written where it was asked for; with problems, beside it, and an error says where."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from edgeonnx.errors import EdgeonnxError
from edgeonnx.model import Model


class Outcome(Protocol):
    """A frozen dataclass with these fields."""

    @property
    def model(self) -> Model:
        """What was made."""

    @property
    def output(self) -> Path | None:
        """Where it was written; None if it was not."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it may not be used; empty if it may."""


Made = TypeVar("Made", bound=Outcome)


def settled(
    result: Made, output: Path | None, force: bool, error: Callable[[str, object], EdgeonnxError], advice: str = ""
) -> Made:
    """Write a result.

    Args:
        result: what a verb made.
        output: where to; None: nowhere.
        force: write it there with its problems.
        error: what to raise with a message and the result.
        advice: what else to say of the problems.

    Returns:
        The result that knows where it was written.

    Raises:
        EdgeonnxError: `error`, for a result with problems; it is then in `NAME.rejected.onnx`.
    """
    if not result.problems or force:
        return cast(Made, _written(result, output))
    result = _written(result, None if output is None else output.with_suffix(".rejected.onnx"))
    kept = f"; what was made is in {result.output}, take it with --force" if result.output else ""
    raise error(f"{'; '.join(result.problems)}{advice}{kept}", result)


def _written(result: Any, output: Path | None) -> Any:
    return result if output is None else replace(result, output=result.model.save(output))
