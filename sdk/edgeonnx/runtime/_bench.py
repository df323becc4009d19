"""Times the model on its first golden sample."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._bundle import open_bundle
from ._errors import InputError
from ._selftest import first_inputs, require_golden

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._model import Model


class BenchReport(NamedTuple):
    """How fast a model is.

    Attributes:
        runs: how many were timed.
        sessions: how many ran side by side.
        median_us, p95_us: latency of `Model.run`, in microseconds.
        per_second: runs a second, all sessions together.
        load_ms: how long load() took, in milliseconds.
    """

    runs: int
    sessions: int
    median_us: float
    p95_us: float
    per_second: float
    load_ms: float


def bench(model: Model, runs: int = 100, warmup: int = 10) -> BenchReport:
    """Run the first golden sample again and again, on each session of the model at once.

    Args:
        model: a loaded model.
        runs: runs that are timed, at least one for each session.
        warmup: runs of each session before those that are not.

    Raises:
        InputError: `runs` or `warmup` is too small.
        BundleError: the bundle holds no golden samples.
    """
    sessions = model.sessions
    if runs < sessions or warmup < 0:
        few = "1 run" if sessions == 1 else f"{sessions} runs, one a session,"
        raise InputError(f"expected at least {few} and 0 for warm-up, got {runs} and {warmup}")
    require_golden(open_bundle(model.path))
    model.warmup(warmup)
    inputs = first_inputs(model)
    shares = [len(range(i, runs, sessions)) for i in range(sessions)]
    start = time.perf_counter()
    if sessions == 1:
        times = _times(model, inputs, runs)
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(sessions) as executor:
            times = np.concatenate(list(executor.map(lambda share: _times(model, inputs, share), shares)))
    elapsed = time.perf_counter() - start
    median, p95 = np.percentile(times * 1e6, [50, 95])
    return BenchReport(runs, sessions, float(median), float(p95), runs / elapsed, model.load_seconds * 1e3)


def _times(model: Model, inputs: dict[str, NDArray[Any]], runs: int) -> NDArray[np.float64]:
    """Seconds of each run."""
    times = np.empty(runs)
    for i in range(runs):
        start = time.perf_counter()
        model.run(inputs)
        times[i] = time.perf_counter() - start
    return times
