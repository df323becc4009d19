"""How a quantized model is judged: a score on samples it was not calibrated on, and time against float.

A metric of the user's own sees what the device's program will see, the results of the pipeline, and the model's own
outputs beside them. The shipped ones look at the model's own outputs alone: results are discrete, and hide how far the
outputs are.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgeonnx.bench.timing import Paired, compared, paired, slower
from edgeonnx.calibration.samples import Data, Samples
from edgeonnx.errors import MetricError
from edgeonnx.model import Model
from edgeonnx.providers import Runner
from edgeonnx.quantize.saturation import saturating
from edgeonnx.scoring import Agreement, Metric, Predict, Top1, load_metric
from edgeonnx.verbs.data import Feeds, Preparation, predictor

# How long two models are timed in turns.
_SECONDS = 1.5
_AGAIN = 2

UserFunction = str | Callable[[Predict], float]


@dataclass(frozen=True)
class Selection:
    """Some of a set of samples.

    Attributes:
        samples: the set.
        indexes: which of it, ascending.
    """

    samples: Samples
    indexes: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many, without those that were passed over."""
        return sum(index not in self.samples.skipped for index in self.indexes)


def divide(
    prepare: Preparation, data: Data, eval_data: Data | None, metric: UserFunction | None, limit: int
) -> tuple[Selection, Selection | None]:
    """Settle which samples calibrate and which are scored; no sample does both.

    Args:
        prepare: opens data.
        data: what calibration reads.
        eval_data: what scores are computed on; None: what calibration leaves of `data`.
        metric: the user's own, which brings its own samples: then all of `data` may calibrate.
        limit: how many samples calibrate at most.

    Returns:
        For calibration, and for evaluation (None for a metric of the user's own).

    Raises:
        DataError: data that can't be read, does not fit, or is too little to divide.
    """
    samples = prepare.open(data)
    if metric is None and eval_data is None:
        calibration, rest = samples.split(limit)
        return Selection(samples, calibration), Selection(samples, rest)
    count = samples.count()
    share = min(limit, count)
    calibrating = Selection(samples, tuple(place * count // share for place in range(share)))
    if metric is not None or eval_data is None:
        return calibrating, None
    evaluating = prepare.open(eval_data)
    return calibrating, Selection(evaluating, tuple(range(evaluating.count())))


class Timer(Protocol):
    """Times two models against each other on one sample: here, or on a device that is reached some other way."""

    def __call__(self, first: Model, second: Model, feeds: Feeds) -> Paired:
        """Both in turns, one thread each."""


def time_here(first: Model, second: Model, feeds: Feeds, clock: Callable[[], float] = time.perf_counter) -> Paired:
    """Time two models on this machine; see `bench.timing.paired` for the clock."""
    one, two = first.session(), second.session()
    return paired(lambda: one.run(None, feeds), lambda: two.run(None, feeds), _SECONDS, clock=clock)


def time_fairly(first: Model, second: Model, feeds: Feeds, clock: Callable[[], float] = time.perf_counter) -> Paired:
    """As `time_here`; what comes out slower is timed again in new sessions: one may have lain badly in memory."""
    speed = time_here(first, second, feeds, clock)
    for _ in range(_AGAIN):
        if slower(speed):
            speed = max(speed, time_here(first, second, feeds, clock), key=lambda found: found.ratio)
    return speed


def time_on(runner: Runner) -> Timer:
    """A timer of models on another provider."""
    return lambda first, second, feeds: compared(*runner.time(first, second, feeds, _SECONDS))


class Yardstick:
    """Measures models against the float one they were made from.

    Args:
        model: the float model.
        prepare: turns samples into its feeds.
        evaluation: what to score on; None with a metric of the user's own.
        metric: the user's own, or None.
        scores: name of the classifier's output, where the pipeline tells.
        saturates: score quantized models as a CPU computes them whose sums of 8-bit products saturate.
        timer: times two models against each other.
        runner: runs quantized models; None: the CPU provider, here. The float model, which they are compared with, is
            always run here.

    Attributes:
        metric: what scores are called.
        float_score: the float model's.

    Raises:
        MetricError: the metric can't be loaded, is not deterministic, or does not fit the model.
    """

    def __init__(
        self,
        model: Model,
        prepare: Preparation,
        evaluation: Selection | None,
        metric: UserFunction | None = None,
        scores: str | None = None,
        saturates: bool = False,
        timer: Timer = time_here,
        runner: Runner | None = None,
    ) -> None:
        self._timer = time_on(runner) if runner else timer
        self._load = runner.load if runner else None
        self._prepare = prepare
        self._saturates = saturates
        self._float = model
        self._own = metric is not None
        if metric is not None:
            own = load_metric(metric)
            self._metric: Metric = own
            self.float_score = own.check_deterministic(predictor(model, prepare, finished=True))
        else:
            reference = predictor(model, prepare)
            self._metric = _shipped(evaluation, reference, scores)
            self.float_score = self._metric.score(reference)
        self.metric = self._metric.name

    def score(self, model: Model, saturates: bool | None = None) -> float:
        """The score of a quantized model with the float model's inputs and outputs.

        Args:
            model: to be scored.
            saturates: as a CPU computes it whose sums of 8-bit products saturate; None: as the target does.
        """
        saturates = self._saturates if saturates is None else saturates
        model = saturating(model) if saturates else model
        load = None if saturates else self._load
        return self._metric.score(predictor(model, self._prepare, finished=self._own, load=load))

    @property
    def chance(self) -> float | None:
        """What guessing would score: for top-1, one over the classes of the float model's output; else None."""
        return self._metric.chance if isinstance(self._metric, Top1) else None

    def speed(self, model: Model, sample: Selection) -> Paired:
        """Float and `model` in turns on one sample."""
        feeds = self._prepare(next(sample.samples.feeds(sample.indexes[:1])))
        return self._timer(self._float, model, feeds)


def _shipped(evaluation: Selection | None, reference: Predict, scores: str | None) -> Metric:
    if evaluation is None:
        raise MetricError("expected evaluation samples or a metric, got neither; give --eval-data or --metric")
    samples, indexes = evaluation.samples, evaluation.indexes
    if samples.has_labels:
        return Top1(lambda: samples.labelled(indexes), scores)
    return Agreement(lambda: samples.feeds(indexes), reference)
