"""Rockchip's NPUs: models converted by rknn-toolkit2, and run on its simulator, which is the same for every chip.

It is no execution provider: it takes a float ONNX model, quantizes it itself, and gives a file that its own library
runs on the device. It lives in an environment of its own, where `rknn_worker.py` runs.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edgeonnx.errors import ModelError, TargetError
from edgeonnx.model import Model
from edgeonnx.providers.find import interpreter, variable

_NAME = "rknn"
_WORKER = Path(__file__).with_name("rknn_worker.py")
# Interpreters start with their own paths only, not with what is set up for this one.
_ISOLATED = "-I"
# Of onnx 1.16, the last that the toolkit imports with.
_IR_VERSION = 10
_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ERROR = re.compile(r"^\w+Error: (.+)$", re.MULTILINE)
# The toolkit says so, goes on, and gives a file that no chip runs.
_NO_KERNEL = re.compile(r"No lowering found for: (\S+), node type = (\w+)")


@dataclass(frozen=True)
class Job:
    """What the worker is to do.

    Attributes:
        chip: as the toolkit names it.
        dtype: of weights and activations, as the toolkit names them.
        algorithm: how the toolkit finds ranges.
        inputs: the model's, in order.
        shapes: theirs, in all samples.
        free: whether the model leaves some of them open.
        calibration: how many samples.
        evaluation: how many samples.
    """

    chip: str
    dtype: str
    algorithm: str
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    free: bool
    calibration: int
    evaluation: int


def find_python(given: Path | None = None) -> Path:
    """The interpreter that has rknn-toolkit2.

    Raises:
        TargetError: none was found.
    """
    python = given or interpreter(_NAME)
    if python is None:
        raise TargetError(
            f"no interpreter with rknn-toolkit2: name one with --provider-python or in {variable(_NAME)}, "
            f"or run make {_NAME}"
        )
    return python


def check_float(model: Model) -> None:
    """Refuse what is quantized already: the toolkit makes far less of it than of the float model.

    Raises:
        ModelError: it is.
    """
    if found := sorted({node.op_type for node in model.ir.graph.all_nodes()} & _QUANTIZED):
        raise ModelError(
            f"expected a float model, since rknn-toolkit2 quantizes itself, got one with {', '.join(found)}; "
            "give the model it was made from"
        )


def convert(python: Path, model: Model, job: Job, folder: Path) -> Path:
    """Convert a model and simulate it on samples.

    Args:
        python: an interpreter that has rknn-toolkit2.
        model: float.
        job: what to do.
        folder: with the samples in it as the worker reads them; outputs are written there too: see `outputs`.

    Returns:
        The file for the chip, within the folder.

    Raises:
        ModelError: the toolkit refuses the model, or has no kernel for one of its nodes.
        TargetError: the interpreter can't be started.
    """
    (folder / "got").mkdir()
    (folder / "job.json").write_text(json.dumps(asdict(job)), "utf-8")
    proto = model.to_proto()
    proto.ir_version = min(proto.ir_version, _IR_VERSION)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    with (folder / "log.txt").open("w+", encoding="utf-8", errors="replace") as log:
        command = [str(python), _ISOLATED, str(_WORKER), str(folder)]
        try:
            ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, check=False)
        except OSError as error:
            raise TargetError(f"{python} can't be started: {error.strerror}") from error
        log.seek(0)
        said = _COLOUR.sub("", log.read())
    if lacking := sorted({f"{op_type} {name}" for name, op_type in _NO_KERNEL.findall(said)}):
        raise ModelError(f"{job.chip}: rknn-toolkit2 has no kernel for {', '.join(lacking)}; take it out of the model")
    if ended.returncode:
        last = (said.strip() or "no message").splitlines()[-1]
        raise ModelError(f"{job.chip}: rknn-toolkit2: {(_ERROR.findall(said) or [last])[-1]}")
    return folder / "model.rknn"


def outputs(folder: Path, sample: int, model: Model) -> dict[str, np.ndarray]:
    """What the simulator gave for an evaluation sample, by the model's names and in its shapes."""
    with np.load(folder / "got" / f"{sample}.npz") as arrays:
        return {tensor.name: arrays[str(place)] for place, tensor in enumerate(model.outputs)}


def save_sample(folder: Path, sample: int, arrays: Iterator[np.ndarray]) -> None:
    """A sample as the worker reads it, its arrays in the order of the inputs."""
    for place, array in enumerate(arrays):
        np.save(folder / f"{sample}.{place}.npy", array)
