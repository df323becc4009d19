"""What the scripts that run a peer share. Runs in any of the environments: numpy, and nothing of edgeonnx.

A script is called with a float model, an `.npz` of calibration samples (arrays named after the inputs, samples along
the first axis) and the path to write to, and prints one line of JSON: seconds of the work itself, imports left out,
and peak memory of the whole process.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Feeds = dict[str, np.ndarray]


class Samples:
    """Calibration samples, one at a time, each a batch of one."""

    def __init__(self, path: str) -> None:
        with np.load(path) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files if name != "labels"}

    def __len__(self) -> int:
        return min(len(array) for array in self._arrays.values())

    def __iter__(self) -> Iterator[Feeds]:
        for index in range(len(self)):
            yield {name: array[index : index + 1] for name, array in self._arrays.items()}

    def get_next(self) -> Feeds | None:
        """The next sample, as the calibration readers of onnxruntime give it; None after the last."""
        self._rest = getattr(self, "_rest", None) or iter(self)
        return next(self._rest, None)


def main(quantize: Callable[..., None]) -> None:
    """Run `quantize(model, samples, output, *more)` with the command line's arguments, and report."""
    model, samples, output, *more = sys.argv[1:]
    # What the tool prints is not part of the report.
    with os.fdopen(os.dup(1), "w") as report:
        os.dup2(2, 1)
        loaded = Samples(samples)
        start = time.perf_counter()
        quantize(model, loaded, output, *more)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_mb": peak_mb()}), file=report)


def peak_mb() -> float:
    """Peak resident memory. VmHWM, since getrusage remembers the process that forked this one. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
