"""Candidates that other tools make: the gate runs, scores and times them like our own."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgeonnx.engines import Engine, Failure, load_engine
from edgeonnx.errors import EngineError
from edgeonnx.libraries import foreign_operators
from edgeonnx.quantize.placement import Placement
from edgeonnx.ranges import Ranges
from edgeonnx.verbs.data import Feeds
from edgeonnx.verbs.gate import Candidate
from edgeonnx.verbs.job import Job
from edgeonnx.verbs.layers import LayerRow
from edgeonnx.verbs.measure import Selection, Yardstick


class Outside:
    """What an engine proposes, measured.

    Args:
        engine: its name.
        job: what is to be quantized.
        calibration: samples for the engine.
        yardstick: scores and times.
        floor: the lowest score within the budget.

    Attributes:
        candidates: the proposals that could be run.
        failures: what the engine tried and could not make, one line each.
        steps: none of ours.
        warnings: none; what is wrong with samples shows in calibration.
        ranges: none of ours.
    """

    def __init__(self, engine: str, job: Job, calibration: Selection, yardstick: Yardstick, floor: float) -> None:
        self.candidates: list[Candidate] = []
        self.failures: list[str] = []
        self.steps: tuple[str, ...] = ()
        self.ranges = Ranges({}, len(calibration.indexes))
        self.warnings: tuple[str, ...] = ()
        self._engine: Engine = load_engine(engine)
        self._job, self._calibration, self._yardstick, self._floor = job, calibration, yardstick, floor

    def run(self) -> list[Candidate]:
        """Take proposals until the engine has no more, or the recipe's time for searching is up.

        Raises:
            EngineError: the engine is not installed, broke down, or made nothing that runs.
        """
        seconds = self._job.recipe.search.seconds
        with tempfile.TemporaryDirectory() as folder:
            for proposal in self._engine.propose(self._job.source, self._feeds, Path(folder), seconds):
                self._job.progress(f"engine {self._engine.name}", len(self.candidates), len(self.candidates) + 1)
                if isinstance(proposal, Failure):
                    self.failures.append(f"{proposal.name}: {proposal.reason}")
                    continue
                score = self._yardstick.score(proposal.model, saturates=False)
                made = Candidate(proposal.name, proposal.model, Placement((), {}), score, engine=self._engine.name)
                if score >= self._floor and self._job.timed:
                    made = replace(made, speed=self._yardstick.speed(proposal.model, self._calibration))
                self.candidates.append(made)
        foreign = foreign_operators(self._job.model.ir)
        if not self.candidates and foreign:  # other tools register no libraries
            raise EngineError(
                f"{self._engine.name} made nothing that runs: expected onnxruntime's own operators, got "
                f"{', '.join(foreign)}; leave --engine out: native quantizes around them"
            )
        if not self.candidates:
            raise EngineError(
                f"{self._engine.name} made nothing that runs: {'; '.join(self.failures) or 'no proposals'}"
            )
        return self.candidates

    def layers(self, _chosen: Candidate) -> tuple[LayerRow, ...]:
        """None: what another tool did to each layer is not recorded."""
        return ()

    def _feeds(self) -> Iterator[Feeds]:
        return (self._job.prepare(s) for s in self._calibration.samples.feeds(self._calibration.indexes))
