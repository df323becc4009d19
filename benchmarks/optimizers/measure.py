"""What each optimized model is like: nodes, size, and against the original in one process: outputs, load, latency."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import numpy as np
import onnx
import onnxruntime as ort
from cases import Case, Feeds

from edgeonnx.bench.timing import paired
from edgeonnx.model import Model, session_options
from edgeonnx.verbs.same import difference

ROUNDS = 5
SECONDS = 0.4
# Of an output's largest magnitude. What is further off is broken, unless the given model is as far from itself.
NEAR = 1e-3
OWN = 2


@dataclass(frozen=True)
class Measures:
    """Of one tool's result.

    Attributes:
        nodes: those of the graph and its subgraphs, Constants left out.
        bytes: of the file.
        off: largest difference of an output from the original's, over its largest magnitude.
        load, speed: original's processor time over this one's, as (median, least, most) of the rounds.
    """

    nodes: int
    bytes: int
    off: float
    load: tuple[float, float, float]
    speed: tuple[float, float, float]


def count_nodes(path: Path) -> int:
    return sum(node.op_type != "Constant" for node in _nodes(onnx.load(path).graph))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)


def problem(original: Path, path: Path, case: Case) -> str | None:
    """Why a result is of no use; None if it is."""
    one, other = Model.load(original), Model.load(path)
    if [str(t).partition("[")[0] for t in one.inputs] != [str(t).partition("[")[0] for t in other.inputs]:
        return "other inputs"
    try:
        feeds = list(case.feeds(one))
        off = difference(one, other, feeds).relative
    except Exception as error:  # onnxruntime's exception types are private and many
        return f"does not run: {error}".splitlines()[0][:120]
    return f"outputs differ by {off:.0e}" if off > max(NEAR, OWN * rounding(one, feeds)) else None


def rounding(model: Model, feeds: list[Feeds]) -> float:
    """How far a model's outputs as onnxruntime optimizes it are from those node by node."""
    off = 0.0
    plain = model.session(session_options(optimize=False))
    optimized = model.session()
    for feed in feeds:
        for one, other in zip(plain.run(None, feed), optimized.run(None, feed), strict=True):
            if one.dtype.kind == "f" and one.size:
                off = max(off, float(np.abs(one - other).max() / max(np.abs(one).max(), np.finfo(one.dtype).tiny)))
    return off


def measured(original: Path, made: dict[str, Path], case: Case) -> dict[str, Measures]:
    """All of a case's results, in rounds, so that a slow minute of the machine strikes all alike."""
    model = Model.load(original)
    timed, *_ = feeds = list(case.feeds(model))
    first = session(original)
    sessions = {name: session(path) for name, path in made.items()}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, path in made.items():
            load = paired(lambda: session(original), lambda path=path: session(path), SECONDS, 7, process_time)
            calls = (lambda: first.run(None, timed)), (lambda other=sessions[name]: other.run(None, timed))
            speed = paired(*calls, SECONDS, clock=process_time)
            rounds[name].append((load.ratio, speed.ratio))
    return {
        name: Measures(
            nodes=count_nodes(path),
            bytes=path.stat().st_size,
            off=difference(model, Model.load(path), feeds).relative,
            load=_spread([load for load, _ in rounds[name]]),
            speed=_spread([speed for _, speed in rounds[name]]),
        )
        for name, path in made.items()
    }


def session(path: Path) -> ort.InferenceSession:
    """As users open one, but for one thread: onnxruntime optimizes the graph once more."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _spread(ratios: list[float]) -> tuple[float, float, float]:
    return float(np.median(ratios)), min(ratios), max(ratios)
