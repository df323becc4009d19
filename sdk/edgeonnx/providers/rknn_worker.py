"""Converts a model with rknn-toolkit2 and runs it on its simulator, in an interpreter that has it.

    python -I rknn_worker.py FOLDER

Of edgeonnx it needs nothing. FOLDER holds `job.json`, see `Job` in rknn.py, `model.onnx`, and the arrays of each sample
by its number and the place of the input: `calibration/0.0.npy`, ..., `evaluation/0.0.npy`, ... It writes `model.rknn`,
and of each evaluation sample `got/0.npz` with the outputs `0`, `1`, ... by place. Whatever fails ends it with a
traceback.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rknn.api import RKNN

# Arrays as the model takes them; else the simulator takes those of four axes to be NHWC.
_AS_IT_IS = "nchw"


def main(folder: str) -> None:
    """Convert, then simulate."""
    os.chdir(folder)
    job = json.loads(Path("job.json").read_text("utf-8"))
    tool = RKNN(verbose=False)
    convert(tool, job)
    done(tool.init_runtime(), "init_runtime")
    for sample in range(job["evaluation"]):
        outputs = tool.inference(inputs=arrays("evaluation", sample, job), data_format=[_AS_IT_IS] * len(job["inputs"]))
        np.savez(f"got/{sample}.npz", **{str(place): array for place, array in enumerate(outputs)})
    tool.release()


def convert(tool: Any, job: dict[str, Any]) -> None:
    """From `model.onnx` to `model.rknn`."""
    count = len(job["inputs"])
    lines = (" ".join(f"calibration/{i}.{place}.npy" for place in range(count)) for i in range(job["calibration"]))
    Path("calibration.txt").write_text("\n".join(lines) + "\n", "utf-8")
    setting = {"target_platform": job["chip"], "quantized_dtype": job["dtype"]}
    done(tool.config(**setting, quantized_algorithm=job["algorithm"]), "config")
    shapes = {"inputs": job["inputs"], "input_size_list": job["shapes"]} if job["free"] else {}
    done(tool.load_onnx(model="model.onnx", **shapes), "load_onnx")
    done(tool.build(do_quantization=True, dataset="calibration.txt"), "build")
    done(tool.export_rknn("model.rknn"), "export_rknn")


def arrays(folder: str, sample: int, job: dict[str, Any]) -> list[np.ndarray]:
    """One sample, in the order of the inputs."""
    return [np.load(f"{folder}/{sample}.{place}.npy") for place in range(len(job["inputs"]))]


def done(code: int, step: str) -> None:
    """Some failures are told by a code alone."""
    if code != 0:
        raise RuntimeError(f"{step} gave {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
