"""The engine `inc`: neural-compressor 3.7.1, the last with an ONNX side, in an interpreter of its own.

It needs numpy below 2 and takes seconds to import, so it runs as a process of the interpreter that
`EDGEONNX_INC_PYTHON` names, or of this one where it is installed here; `inc_worker.py` is what runs there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np

from edgeonnx.engines.base import Failure, Feeds, Proposal, proposal
from edgeonnx.errors import EngineError
from edgeonnx.model import Model

VARIABLE = "EDGEONNX_INC_PYTHON"
WAYS = ("static", "smoothquant", "percentile", "kl", "dynamic", "mse_v2")
_WORKER = Path(__file__).with_name("inc_worker.py")
# The samples are held in memory on both sides, and its calibration keeps activations: more gain little.
_SAMPLES = 100
_INSTALL = (
    "run pip install 'edgeonnx[inc]' in Python 3.11 or 3.12 (it needs numpy below 2, which newer Pythons have not), "
    f"and name that interpreter in {VARIABLE} if it is not this one"
)
_PROBE = "from importlib.metadata import version; print(version('neural-compressor'))"
# Releases from this on have no ONNX side.
_TOO_NEW = (3, 8)
# Interpreters start with their own paths only, not with what is set up for this one.
_ISOLATED = "-I"
_GRACE = 10.0


class IncEngine:
    """Static, SmoothQuant, percentile, KL, dynamic, and tuned by mean square error until 20 dB are reached.

    Args:
        ways: which of them, in order.
        samples: how many calibration samples to use at most.
    """

    name = "inc"

    def __init__(self, ways: Iterable[str] = WAYS, samples: int = _SAMPLES) -> None:
        self._ways, self._samples = tuple(ways), samples
        unknown = sorted(set(self._ways) - set(WAYS))
        if unknown or not self._ways:
            raise EngineError(f"{self.name}: expected ways among {', '.join(WAYS)}, got {', '.join(unknown) or 'none'}")

    def propose(
        self, model: Model, feeds: Callable[[], Iterable[Feeds]], folder: Path, seconds: float
    ) -> Iterator[Proposal | Failure]:
        """See `Engine.propose`."""
        python = interpreter()
        _save_model(folder / "model.onnx", model)
        _save_samples(folder / "samples.npz", islice(feeds(), self._samples))
        left = list(self._ways)
        for report in _reports(python, folder, left, seconds):
            left.remove(report["way"])
            name = f"{self.name}: {report['way']}"
            if "file" in report:
                yield proposal(name, folder / report["file"], model)
            else:
                yield Failure(name, report["error"])
        yield from (Failure(f"{self.name}: {way}", f"not done within {seconds:.0f} s") for way in left)


def interpreter(environment: Mapping[str, str] = os.environ) -> Path:
    """The interpreter to run neural-compressor in.

    Raises:
        EngineError: there is none, or its neural-compressor has no ONNX side.
    """
    named = environment.get(VARIABLE)
    if not named and find_spec("neural_compressor") is None:
        raise EngineError(f"the engine inc needs neural-compressor 3.7.1: {_INSTALL}")
    python = Path(named or sys.executable)
    problem = _problem(python)
    if problem:
        raise EngineError(f"{python} can't run the engine inc: {problem}; {_INSTALL}")
    return python


@cache
def _problem(python: Path) -> str | None:
    """Why an interpreter can't run neural-compressor on ONNX; None if it can."""
    try:
        tried = subprocess.run([python, _ISOLATED, "-c", _PROBE], capture_output=True, text=True, check=False)
    except OSError as error:
        return error.strerror or str(error)
    if tried.returncode:
        return _last_line(tried.stderr)
    version = tried.stdout.strip()
    if tuple(int(part) for part in version.split(".")[:2]) >= _TOO_NEW:
        return f"it has neural-compressor {version}, which has no ONNX side; expected 3.7.1"
    return None


def _save_model(path: Path, model: Model) -> None:
    """Without the shapes between its nodes: neural-compressor rewrites Gemms and trips over what they were."""
    proto = model.to_proto()
    proto.graph.ClearField("value_info")
    path.write_bytes(proto.SerializeToString())


def _save_samples(path: Path, samples: Iterable[Feeds]) -> None:
    """Arrays by sample and input, since shapes may differ from sample to sample and names hold any character."""
    arrays: dict[str, Any] = {}
    for index, sample in enumerate(samples):
        arrays.setdefault("names", np.array(list(sample)))
        arrays.update({f"{index}.{place}": array for place, array in enumerate(sample.values())})
    if not arrays:
        raise EngineError("inc: expected calibration samples, got none")
    np.savez(path, **arrays)


def _reports(python: Path, folder: Path, ways: Iterable[str], seconds: float) -> Iterator[dict[str, str]]:
    """Lines of the worker as they come; it is ended when time is up, and when nobody wants the next line."""
    command = [str(python), _ISOLATED, str(_WORKER), str(folder), ",".join(ways), str(seconds)]
    with (folder / "log.txt").open("w+", encoding="utf-8", errors="replace") as log:
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as worker:
            ended = Timer(seconds + _GRACE, worker.kill)
            ended.start()
            try:
                assert worker.stdout is not None
                yield from map(json.loads, worker.stdout)
                worker.wait()
            finally:
                timely = ended.is_alive()
                ended.cancel()
                worker.kill()
        if timely and worker.returncode:
            log.seek(0)
            raise EngineError(f"inc: neural-compressor broke down: {_last_line(log.read())}")


def _last_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[-1]
