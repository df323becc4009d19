"""Runs a model or a bundle once, here, to see whether it runs and how much memory that takes."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgeonnx.doctor.memory import Need
from edgeonnx.explain import explain

_SCRIPT = Path(__file__).with_name("_trial.py")
_SECONDS = 120
_MIB = 1 << 20


@dataclass(frozen=True)
class Trial:
    """What came of a run.

    Attributes:
        need: the memory it took; None where it did not even load.
        failure: why it did not run; None where it did.
        mend: what mends that.
    """

    need: Need | None = None
    failure: str | None = None
    mend: str = ""


def run_once(path: Path, libraries: tuple[str, ...] = ()) -> Trial:
    """Run a model on zeros, every free dimension 1, or a bundle's self-test, in a process of its own.

    Args:
        path: the `.onnx` or `.edge` file.
        libraries: of custom operators, to be registered for a model.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-I", str(_SCRIPT), str(path), str(result), *libraries]
        try:
            ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            return Trial(failure=f"one run took more than {_SECONDS} s", mend="try it with smaller inputs")
        need = None
        if result.is_file():
            need = Need(-(-json.loads(result.read_text("utf-8"))["peak"] // _MIB), measured=ran.returncode == 0)
        if ran.returncode == 0:
            return Trial(need)
        return _failed(need, ran.returncode, ran.stderr or ran.stdout)


def _failed(need: Need | None, code: int, said: str) -> Trial:
    known = explain(said)
    lines = [line for line in said.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "Error" in line or "rror:" in line), lines[-1] if lines else "")
    if known is not None:
        return Trial(need, f"{last.strip()}: {known.cause}", known.fix)
    end = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    return Trial(need, last.strip() or end, "run it with python -X faulthandler to see where it ends")
