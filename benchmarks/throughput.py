"""What sessions side by side, batches and overlapping buy on this machine. Prints ratios; series run in turns.

The model is fashion_mnist's, on one thread a session; 64 pictures a run, some milliseconds, but for the batches. The
source of the streams takes as long as inference does: it waits, as a camera or a disk does, or it computes, which needs
a CPU of its own.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import edgeonnx
from edgeonnx.runtime import Model
from edgeonnx.runtime._cpus import find_cpus

MODEL = Path(__file__).parent.parent / "examples" / "fashion_mnist" / "mobilenetv1.onnx"
ROUNDS = 15
RUNS = 40
Feeds = list[dict[str, np.ndarray]]


def main() -> None:
    rng = np.random.default_rng(0)
    feeds = [{"input": rng.random((64, 1, 28, 28), np.float32)} for _ in range(RUNS)]
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "fashion.edge"
        edgeonnx.package(MODEL, "x86-64", bundle)
        print(f"{find_cpus().limit} CPUs")
        with edgeonnx.load(bundle, threads=1) as one, edgeonnx.load(bundle, threads=2, sessions=2) as two:
            pool(one, two, feeds)
            batches(one, feeds)
            stream(one, feeds, "waits", time.sleep)
            stream(one, feeds, "computes", compute)


def pool(one: Model, two: Model, feeds: Feeds) -> None:
    """Two callers at once, with a session each and sharing one; and one caller whose runs are queued."""
    report("two callers, two sessions", lambda: calls(one, feeds, 1), lambda: calls(two, feeds, 2))
    report("two callers, one session", lambda: calls(one, feeds, 1), lambda: calls(one, feeds, 2))
    report("run_async, two sessions", lambda: calls(one, feeds, 1), lambda: queued(two, feeds))
    samples = [feed["input"] for feed in feeds]
    report("stream, two sessions", lambda: calls(one, feeds, 1), lambda: list(two.stream(samples)))


def batches(one: Model, feeds: Feeds) -> None:
    """Samples stacked into one run, over one by one."""
    samples = [picture[None] for picture in feeds[0]["input"]]
    report(f"batch of {len(samples)}", lambda: [one(sample) for sample in samples], lambda: one.batch(samples))


def stream(one: Model, feeds: Feeds, what: str, work: Callable[[float], object]) -> None:
    """`model.stream` over reading and running in turns."""
    start = time.perf_counter()
    calls(one, feeds, 1)
    seconds = (time.perf_counter() - start) / len(feeds)

    def samples() -> Iterator[np.ndarray]:
        for feed in feeds:
            work(seconds)
            yield feed["input"]

    report(f"stream, source that {what}", lambda: [one(x) for x in samples()], lambda: list(one.stream(samples())))


def compute(seconds: float) -> None:
    """Work that lets go of the interpreter's lock, as decoders do."""
    end = time.perf_counter() + seconds
    values = np.random.default_rng(0).random((256, 256))
    while time.perf_counter() < end:
        np.sort(values, axis=0)


def calls(model: Model, feeds: Feeds, threads: int) -> None:
    with ThreadPoolExecutor(threads) as executor:
        shares = [feeds[i::threads] for i in range(threads)]
        for _ in executor.map(lambda share: [model.run(feed) for feed in share], shares):
            pass


def queued(model: Model, feeds: Feeds) -> None:
    for future in [model.run_async(feed) for feed in feeds]:
        future.result()


def report(what: str, first: Callable[[], object], second: Callable[[], object]) -> None:
    """How much faster the second is: median of rounds in turns, and its quartiles."""
    ratios = []
    for turn in range(ROUNDS + 1):
        seconds = {}
        for call in (first, second) if turn % 2 else (second, first):
            start = time.perf_counter()
            call()
            seconds[call] = time.perf_counter() - start
        ratios.append(seconds[first] / seconds[second])
    low, median, high = np.percentile(ratios[1:], [25, 50, 75])  # the first round warms up
    print(f"{what:<30}{median:.2f}x ({low:.2f} to {high:.2f}) of one after the other")


if __name__ == "__main__":
    main()
