"""Times the model on its first golden sample."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._bundle import open_bundle
from ._errors import InputError
from ._selftest import golden_inputs, require_golden

if TYPE_CHECKING:
    from ._model import Model


class BenchReport(NamedTuple):
    """Latencies of `Model.run` in microseconds over `runs` runs, and the time load() took in milliseconds."""

    runs: int
    median_us: float
    p95_us: float
    load_ms: float


def bench(model: Model, runs: int = 100, warmup: int = 10) -> BenchReport:
    """Run the first golden sample again and again.

    Args:
        model: a loaded model.
        runs: runs that are timed, at least 1.
        warmup: runs before those that are not.

    Raises:
        InputError: `runs` or `warmup` is too small.
        BundleError: the bundle holds no golden samples.
    """
    if runs < 1 or warmup < 0:
        raise InputError(f"expected at least 1 run and 0 for warm-up, got {runs} and {warmup}")
    bundle = open_bundle(model.path)
    require_golden(bundle)
    inputs = golden_inputs(bundle, 0).inputs
    for _ in range(warmup):
        model.run(inputs)
    times = np.empty(runs)
    for i in range(runs):
        start = time.perf_counter()
        model.run(inputs)
        times[i] = time.perf_counter() - start
    median, p95 = np.percentile(times * 1e6, [50, 95])
    return BenchReport(runs, float(median), float(p95), model.load_seconds * 1e3)
