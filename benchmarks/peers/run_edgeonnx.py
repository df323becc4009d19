"""edgeonnx with its defaults; its gate judges on samples that are neither calibrated on nor scored in the end."""

import sys
from pathlib import Path

import peer
from judge import Judge

import edgeonnx


def quantize(model: str, samples: peer.Samples, output: str, case: str) -> None:  # noqa: ARG001  # it reads its own
    folder = Path(case)
    judge, validation = Judge(folder), folder / "validation.npz"
    # Without samples of its own to judge on, it divides those it is given.
    judged = {"eval_data": validation if validation.exists() else None}
    if not judge.labelled:
        judged = {"metric": lambda predict: judge.score(predict, validation)}
    result = edgeonnx.quantize(model, folder / "calibration.npz", output=output, force=True, **judged)
    print(result.score, result.steps, result.problems, file=sys.stderr)


if __name__ == "__main__":
    peer.main(quantize)
