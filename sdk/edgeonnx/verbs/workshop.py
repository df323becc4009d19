"""Makes quantized models of one job, and remembers what they share: the float form, ranges, sensitivities.

Each algorithm is tried on the job's own samples and kept only if the outputs come nearer to the float model's.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from edgeonnx.calibration.health import DataHealth
from edgeonnx.model import Model
from edgeonnx.quantize.algorithms.bias import correct_bias
from edgeonnx.quantize.algorithms.equalize import equalizable, equalize
from edgeonnx.quantize.algorithms.observe import channel_maxima
from edgeonnx.quantize.algorithms.overflow import guard_bias
from edgeonnx.quantize.algorithms.rounding import round_weights
from edgeonnx.quantize.algorithms.smooth import sample_rows, smooth, smoothable
from edgeonnx.quantize.layers import quantized_layers, with_integers
from edgeonnx.quantize.placement import Placement, place
from edgeonnx.quantize.qdq import write_qdq
from edgeonnx.quantize.range_reduction import reduce_range
from edgeonnx.quantize.saturation import measured_saturation
from edgeonnx.quantize.sensitivity import Sensitivity, local_sqnr, output_sqnr
from edgeonnx.verbs.calibrate import calibrate
from edgeonnx.verbs.data import Feeds
from edgeonnx.verbs.job import Job, check_arithmetic
from edgeonnx.verbs.measure import Selection

# Enough to rank layers and algorithms by signal to noise; scores decide in the end.
_PROBES = 16
# An algorithm must gain this much to be worth what it changes, in dB.
_GAIN = 0.5
# Below this share of a layer's sums, reducing its range costs more signal than saturation does.
_RARE = 1e-3


class Workshop:
    """Where quantized models are made.

    Args:
        job: what is to be quantized.
        calibration: the samples to calibrate on.

    Attributes:
        basis: the float model that quantized ones are written from: the normal form after the steps that help.
        ranges: of its activations.
        steps: names of the algorithms that were found to help, in order.
        health: what is to be known of the samples.
    """

    def __init__(self, job: Job, calibration: Selection) -> None:
        self.job, self.calibration = job, calibration
        self.steps: list[str] = []
        self.basis = job.normal
        self.health = DataHealth(job.normal)
        self.ranges = calibrate(job, job.normal, calibration, self.health)
        check_arithmetic(job, self.ranges)
        self._rounded: dict[str, np.ndarray] = {}
        self._corrects_bias = False
        self._judged_in = max(job.recipe.scopes, key=lambda name: self.sqnr(self._written(self.scope(name))))
        algorithms = job.recipe.algorithms
        if algorithms.equalize:
            self._try_basis("cross-layer equalization", self._equalized)
        if algorithms.smooth:
            self._try_basis("SmoothQuant", self._smoothed)
        if algorithms.round_weights:
            self._try_rounding(algorithms.round_weights)
        if algorithms.correct_bias:
            self._try_bias()

    @cached_property
    def probes(self) -> list[Feeds]:
        """A few prepared calibration samples, evenly spread."""
        indexes = self.calibration.indexes
        chosen = indexes[:: max(1, len(indexes) // _PROBES)][:_PROBES]
        return [self.job.prepare(sample) for sample in self.calibration.samples.feeds(chosen)]

    @cached_property
    def widest(self) -> Placement:
        """Whatever has an integer kernel."""
        return place(self.basis, self.job.dialect, "all", self.ranges)

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """Of each quantized layer, at its own output."""
        return local_sqnr(self.basis, self._written(self.widest), self.probes)

    def scope(self, name: str) -> Placement:
        """The placement of a recipe's scope."""
        return self.widest if name == "all" else place(self.basis, self.job.dialect, name, self.ranges)

    def make(self, placement: Placement) -> Model:
        """A quantized model, by all the steps that were found to help."""
        made = self._written(placement)
        if self._corrects_bias:
            made, _ = correct_bias(self.basis, made, self.probes)
        if self.job.saturates:
            saturated = [name for name, share in measured_saturation(made, self.probes).items() if share > _RARE]
            made = reduce_range(made, self.basis, saturated) if saturated else made
        return made

    def saturates(self, quantized: Model) -> bool:
        """Whether any sum of a quantized model's saturates on samples, on CPUs where sums can."""
        return any(share > 0 for share in measured_saturation(quantized, self.probes).values())

    def sqnr(self, quantized: Model) -> float:
        """Signal to noise at the outputs, in dB."""
        return output_sqnr(self.job.normal, quantized, self.probes)

    def _written(self, placement: Placement) -> Model:
        made, _ = guard_bias(
            self.basis, write_qdq(self.basis, self.ranges, placement, self.job.recipe, self.job.dialect)
        )
        return with_integers(made, self._rounded) if self._rounded else made

    def _judged(self) -> Model:
        """What algorithms are judged by: the model in the scope whose outputs are nearest to float's."""
        return self._written(self.scope(self._judged_in))

    def _try_basis(self, step: str, transform: Callable[[Model], tuple[Model, tuple[str, ...]]]) -> None:
        """Take another float form of the same function if INT8 made from it is nearer to the float model."""
        self.job.progress(step, 0, 1)
        changed, names = transform(self.basis)
        if not names:
            return
        before, basis, ranges = self.sqnr(self._judged()), self.basis, self.ranges
        self.basis, self.ranges = changed, calibrate(self.job, changed, self.calibration)
        self.__dict__.pop("widest", None)
        if self.sqnr(self._judged()) > before + _GAIN:
            self.steps.append(step)
        else:
            self.basis, self.ranges = basis, ranges
            self.__dict__.pop("widest", None)

    def _equalized(self, model: Model) -> tuple[Model, tuple[str, ...]]:
        axes = equalizable(model, self.ranges)
        return equalize(model, self.ranges, channel_maxima(model, axes, self.probes) if axes else {})

    def _smoothed(self, model: Model) -> tuple[Model, tuple[str, ...]]:
        axes = smoothable(model)
        if not axes:
            return model, ()
        maxima, rows = channel_maxima(model, axes, self.probes), sample_rows(model, axes, self.probes)
        return smooth(model, maxima, "auto", rows, self.job.recipe.weights.per_channel, insert=False)

    def _try_rounding(self, seconds: float) -> None:
        """Learn the rounding once, in one scope; other placements take the same integers."""
        made = self._judged()
        rounded, names = round_weights(
            self.basis, made, self.probes, seconds, lambda done, total: self.job.progress("round weights", done, total)
        )
        if names and self.sqnr(rounded) > self.sqnr(made) + _GAIN:
            layers = {layer.node.name or "": layer.weight.constant for layer in quantized_layers(rounded.ir)}
            self._rounded = {name: array for name, array in layers.items() if name in names and array is not None}
            self.steps.append("learned rounding")

    def _try_bias(self) -> None:
        self.job.progress("bias correction", 0, 1)
        made = self._judged()
        corrected, names = correct_bias(self.basis, made, self.probes)
        if names and self.sqnr(corrected) > self.sqnr(made) + _GAIN:
            self._corrects_bias = True
            self.steps.append("bias correction")
