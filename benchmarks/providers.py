"""INT8 on OpenVINO: placed for it, placed for onnxruntime's CPU kernels, and OpenVINO's own by nncf.

    python benchmarks/providers.py --native .venv-peers/openvino/bin/python

All models of a case are timed in rounds, one thread, on one sample: float and each INT8 model in turns in one process
of the interpreter that has the provider, OpenVINO without onnxruntime in short spells between them. A speed is the
median of its rounds. Scores are of the whole evaluation set, as the provider computes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))

from cases import CASES, prepare  # noqa: E402
from judge import LABELS, REFERENCE, Judge  # noqa: E402

import edgeonnx  # noqa: E402
from edgeonnx.model import Model  # noqa: E402
from edgeonnx.providers import Runner, find_runner  # noqa: E402
from edgeonnx.targets import load_target  # noqa: E402
from edgeonnx.verbs.provider import setting_of  # noqa: E402

TARGET, STOCK = "intel-openvino", "x86-64-vnni"
SHOWN = "orientation,resnet8,mobilenetv1,minilm"
ROUNDS, SECONDS = 7, 0.6
WORK = ROOT / "build" / "bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=SHOWN, help=f"which of {','.join(CASES)}")
    parser.add_argument(
        "--native", type=Path, help="interpreter with openvino and nncf; without it, that column is empty"
    )
    options = parser.parse_args()
    runner = find_runner(setting_of(load_target(TARGET)))
    print(f"{runner.where}; one thread\n")
    print("| model | metric | float | placed for OpenVINO | placed for the CPU provider | nncf | ours / nncf |")
    print("|---|---|---|---|---|---|---|")
    for name in options.cases.split(","):
        print(row(name, runner, options.native), flush=True)


def row(name: str, runner: Runner, native: Path | None) -> str:
    """One line of the table: scores, and speed as a multiple of float's on OpenVINO."""
    folder = WORK / "cases" / name
    if not (folder / "case.json").exists():
        prepare(name, folder, WORK / "packages")
    judge, evaluation = Judge(folder), folder / "evaluation.npz"
    models = {"float": Model.load(folder / "model.onnx")}
    models |= {target: quantized(folder, judge, target) for target in (TARGET, STOCK)}
    scores = {kind: judge.score(runner.load(model), evaluation) for kind, model in models.items()}
    with np.load(evaluation) as arrays:
        feeds = {key: arrays[key][:1] for key in arrays.files if key not in (LABELS, REFERENCE)}
    other = Native(native, folder, name, judge) if native else None
    speeds: dict[str, list[float]] = {TARGET: [], STOCK: [], "ours/native": []}
    for _ in range(ROUNDS):
        for target in (TARGET, STOCK):
            one, two = runner.time(models["float"], models[target], feeds, SECONDS)
            speeds[target].append(float(np.median(one) / np.median(two)))
            if other and target == TARGET:
                speeds["ours/native"].append(other.median() / float(np.median(two)))
    ratio = {kind: float(np.median(series)) for kind, series in speeds.items() if series}
    against = ratio.get("ours/native")
    cells = [CASES[name][0], judge.metric, f"{scores['float']:.4f}"]
    cells += [f"{scores[target]:.4f}, {ratio[target]:.2f}x" for target in (TARGET, STOCK)]
    cells += (
        [f"{other.score:.4f}, {ratio[TARGET] / against:.2f}x", f"{against:.2f}x"] if other and against else ["", ""]
    )
    return f"| {' | '.join(cells)} |"


def quantized(folder: Path, judge: Judge, target: str) -> Model:
    """What edgeonnx makes for a target; it judges on the case's validation samples, or divides the calibration's."""
    validation = folder / "validation.npz"
    judged: dict[str, object] = {"eval_data": validation if validation.exists() else None}
    if not judge.labelled:
        judged = {"metric": lambda predict: judge.score(predict, validation)}
    return edgeonnx.quantize(
        folder / "model.onnx", folder / "calibration.npz", target=target, force=True, **judged
    ).model


class Native:
    """OpenVINO's own, in a process of its own: nncf's INT8 model, its score, and spells of timing."""

    def __init__(self, python: Path, folder: Path, name: str, judge: Judge) -> None:
        script, model = ROOT / "benchmarks" / "providers_native.py", folder / "nncf.xml"
        kind = ["transformer"] if name == "minilm" else []
        arguments = [folder / "model.onnx", folder / "calibration.npz", model, *kind]
        subprocess.run([python, script, "quantize", *arguments], check=True, capture_output=True)
        evaluation = folder / "evaluation.npz"
        with tempfile.TemporaryDirectory() as scratch:
            outputs = Path(scratch) / "outputs.npz"
            command = [python, script, "serve", model, evaluation, outputs]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._line()
            with np.load(outputs) as arrays:
                self.score = judge.score(recorded(arrays["first"]), evaluation)

    def median(self) -> float:
        """Seconds of a call, of one spell."""
        assert self._process.stdin is not None
        print(SECONDS / 2, file=self._process.stdin, flush=True)
        return float(np.median(json.loads(self._line())))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def recorded(outputs: np.ndarray) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """A model whose outputs are known, for samples in their order."""
    rest = iter(outputs)
    return lambda _feeds: {"first": next(rest)}


if __name__ == "__main__":
    main()
