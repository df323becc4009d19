"""`edgeonnx bench`: how long one inference takes, of a model or a bundle, alone or against another in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from edgeonnx.bench.timing import Latency, Paired, paired, single
from edgeonnx.calibration.samples import Data, open_samples
from edgeonnx.model import Model, session_options
from edgeonnx.runtime import load
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._selftest import golden_inputs
from edgeonnx.verbs.noise import noise


@dataclass(frozen=True)
class BenchResult:
    """Latency of one inference on this machine, in microseconds.

    Attributes:
        subject: what was timed.
        latency: its latency.
        versus: what it was timed against, if anything.
        comparison: `versus` against `subject` in turns: a ratio above 1 means that `subject` is faster.
        threads: intra-op threads of both.
    """

    subject: Path
    latency: Latency
    versus: Path | None
    comparison: Paired | None
    threads: int


def bench(
    subject: str | Path,
    versus: str | Path | None = None,
    *,
    data: Data | None = None,
    threads: int = 1,
    seconds: float = 2.0,
) -> BenchResult:
    """Time one inference.

    Args:
        subject: an `.onnx` model or an `.edge` bundle.
        versus: another, to be run in turns with it.
        data: where a model's input comes from; None: noise, free dimensions 1. A bundle runs its golden sample.
        threads: intra-op threads.
        seconds: how long to measure.

    Raises:
        EdgeonnxError: a file that can't be read or run.
    """
    subject = Path(subject)
    call = _call(subject, data, threads)
    if versus is None:
        return BenchResult(subject, single(call, seconds), None, None, threads)
    versus = Path(versus)
    comparison = paired(_call(versus, data, threads), call, seconds)
    return BenchResult(subject, comparison.second, versus, comparison, threads)


def _call(path: Path, data: Data | None, threads: int) -> Callable[[], object]:
    """One inference of a model or a bundle, ready to be called again and again."""
    if path.suffix == ".edge":
        bundled = load(path, threads=threads)
        feeds = golden_inputs(open_bundle(path), 0).inputs
        return lambda: bundled.session.run(None, feeds)
    model = Model.load(path)
    session = model.session(session_options(threads))
    if data is not None:
        feeds = next(islice(open_samples(data, model.inputs).feeds(), 1))
    else:
        feeds = dict(noise(model, model.inputs, {}, 1)[0])
    return lambda: session.run(None, feeds)
