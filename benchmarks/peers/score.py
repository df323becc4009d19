"""Scores and times what the tools made, in one process: one onnxruntime, one thread, float and INT8 in turns.

A machine has slow minutes. So all models of a case are timed in rounds, each a little every round, and a model's speed
is the median of its rounds.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from judge import LABELS, REFERENCE, Judge, Predict
from tools import Run, Tool

from edgeonnx.bench.timing import paired
from edgeonnx.model import Model

ROUNDS = 7
SECONDS = 0.5


class Scorer:
    """The measures of one case.

    Args:
        case: its folder.
    """

    def __init__(self, case: Path) -> None:
        self._judge, self._samples = Judge(case), case / "evaluation.npz"
        self._float = Model.load(case / "model.onnx").session()
        self.float_score = self._judge.score(predictor(self._float), self._samples)
        self.float_bytes = (case / "model.onnx").stat().st_size
        with np.load(self._samples) as arrays:
            self._feeds = {n: arrays[n][:1] for n in arrays.files if n not in (LABELS, REFERENCE)}

    def rows(self, runs: dict[Tool, Run]) -> list[dict[str, Any]]:
        """What the table shows of each tool: measures, or the problem."""
        rows, sessions = [], []
        for tool, ran in runs.items():
            row: dict[str, Any] = {"tool": tool.name, "seconds": ran.seconds, "peak_mb": ran.peak_mb}
            rows.append(row)
            if ran.output is None:
                row["problem"] = ran.problem
                continue
            try:
                session = Model.load(ran.output).session()
                row["score"] = self._judge.score(predictor(session), self._samples)
            except Exception as error:  # a model that onnxruntime refuses or can't run is a result too
                row["problem"] = f"its model does not run: {error}".splitlines()[0][:160]
                continue
            row["bytes"] = ran.output.stat().st_size
            sessions.append((row, session))
        self._time(sessions)
        return rows

    def _time(self, sessions: list[tuple[dict[str, Any], ort.InferenceSession]]) -> None:
        """Add to each row the speed of its session, float = 1, with the lowest and the highest round."""
        ratios: list[list[float]] = [[] for _ in sessions]
        for _ in range(ROUNDS):
            for (_, session), series in zip(sessions, ratios, strict=True):
                series.append(paired(self._runner(self._float), self._runner(session), SECONDS).ratio)
        for (row, _), series in zip(sessions, ratios, strict=True):
            row["speed"] = {"ratio": float(np.median(series)), "low": min(series), "high": max(series)}

    def _runner(self, session: ort.InferenceSession):
        return lambda: session.run(None, self._feeds)


def predictor(session: ort.InferenceSession) -> Predict:
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))
