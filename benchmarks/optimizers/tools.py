"""The optimizers that are compared, and running one on a model in a process and an environment of its own."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 600


@dataclass(frozen=True)
class Tool:
    """A tool with one way to use it.

    Attributes:
        name: in the table, and in `optimize.py`.
        peer: the environment it is installed in; "": ours.
        portable: whether what it makes is of ONNX's operators alone; others are onnxruntime's.
    """

    name: str
    peer: str = ""
    portable: bool = True


TOOLS = (
    Tool("edgeonnx"),
    Tool("onnxslim", "onnxslim"),
    Tool("onnxsim", "onnxsim"),
    Tool("onnxoptimizer", "onnxoptimizer"),
    Tool("onnxruntime basic"),
    Tool("edgeonnx for a CPU", portable=False),
    Tool("onnxruntime extended", portable=False),
)


def run(tool: Tool, model: Path, output: Path, environments: Path) -> str | None:
    """Have a tool optimize a model; why it failed, None if it did not."""
    python = environments / tool.peer / "bin" / "python" if tool.peer else Path(sys.executable)
    if not python.exists():
        return "not installed"
    command = [python, HERE / "optimize.py", tool.name, model, output]
    try:
        ended = subprocess.run(
            command, cwd=output.parent, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not done within {SECONDS} s"
    if ended.returncode == 0 and output.exists():
        return None
    if ended.returncode < 0:
        return f"ended by signal {-ended.returncode}"
    lines = [line.strip() for line in f"{ended.stdout}\n{ended.stderr}".splitlines() if line.strip()]
    return (lines or ["no message"])[-1][:120]
