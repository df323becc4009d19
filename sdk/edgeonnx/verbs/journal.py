"""Scores that were paid for once: a search that was interrupted, or is run again, does not pay again.

A journal is a file of JSON lines in the cache folder, named after all that a score depends on. A line is written the
moment a score is known, so that a kill in the middle loses the candidate under way and nothing else.
"""

import hashlib
import json
from pathlib import Path

import onnxruntime as ort

from edgeonnx.files import cache_folder
from edgeonnx.libraries import libraries_here
from edgeonnx.quantize.placement import Placement
from edgeonnx.verbs.job import Job
from edgeonnx.verbs.measure import Selection


class Journal:
    """Scores by placement.

    Args:
        file: where they are kept; None keeps them nowhere.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._scores: dict[str, float] = {}
        if file is not None and file.is_file():
            for line in file.read_text("utf-8").splitlines():
                self._take(line)

    def score(self, placement: Placement) -> float | None:
        """The score of a placement; None if it is not known."""
        return self._scores.get(_key(placement.quantized))

    def write(self, placement: Placement, score: float) -> None:
        """Keep a score. A cache that can't be written is no reason to stop."""
        self._scores[_key(placement.quantized)] = score
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"placement": _key(placement.quantized), "score": score}) + "\n")
        except OSError:
            self._file = None

    def _take(self, line: str) -> None:
        """A line cut short by a kill, or damaged, is passed over."""
        try:
            entry = json.loads(line)
            self._scores[str(entry["placement"])] = float(entry["score"])
        except (ValueError, KeyError, TypeError):
            return


def open_journal(job: Job, calibration: Selection, evaluation: Selection | None) -> Journal:
    """The journal of a search; one that forgets where scores depend on what has no fingerprint, as functions."""
    if evaluation is None:
        return Journal(None)
    prints = [selection.samples.fingerprint() for selection in (calibration, evaluation)]
    if None in prints:
        return Journal(None)
    parts = {
        "model": job.source.sha256,
        "recipe": job.recipe.model_dump(mode="json"),
        "saturates": job.saturates,
        "pipeline": job.pipeline.fingerprint if job.pipeline else None,
        "data": prints,
        "indexes": [calibration.indexes, evaluation.indexes],
        "onnxruntime": ort.__version__,
        "libraries": libraries_here(),
        "dialect": job.dialect.model_dump_json(exclude={"sources"}),
        "runner": job.runner.where if job.runner else None,
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return Journal(cache_folder("search") / f"{digest}.jsonl")


def _key(names: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(sorted(names)).encode()).hexdigest()
