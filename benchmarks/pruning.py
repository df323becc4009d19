"""Channels taken out: multiply-accumulates and speed against accuracy, with the refit and without.

    python benchmarks/pruning.py

Scores are of samples that pruning does not see. A speed is the given model against the pruned one, in turns, one
thread; beside it the same without the time of calling a model that does nothing, and as a share of what the
multiply-accumulates alone would give. The last row of a table is the graph with the last few channels of every group:
what no pruning of channels can take away. Writes benchmarks/pruning.md.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))

from cases import CASES, prepare  # noqa: E402

from edgeonnx.bench.timing import Paired, paired, single  # noqa: E402
from edgeonnx.errors import InputError  # noqa: E402
from edgeonnx.model import Model  # noqa: E402
from edgeonnx.prune.surgery import remove  # noqa: E402
from edgeonnx.verbs.pruner import Plan, Pruner  # noqa: E402
from edgeonnx.verbs.pruning import prunable  # noqa: E402

SHOWN = "mobilenetv1,mobilenetv3,resnet8,orientation"
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SPEEDUP = 1 / 0.7
WORK = ROOT / "build" / "bench"
SAMPLES, SECONDS = 500, 2.0
Feeds = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=SHOWN, help=f"which of {','.join(CASES)}")
    options = parser.parse_args()
    lines = [
        "# Pruning",
        "",
        "Written by `make bench-pruning`. "
        f"{platform.machine()}, onnxruntime {ort.__version__}, one thread. No training: layers are refitted. "
        "*without the call*: speed once the time of calling a model that does nothing is taken off both. "
        "*of MACs' gain*: speed times MACs left, 1 where time falls as work does. *all but the last few*: every group "
        "down to its last channels, for its time alone; what is left of that is the graph's own.",
        "",
    ]
    for name in options.cases.split(","):
        for line in table(name):
            print(line, flush=True)
            lines.append(line)
    (ROOT / "benchmarks" / "pruning.md").write_text("\n".join(lines).rstrip() + "\n", "utf-8")


def table(name: str) -> list[str]:
    """A model's rows."""
    folder = WORK / "cases" / name
    if not (folder / "case.json").exists():
        prepare(name, folder, WORK / "packages")
    feeds, _ = samples(folder, "calibration", "validation")
    model = Model.load(folder / "model.onnx")
    case = Case(model, feeds[:SAMPLES], *samples(folder, "evaluation"))
    rows = [case.row(f"{ratio:.0%} fewer MACs", speedup=None, ratio=ratio) for ratio in RATIOS]
    return [
        f"## {CASES[name][0]}",
        "",
        f"top-1 {case.score(model):.4f} of {len(case.labels)} samples; {len(case.feeds)} samples to prune by; "
        f"calling a model that does nothing takes {case.nothing:.1f} us",
        "",
        "| asked for | MACs left | top-1, refitted | not refitted | speed | without the call | of MACs' gain |",
        "|---|---|---|---|---|---|---|",
        *rows,
        case.row(f"{SPEEDUP:.2f}x the speed", speedup=SPEEDUP, ratio=None),
        case.least(),
        "",
    ]


def samples(folder: Path, *names: str) -> tuple[list[Feeds], np.ndarray]:
    """Samples of some of a case's files, one by one, and their labels."""
    feeds, labels = [], []
    for name in names:
        if (folder / f"{name}.npz").exists():
            with np.load(folder / f"{name}.npz") as data:
                arrays = {key: data[key] for key in data}
            labels.append(arrays.pop("labels"))
            feeds += [{key: array[i : i + 1] for key, array in arrays.items()} for i in range(len(labels[-1]))]
    return feeds, np.concatenate(labels)


def nothing(model: Model) -> Model:
    """A model with the same inputs that tells the shape of the first."""
    proto = model.to_proto(any_size=True)
    given = [value for value in proto.graph.input if value.name in {tensor.name for tensor in model.inputs}]
    node = helper.make_node("Shape", [given[0].name], ["shape"])
    made = helper.make_graph(
        [node], "nothing", given, [helper.make_tensor_value_info("shape", TensorProto.INT64, None)]
    )
    return Model.from_proto(helper.make_model(made, opset_imports=proto.opset_import, ir_version=proto.ir_version))


class Case:
    """A model, what it is pruned by and what it is scored on."""

    def __init__(self, model: Model, feeds: list[Feeds], evaluation: list[Feeds], labels: np.ndarray) -> None:
        self.model, self.feeds, self.evaluation, self.labels = model, feeds, evaluation, labels
        self.nothing = single(partial(nothing(model).session().run, None, dict(feeds[0]))).median
        self.pruner = Pruner(prunable(model), feeds, "reconstruction", lambda *_: None, self.speed)

    def row(self, asked: str, speedup: float | None, ratio: float | None) -> str:
        try:
            plan = self.pruner.plan(speedup, ratio)
        except InputError:
            return f"| {asked} | can't go: a layer would be empty | | | | | |"
        refitted, plain = self.made(plan, True), self.made(plan, False)
        scores = f"{self.score(refitted):.4f} | {self.score(plain):.4f}"
        return self.line(asked, plan.gone, scores, refitted)

    def least(self) -> str:
        """The row of the smallest model there can be."""
        gone = self.pruner.most()
        return self.line(
            "all but the last few", gone, " | ", remove(self.pruner.study.model, self.pruner.study.channels, gone)
        )

    def line(self, asked: str, gone: Sequence[int], scores: str, made: Model) -> str:
        speed, cost = self.speed(made), self.pruner.work()
        left = cost.total(cost.removed(gone)) / cost.total(cost.removed(()))
        pure = (speed.first.median - self.nothing) / (speed.second.median - self.nothing)
        return (
            f"| {asked} | {left:.2f} | {scores} | {speed.ratio:.2f}x ({speed.low:.2f} to {speed.high:.2f}) "
            f"| {pure:.2f}x | {speed.ratio * left:.2f} |"
        )

    def made(self, plan: Plan, refitted: bool) -> Model:
        draft = self.pruner.study.without(plan.gone, refitted, lambda *_: None)
        return remove(draft.model, self.pruner.study.channels, plan.gone)

    def score(self, model: Model) -> float:
        session = model.session()
        found = [session.run(None, feeds)[0].argmax(-1)[0] for feeds in self.evaluation]
        return float(np.mean(np.array(found) == self.labels))

    def speed(self, model: Model) -> Paired:
        one, two = self.model.session(), model.session()
        feeds = self.feeds[0]
        return paired(lambda: one.run(None, feeds), lambda: two.run(None, feeds), SECONDS)


if __name__ == "__main__":
    main()
