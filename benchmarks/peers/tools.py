"""The tools that are compared, and running one on a case in a process and an environment of its own."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 1800
# Stock entropy calibration would take all there is; what needs more than this on a small model does not scale.
MEMORY = 12 << 30


@dataclass(frozen=True)
class Tool:
    """A tool with one way to use it.

    Attributes:
        name: in the table.
        peer: the script `run_PEER.py`, and the environment of that name; `edgeonnx` runs in ours.
        way: a last argument for the script.
    """

    name: str
    peer: str
    way: str = ""


TOOLS = (
    Tool("edgeonnx", "edgeonnx"),
    Tool("onnxruntime, min-max", "ort", "min-max"),
    Tool("onnxruntime, per-channel", "ort", "per-channel"),
    Tool("onnxruntime, entropy", "ort", "entropy"),
    Tool("onnxruntime, dynamic", "ort", "dynamic"),
    Tool("nncf 3.4", "nncf"),
    Tool("neural-compressor 3.7.1", "inc"),
    Tool("amd-quark 0.13", "quark"),
)
PEERS = tuple(dict.fromkeys(tool.peer for tool in TOOLS))


@dataclass(frozen=True)
class Run:
    """What came of a tool's work on a case.

    Attributes:
        output: the quantized model; None if it failed.
        seconds: the work, imports left out.
        peak_mb: peak resident memory of its process.
        problem: why it failed, one line.
    """

    output: Path | None
    seconds: float | None = None
    peak_mb: float | None = None
    problem: str | None = None


def run(tool: Tool, case: Path, environments: Path) -> Run:
    """Quantize a case's model with a tool; the log stays beside the result."""
    python = Path(sys.executable) if tool.peer == "edgeonnx" else environments / tool.peer / "bin" / "python"
    if not python.exists():
        return Run(None, problem="not installed")
    work = case / tool.name.replace(" ", "-").replace(",", "")
    work.mkdir()
    output = work / "model.onnx"
    more = [str(case)] if tool.peer == "edgeonnx" else [tool.way] * bool(tool.way)
    command = [python, HERE / f"run_{tool.peer}.py", case / "model.onnx", case / "calibration.npz", output, *more]
    environment = {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with (work / "log.txt").open("w+", errors="replace") as log:
        try:
            ended = subprocess.run(
                command, cwd=work, env=environment, stdout=subprocess.PIPE, stderr=log, check=False,
                timeout=SECONDS, preexec_fn=_limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Run(None, problem=f"not done within {SECONDS} s")
        log.seek(0)
        if ended.returncode or not output.exists():
            return Run(None, problem=_reason(ended.returncode, log.read()))
    return Run(output, **json.loads(ended.stdout))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _reason(code: int, log: str) -> str:
    """The last line of a traceback, or the signal that ended it."""
    if code < 0:
        return f"ended by signal {-code}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "Exception" in line]
    return (errors or lines or ["no message"])[-1][:160]
