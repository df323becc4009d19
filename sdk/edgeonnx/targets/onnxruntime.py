"""Which opset and IR version a release of onnxruntime loads.

The numbers are in `targets/facts/onnxruntime.toml`. A release between two of its rows has the lower row's caps, and one
newer than the last row has the last row's: never more than was seen.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache

from edgeonnx.data import folder
from edgeonnx.errors import TargetError

_Release = tuple[int, int]


@dataclass(frozen=True)
class Caps:
    """The highest versions a release of onnxruntime loads.

    Attributes:
        opset: highest version of the default operator set.
        ir_version: highest version of the ONNX file format.
    """

    opset: int
    ir_version: int


@cache
def _table() -> tuple[tuple[_Release, Caps], ...]:
    """Rows of the facts file, oldest release first."""
    rows = tomllib.loads((folder("targets") / "facts" / "onnxruntime.toml").read_text("utf-8"))["releases"]
    return tuple(sorted((_parse(row["release"]), Caps(row["opset"], row["ir_version"])) for row in rows))


def _parse(release: str) -> _Release:
    found = re.match(r"(\d+)\.(\d+)(?![\d])", release)
    if not found:
        raise TargetError(f"onnxruntime release: expected MAJOR.MINOR such as 1.22, got {release!r}; correct it")
    return int(found[1]), int(found[2])


def caps(release: str) -> Caps:
    """Highest opset and IR version that a release of onnxruntime loads.

    Args:
        release: `1.22`, or longer, as `onnxruntime.__version__` has it.

    Raises:
        TargetError: not a release, or older than the oldest whose caps are known.
    """
    wanted, table = _parse(release), _table()
    if wanted < table[0][0]:
        raise TargetError(
            f"onnxruntime release: expected {_text(table[0][0])} or newer, got {release}; install a newer onnxruntime"
        )
    return [limit for known, limit in table if known <= wanted][-1]


def oldest(opset: int, ir_version: int) -> str:
    """The oldest release of onnxruntime that loads this opset and IR version, as `1.22`.

    Raises:
        TargetError: no release known to edgeonnx loads them.
    """
    table = _table()
    for release, limit in table:
        if opset <= limit.opset and ir_version <= limit.ir_version:
            return _text(release)
    newest, most = table[-1]
    raise TargetError(
        f"model: expected opset at most {most.opset} and IR version at most {most.ir_version}, which onnxruntime "
        f"{_text(newest)} loads, got opset {opset} and IR version {ir_version}; export it with an older opset"
    )


def _text(release: _Release) -> str:
    return f"{release[0]}.{release[1]}"
