"""Schemes that leave nothing to search: dynamic quantization, weights alone, float16. One candidate, measured."""

from dataclasses import replace

from edgeonnx.errors import ModelError
from edgeonnx.model import Model
from edgeonnx.optimize.passes.float16 import float16, half_nodes
from edgeonnx.quantize.algorithms.dynamic import quantize_dynamic
from edgeonnx.quantize.algorithms.weights import quantize_weights
from edgeonnx.quantize.placement import Placement
from edgeonnx.ranges import Ranges
from edgeonnx.verbs.data import Feeds
from edgeonnx.verbs.gate import Candidate
from edgeonnx.verbs.job import Job
from edgeonnx.verbs.layers import LayerRow
from edgeonnx.verbs.measure import Selection, Yardstick

# What weights-only methods look at, if they look at samples.
_SAMPLES = 64


class OneShot:
    """The one candidate of a recipe's scheme.

    Args:
        job: what is to be quantized.
        sample: where timing takes its sample.
        yardstick: scores and times.

    Attributes:
        candidates: the one, once `run` has been called.
        steps: none.
        warnings: none; what is wrong with samples shows in calibration.
        ranges: none: there is no calibration.
    """

    def __init__(self, job: Job, sample: Selection, yardstick: Yardstick) -> None:
        self.candidates: list[Candidate] = []
        self.steps: tuple[str, ...] = ()
        self.ranges = Ranges({}, 0)
        self.warnings: tuple[str, ...] = ()
        self._job, self._sample, self._yardstick = job, sample, yardstick

    def run(self) -> list[Candidate]:
        """Make, score and time it.

        Raises:
            ModelError: the scheme finds nothing to do in this model.
        """
        job, scheme = self._job, self._job.recipe.scheme
        job.progress(scheme, 0, 1)
        made, names = self._made()
        if not names:
            raise ModelError(f"{job.model.path or 'the model'} has nothing for {scheme} to do; ship it in float")
        kept = {n.name or "": f"not for {scheme}" for n in job.normal.ir.graph if n.name not in names}
        candidate = Candidate(scheme, made, Placement(names, kept), self._yardstick.score(made, saturates=False))
        if job.timed:
            candidate = replace(candidate, speed=self._yardstick.speed(made, self._sample))
        self.candidates.append(candidate)
        return self.candidates

    def layers(self, chosen: Candidate) -> tuple[LayerRow, ...]:
        """What became of each node."""
        done = set(chosen.placement.quantized)
        return tuple(
            LayerRow(
                name=node.name or "",
                op_type=node.op_type,
                precision=self._job.recipe.scheme if node.name in done else "float",
                why=chosen.placement.kept.get(node.name or "", ""),
                sqnr=None,
                float_us=None,
                int8_us=None,
            )
            for node in self._job.normal.ir.graph
        )

    def _made(self) -> tuple[Model, tuple[str, ...]]:
        recipe, normal = self._job.recipe, self._job.normal
        if recipe.scheme == "dynamic":
            return quantize_dynamic(normal)
        if recipe.scheme == "float16":
            made, _ = float16(normal)
            there = {node.name for node in normal.ir.graph}
            return made, tuple(name for name in half_nodes(made) if name in there)
        settings = recipe.weights_only
        feeds = self._feeds() if settings.method == "gptq" else None
        return quantize_weights(normal, settings.bits, settings.method, settings.block_size, feeds)

    def _feeds(self) -> list[Feeds]:
        indexes = self._sample.indexes[:_SAMPLES]
        return [self._job.prepare(sample) for sample in self._sample.samples.feeds(indexes)]
